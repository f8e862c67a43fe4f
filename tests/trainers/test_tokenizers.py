"""The vocabularies that a run's folder holds, and those that a recipe names."""

import pytest

from keras_transformer import Tokenizer
from keras_transformer.data import InMemoryCorpus
from trainers.corpora import Corpora
from trainers.recipe import Recipe
from trainers.tokenizers import (
    existing_tokenizers,
    load_tokenizers,
    round_trip_report,
    save_tokenizers,
    train_tokenizers,
)

ONE, OTHER, BOTH = (
    Tokenizer.train([text], size, model_type="bpe")
    for text, size in (("one two", 271), ("un deux", 269), ("one un two deux", 277))
)


def test_one_for_both_takes_the_place_of_two(tmp_path):
    for pair in ((ONE, OTHER), (BOTH, BOTH)):
        save_tokenizers(tmp_path, pair)
        found = load_tokenizers(tmp_path)
        assert [each.model for each in found] == [each.model for each in pair]


def test_a_recipe_may_name_a_file_or_a_run(tmp_path):
    BOTH.save(tmp_path / "both.model")
    save_tokenizers(tmp_path / "run", (ONE, OTHER))
    assert existing_tokenizers(Recipe(output="run")) is None
    source, target = existing_tokenizers(Recipe("run", tokenizer=str(tmp_path / "both.model")))
    assert source is target
    assert source.model == BOTH.model
    two = existing_tokenizers(Recipe("run", tokenizer=str(tmp_path / "run")))
    assert [each.model for each in two] == [ONE.model, OTHER.model]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": 271}, "both.model has vocabulary_size=277. Received: "),
        ({"shared_vocabulary": False}, "both.model has shared_vocabulary=True. Received: "),
    ],
)
def test_a_named_tokenizer_is_what_the_recipe_says(options, message, tmp_path):
    path = tmp_path / "both.model"
    BOTH.save(path)
    with pytest.raises(ValueError, match=message):
        existing_tokenizers(Recipe("run", tokenizer=str(path), **options))
    same = {"vocabulary_size": 277, "shared_vocabulary": True}  # as the recipe of a run has them
    assert existing_tokenizers(Recipe("run", tokenizer=str(path), **same))
    with pytest.raises(FileNotFoundError, match="There is no tokenizer at"):
        existing_tokenizers(Recipe("run", tokenizer="nowhere.model"))


@pytest.mark.parametrize(
    "options",
    [{"tokenizer_type": "bpe"}, {"normalization": "identity"}, {"init_from": "other"}],
)
def test_options_of_a_tokenizer_to_be_trained_contradict_one_that_exists(options):
    with pytest.raises(ValueError, match="Leave one of the two out"):
        Recipe("run", tokenizer="some.model", **options)


@pytest.mark.parametrize(
    ("normalization", "restored"),
    [
        ("nfc", {"10² m²"}),
        ("nmt_nfkc", set()),
        ("identity", {"10² m²", "one  two"}),
    ],
)
def test_the_recipe_says_what_is_normalized(normalization, restored):
    pairs = [("the street", "la rue"), ("10² m²", "10² m²"), ("one  two", "un deux")]
    corpora = Corpora(InMemoryCorpus(pairs), None)
    recipe = Recipe("run", normalization=normalization, vocabulary_size=279)
    tokenizers = train_tokenizers(recipe, corpora)
    texts = ["10² m²", "one  two"]
    kept = {
        text for text in texts if tokenizers[0].detokenize(tokenizers[0].tokenize(text)) == text
    }
    assert kept == restored
    report = round_trip_report(tokenizers, corpora)
    assert report.startswith("Of 3 pairs, tokenizing and detokenizing changes "
                             f"{2 - len(restored)} source lines")  # fmt: skip
    assert ("'10² m²' to '102 m2'" in report) == (normalization == "nmt_nfkc")
