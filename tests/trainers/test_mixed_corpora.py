"""Runs on several corpora: given again, listed in recipes, mixed by weight, interrupted."""

import contextlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from keras_transformer import Tokenizer
from keras_transformer.data import JoinedCorpora, ParallelFiles, TokenCache, TsvFile
from tests.checkpoints.interrupted import InterruptAt, Interrupted
from tests.trainers.conftest import TINY, once, toy_pairs
from tests.trainers.test_resume import is_as_undisturbed, more_callbacks
from trainers.corpora import open_corpora
from trainers.recipe import Recipe
from trainers.recipe_file import plain_values, read_recipe, recipe_from_values
from trainers.training_batches import make_training_batches
from trainers.translation import main

FILES = """--train-source one.en --train-target one.fr --train-source two.en --train-target two.fr
    --train-tsv three.tsv""".split()  # noqa: SIM905
WEIGHTS = ["--train-weight", "1", "--train-weight=0.5", "--train-weight", "3"]
QUICK = once(
    *TINY, "--dropout-rate", "0.3", "--epochs", "2", "--checkpoint-steps", "2", "--tensorboard",
    "false", "--compile-with-xla", "false", "--tokens-per-batch", "131", "--max-shapes", "1",
)  # fmt: skip
COMMAND = [*FILES, *WEIGHTS, *QUICK]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three corpora of 101, 53 and 13 pairs; the last has a line of one column."""
    folder, pairs = tmp_path_factory.mktemp("mixed"), toy_pairs(167)
    for name, part in (("one", pairs[:101]), ("two", pairs[101:154])):
        for side, language in enumerate(("en", "fr")):
            (folder / f"{name}.{language}").write_text("".join(f"{p[side]}\n" for p in part))
    rows = ["one column", *map("\t".join, pairs[154:]), "\t".join(pairs[0])]
    (folder / "three.tsv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def here(folder):
    with contextlib.chdir(folder):
        yield folder


@pytest.mark.slow
def test_a_mixed_run_that_was_interrupted_goes_on(here, tmp_path, capsys):
    """In the middle of an epoch, as if nothing had been; another weight is another recipe."""
    whole, output = tmp_path / "whole", tmp_path / "run"
    assert main([*COMMAND, "--output", str(whole)]) == 0
    out = capsys.readouterr().out
    assert (
        "Training text, 66.7% of each epoch, three.tsv:\n"
        "lines read      15\n"
        "pairs kept      13\n"
        "no tab           1  (line 1)\n"
        "duplicate        1  (line 15)\n"
        "Training text, together:\n"
        "lines read      169\n"
        "pairs kept      167\n"
    ) in out
    assert "Training text, 11.1% of each epoch, two.en and two.fr:\nlines read      53\n" in out
    steps = json.loads((whole / "run.json").read_text())["pairs"], re.findall(r"(\d+)/\1", out)
    assert steps[0] == 167
    interrupt = InterruptAt(int(steps[1][0]) + 4)
    with more_callbacks(interrupt), pytest.raises(Interrupted):
        main([*COMMAND, "--output", str(output)])
    capsys.readouterr()
    changed = [option.replace("0.5", "0.6") for option in COMMAND]
    assert main([*changed, "--output", str(output)]) == 1
    assert "(train_weight was [1.0, 0.5, 3.0], now [1.0, 0.6, 3.0])" in capsys.readouterr().err
    assert main([*FILES, *QUICK, "--output", str(output)]) == 1
    assert "(train_weight was [1.0, 0.5, 3.0], now [])" in capsys.readouterr().err
    swapped = [name.replace("one", "x").replace("two", "one").replace("x", "two") for name in FILES]
    assert main([*swapped, *WEIGHTS, *QUICK, "--output", str(output)]) == 1
    assert "(the training text has changed)" in capsys.readouterr().err
    assert main([*COMMAND, "--output", str(output)]) == 0
    assert "epoch 2." in capsys.readouterr().out
    is_as_undisturbed(output, whole)
    recipe = yaml.safe_load((output / "recipe.yaml").read_text())
    assert recipe["train_source"] == ["one.en", "two.en"]
    assert recipe["train_tsv"] == "three.tsv"
    assert recipe["train_weight"] == [1.0, 0.5, 3.0]


@pytest.mark.parametrize("packed", ["always", "never"])
def test_batches_have_the_weights(packed, here, tmp_path):
    """Those of the third corpus come more often than those of the first."""
    options = once(*QUICK, "--packed", packed, "--packed-length", "64", "--tokens-per-batch", "512")
    recipe = read_recipe("trainer", [*FILES, *WEIGHTS, *options, "--output", "run"])
    corpus = open_corpora(recipe).train
    text = [sentence for pair in corpus for sentence in pair]
    cache = TokenCache.build(corpus, Tokenizer.train(text, 290), tmp_path / "cache")
    devices = SimpleNamespace(replicas=1, wants_one_shape=False)
    stream = make_training_batches(recipe, cache, devices)._streams[0]
    members = [part.tolist() for part in stream._corpora]
    drawn = stream.members(0, 300).tolist()
    assert drawn.count(members[2][0]) > 3 * drawn.count(members[0][0])


def test_pairs_and_tables_are_read_one_after_another(here):
    corpus = open_corpora(read_recipe("trainer", [*FILES, "--output", "run"])).train
    parts = [
        ParallelFiles("one.en", "one.fr"), ParallelFiles("two.en", "two.fr"), TsvFile("three.tsv"),
    ]  # fmt: skip
    assert isinstance(corpus, JoinedCorpora)
    assert list(corpus) == [pair for part in parts for pair in part]
    assert corpus.fingerprint() == JoinedCorpora(parts).fingerprint()


@pytest.mark.parametrize("name", ["train_source", "train_target", "train_tsv"])
def test_one_file_needs_no_list(name):
    recipe = Recipe(output=Path("run"), **{name: "a.txt"})
    assert getattr(recipe, name) == ("a.txt",)
    assert recipe == Recipe(output=Path("run"), **{name: ["a.txt"]})
    assert plain_values(recipe)[name] == "a.txt"
    assert recipe_from_values(plain_values(recipe)) == recipe
    before = {**plain_values(Recipe(output=Path("run"))), name: ""}  # of an earlier version
    assert recipe_from_values(before) == Recipe(output=Path("run"))


def test_recipes_have_lists_that_the_command_line_replaces(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("train_source: [a, b]\ntrain_target: c\ntrain_weight: [1, 2.5]\noutput: run\n")
    recipe = read_recipe("trainer", ["--config", str(path)])
    assert recipe.train_source == ("a", "b")
    assert recipe.train_target == ("c",)
    assert recipe.train_weight == (1.0, 2.5)
    more = ["--train-source", "[d]", "--train-weight=7"]
    recipe = read_recipe("trainer", ["--config", str(path), *more])
    assert (recipe.train_source, recipe.train_weight) == (("[d]",), (7.0,))
    assert recipe_from_values(plain_values(recipe)) == recipe


def test_one_corpus_may_have_a_weight(here):
    options = ["--train-tsv", "three.tsv", "--train-weight", "0.2", "--output", "run"]
    assert isinstance(open_corpora(read_recipe("trainer", options)).train, TsvFile)
