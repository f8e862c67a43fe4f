"""Runs of several languages: tags before sources, shares by temperature, a BLEU of each."""

import contextlib
import json
import re
from types import SimpleNamespace

import pytest
import yaml

from keras_transformer import Tokenizer, Translator
from keras_transformer.__main__ import main as commands
from keras_transformer.data import JoinedCorpora, TaggedCorpus, TokenCache
from keras_transformer.data.phrasebook import phrasebook
from tests.trainers.conftest import TINY, once, toy_pairs
from trainers.batches import read_validation_text
from trainers.corpora import open_corpora
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe
from trainers.training_batches import corpus_weights
from trainers.translation import main

TEXTS = """--train-tsv to_fr.tsv --train-tsv back.tsv --train-tag fr --train-tag >>en<<
    --validation-tsv some.tsv --validation-tsv some_back.tsv --validation-tag fr
    --validation-tag en""".split()  # noqa: SIM905
QUICK = once(
    *TINY, "--epochs", "2", "--tensorboard", "false", "--compile-with-xla", "false",
    "--max-shapes", "1", "--tokens-per-batch", "512",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """127 pairs in one direction, 31 in the other, and 7 and 5 to validate on."""
    folder, pairs = tmp_path_factory.mktemp("tagged"), toy_pairs(170)
    back = [pair[::-1] for pair in pairs]
    files = {"to_fr": pairs[:127], "back": back[127:158], "some": pairs[158:165]}
    for name, part in {**files, "some_back": back[165:]}.items():
        (folder / f"{name}.tsv").write_text("".join("\t".join(pair) + "\n" for pair in part))
    return folder


@pytest.fixture
def here(folder):
    with contextlib.chdir(folder):
        yield folder


@pytest.mark.slow
def test_a_run_translates_to_what_the_tag_says(here, tmp_path, capsys):
    """It is trained, evaluated, and saved with tokens for its tags."""
    run = tmp_path / "run"
    assert main([*TEXTS, *QUICK, "--sampling-temperature", "5", "--output", str(run)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"val_bleu_fr: \S+ - val_bleu_en: \S+", out)
    shares = [127 ** (1 / 5), 31 ** (1 / 5)]
    share = f"{shares[1] / sum(shares):.1%}"
    assert f"Training text, {share} of each epoch, back.tsv >>en<<:\nlines read      31\n" in out
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    assert recipe["train_tag"] == recipe["validation_tag"] == [">>fr<<", ">>en<<"]
    translator = Translator.load(run)
    for tag in (">>fr<<", ">>en<<"):
        assert translator.tokenizer.token_to_id(tag) != translator.tokenizer.unk_id
    wanted = translator.translate([">>fr<< one two"], beam_size=4)[0].text
    (tmp_path / "source.txt").write_text("one two\n")
    (tmp_path / "reference.txt").write_text(f"{wanted}\n")
    files = ["--source", str(tmp_path / "source.txt")]
    files += ["--reference", str(tmp_path / "reference.txt"), "--json", str(tmp_path / "all.json")]
    assert commands(["evaluate", "--run", str(run), *files, "--tag", "fr"]) == 0
    assert "exact match  100.00 %" in capsys.readouterr().out
    assert json.loads((tmp_path / "all.json").read_text())["tag"] == "fr"


def test_sources_have_tags_and_targets_have_none(here):
    corpora = open_corpora(read_recipe("trainer", [*TEXTS, "--output", "run"]))
    assert isinstance(corpora.train, JoinedCorpora)
    assert [one.tag for one in corpora.train.corpora] == [">>fr<<", ">>en<<"]
    starts = {source.split()[0] for source, _ in corpora.train}
    assert starts == {">>fr<<", ">>en<<"}
    assert not any("<<" in target for _, target in corpora.train)
    plain = [part.corpus for part in corpora.train.corpora]
    assert corpora.train.fingerprint() != JoinedCorpora(plain).fingerprint()


def test_shares_by_temperature(here, tmp_path):
    options = ["--sampling-temperature", "2", "--output", "run"]
    recipe = read_recipe("trainer", [*TEXTS, *options])
    corpus = open_corpora(recipe).train
    text = [sentence for pair in corpus for sentence in pair]
    tokenizer = Tokenizer.train(text, 300, tags=recipe.train_tag)
    cache = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    assert corpus_weights(recipe, cache) == pytest.approx([127**0.5, 31**0.5])
    for tag in recipe.train_tag:
        assert tokenizer.tokenize(f"{tag} one").count(tokenizer.token_to_id(tag)) == 1
    reports = SimpleNamespace(reports=cache.reports)
    assert corpus_weights(Recipe("run", sampling_temperature=1.0), reports) == [127, 31]
    assert corpus_weights(Recipe("run"), reports) is None


def test_validation_texts_have_names(here):
    recipe = read_recipe("trainer", [*TEXTS, "--output", "run"])
    pairs, parts = read_validation_text(recipe, open_corpora(recipe).validation)
    assert parts == {"fr": 7, "en": 5}
    assert len(pairs) == 12
    both = [option.replace(">>en<<", "fr") if option == "en" else option for option in TEXTS]
    recipe = read_recipe("trainer", [*both[:-1], "fr", "--output", "run"])
    _, parts = read_validation_text(recipe, open_corpora(recipe).validation)
    assert parts == {"fr1": 7, "fr2": 5}
    recipe = Recipe("run", train_tsv="to_fr.tsv", validation_tsv="some.tsv")
    assert read_validation_text(recipe, open_corpora(recipe).validation)[1] == {}


@pytest.mark.slow
def test_the_phrasebook_has_both_directions():
    recipe = Recipe("run", corpus="phrasebook", train_tag=["fr", "en"], seed=3)
    corpora, book = open_corpora(recipe), phrasebook(seed=3)
    assert [len(one.corpus.pairs) for one in corpora.train.corpora] == [len(book.train)] * 2
    english, french = book.train[7]
    assert (f">>fr<< {english}", french) in list(corpora.train)
    assert (f">>en<< {french}", english) in list(corpora.train)
    assert isinstance(corpora.validation.corpora[1], TaggedCorpus)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--train-tag", "fr"], "--train-tag must be given once for each training corpus, or not "),
        (["--validation-tag", "fr"], "--validation-tag must be given once for each validation "),
        (["--train-tag", "a b"], "A tag is a language code of letters, digits, _ and -, such as"),
        (["--sampling-temperature", "0.5"], "sampling_temperature must be at least 1, or 0. Rece"),
        (
            ["--sampling-temperature", "5", "--train-weight", "1", "--train-weight", "2"],
            "sampling_temperature chooses the weights of the corpora: leave out train_weight.",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, here, tmp_path, capsys):
    left = [] if "tag" in options[0] else TEXTS[4:8]
    left += [] if "validation-tag" in options[0] else TEXTS[12:]
    texts = [*TEXTS[:4], *TEXTS[8:12], *left]
    assert main([*texts, *options, *QUICK, "--output", str(tmp_path / "run")]) == 1
    assert message in capsys.readouterr().err


def test_tags_for_the_training_alone_are_refused(here, tmp_path, capsys):
    texts = [*TEXTS[:8], "--validation-tsv", "some.tsv"]
    assert main([*texts, *QUICK, "--output", str(tmp_path / "run")]) == 1
    assert "those of the validation have none: give --validation-tag" in capsys.readouterr().err


def test_the_phrasebook_knows_two_languages(tmp_path, capsys):
    options = ["--corpus", "phrasebook", "--train-tag", "de", "--output", str(tmp_path / "run")]
    assert main([*options, *QUICK]) == 1
    assert "The phrasebook is translated to fr or en. Received: >>de<<" in capsys.readouterr().err
