"""Runs of seconds, from text files to a run folder that translates."""

import json
import shutil

import numpy as np
import pytest
import yaml

from keras_transformer import BleuCallback, Tokenizer, Translator
from keras_transformer.training.callbacks import ValidationScores
from tests.trainers.conftest import TINY, once
from trainers.model_selection import ModelSelection
from trainers.recipe import Recipe
from trainers.tokenizers import train_tokenizer
from trainers.translation import main

PARALLEL = "--train-source train.en --train-target train.fr".split()  # noqa: SIM905
VALIDATION = "--validation-source valid.en --validation-target valid.fr".split()  # noqa: SIM905
pytestmark = pytest.mark.usefixtures("without_xla")  # but the run that others start from
QUICK = [*TINY, "--epochs", "2", "--tensorboard", "false", "--compile-with-xla", "false"]


def run_files(run):
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def run(texts, tmp_path_factory):
    """A run on parallel files, which others start from."""
    output = tmp_path_factory.mktemp("runs") / "first"
    languages = ["--source-language", "en", "--target-language", "fr", "--data-folder", str(texts)]
    options = [*PARALLEL, *VALIDATION, *languages, *TINY, "--epochs", "2"]
    assert main([*options, "--output", str(output)]) == 0
    return output


def test_a_run_leaves_what_the_design_says(run):
    files = run_files(run)
    assert {"run.json", "tokenizer.model", "model.weights.h5", "recipe.yaml"} <= files
    assert {f"checkpoints/epoch-000{n}.weights.h5" for n in (1, 2)} <= files
    assert "checkpoints/best.weights.h5" in files
    assert any(name.startswith("logs/train/") for name in files)
    assert any(name.startswith("logs/validation/") for name in files)
    assert not any(".writing" in name for name in files)


def test_run_json_tells_how_it_was_made(run):
    metadata = json.loads((run / "run.json").read_text())
    assert metadata["source_language"] == "en"
    assert metadata["target_language"] == "fr"
    assert metadata["corpus"] == "files"
    assert metadata["pairs"] == 193
    assert metadata["seed"] == 0
    assert "validation BLEU" in metadata["weights"]
    assert len(metadata["data_fingerprint"]) == 64
    assert metadata["model"]["config"]["d_model"] == 16
    assert metadata["max_source_length"] == 128


@pytest.mark.slow
def test_its_recipe_makes_the_same_run_again(run, texts, tmp_path):
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    assert recipe["epochs"] == 2
    assert recipe["preset"] == "tiny"
    assert recipe["warmup_steps"] > 0
    options = ["--config", str(run / "recipe.yaml"), "--output", str(tmp_path / "again")]
    assert main(options) == 0
    one, other = (Translator.load(folder) for folder in (run, tmp_path / "again"))
    for weights, others in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_allclose(weights, others, atol=1e-5)


@pytest.mark.slow
def test_its_weights_translate(run):
    translator = Translator.load(run)
    (translation,) = translator.translate(["one two three"], beam_size=1)
    assert set(translation.text.split()) & {"un", "deux", "trois", "quatre", "cinq", "sept", "sis"}


@pytest.mark.slow
def test_gzipped_files_make_the_same_data(run, at, tmp_path, capsys):
    names = [f"{name}.gz" if "." in name else name for name in PARALLEL]
    assert main(once(*names, *QUICK, "--epochs", "1", "--output", str(tmp_path / "run"))) == 0
    one, other = (folder / "tokens" / "train" for folder in (run, tmp_path / "run"))
    for name in ("source.ids", "target.ids"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.slow
def test_files_with_tabs_make_the_same_data(run, at, tmp_path, capsys):
    names = ["--train-tsv", "train.tsv", "--validation-tsv", "valid.tsv", "--epochs", "1"]
    assert main(once(*QUICK, *names, "--output", str(tmp_path / "run"))) == 0
    assert (run / "tokenizer.model").read_bytes() == (
        tmp_path / "run" / "tokenizer.model"
    ).read_bytes()


def test_what_was_being_written_when_a_run_was_killed_is_removed(at, tmp_path, capsys):
    """Also where it had come no further than to its tokens."""
    tokens = tmp_path / "tokens"
    for name in (".writing-a1b2c3", ".writing-x", ".mine"):
        (tokens / name).mkdir(parents=True)
    too_few = ["--tokens-per-batch", "2"]  # a run that fails soon
    assert main(once(*PARALLEL, *QUICK, *too_few, "--output", str(tmp_path))) == 1
    assert [path.name for path in tokens.iterdir() if path.name != "train"] == [".mine"]


@pytest.mark.slow
def test_without_validation_text_the_average_is_used(at, tmp_path, capsys):
    output = tmp_path / "run"
    assert main([*PARALLEL, *QUICK, "--output", str(output)]) == 0
    assert "No validation text" in capsys.readouterr().out
    metadata = json.loads((output / "run.json").read_text())
    assert metadata["weights"] == "average of the last 2 epochs"
    checkpoints = sorted((output / "checkpoints").iterdir())
    assert [path.name for path in checkpoints] == [
        "epoch-0001.weights.h5", "epoch-0002.weights.h5",
    ]  # fmt: skip
    model = Translator.load(output).model
    used = model.get_weights()[0]
    each = []
    for path in checkpoints:
        model.load_weights(path)
        each.append(model.get_weights()[0])
    np.testing.assert_allclose(used, np.mean(each, axis=0), atol=1e-6)
    assert np.abs(each[0] - each[1]).max() > 1e-4


@pytest.mark.slow
def test_two_vocabularies(at, tmp_path, capsys):
    output = tmp_path / "run"
    options = [*PARALLEL, *VALIDATION, *QUICK, "--shared-vocabulary", "false", "--norm", "pre"]
    assert main([*options, "--output", str(output)]) == 0
    translator = Translator.load(output)
    source, target = translator.tokenizer, translator.target_tokenizer
    assert source.fingerprint != target.fingerprint
    assert translator.model.vocabulary_size == source.vocabulary_size()
    assert translator.model.target_vocabulary_size == target.vocabulary_size()
    assert translator.model.norm == "pre"
    assert set(translator.translate(["one two"])[0].text) <= set("abcdefghijklmnopqrstuvwxyz ")


@pytest.mark.slow
def test_a_run_goes_on_from_another_with_its_tokenizer(run, at, tmp_path, capsys):
    output = tmp_path / "run"
    start = [*PARALLEL, *VALIDATION, "--init-from", str(run), "--output", str(output)]
    rate = ["--learning-rate-scale", "0.000001", "--averaged-checkpoints", "1", "--epochs", "1"]
    assert main([*start, *rate, "--tensorboard", "false", "--compile-with-xla", "false"]) == 0
    assert (run / "tokenizer.model").read_bytes() == (output / "tokenizer.model").read_bytes()
    one, other = (Translator.load(folder).model for folder in (run, output))
    assert one.get_config() | {"name": ""} == other.get_config() | {"name": ""}
    for weights, others in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weights, others, atol=1e-3)


@pytest.mark.slow
def test_a_finished_run_may_be_replaced(run, at, tmp_path, capsys):
    output = tmp_path / "run"
    shutil.copytree(run, output)
    for epoch in (7, 8):  # a longer training than the one to come
        checkpoint = output / "checkpoints" / f"epoch-000{epoch}.weights.h5"
        shutil.copy(output / "checkpoints" / "best.weights.h5", checkpoint)
    options = [*PARALLEL, *QUICK, "--overwrite", "true", "--seed", "3", "--output", str(output)]
    assert main(options) == 0
    metadata = json.loads((output / "run.json").read_text())
    assert metadata["seed"] == 3
    assert metadata["weights"] == "average of the last 2 epochs"
    loaded, old = (Translator.load(folder).model.get_weights() for folder in (output, run))
    assert np.abs(loaded[0] - old[0]).max() > 1e-3


class Scores(BleuCallback):
    """A callback that knows an epoch's BLEU, and that of the weights as they are."""

    def __init__(self, best, average):
        super().__init__(list, ["a"], ["four words are enough"], "best.weights.h5")
        self.best = (ValidationScores(best, 50.0), 3)
        self.average = ValidationScores(average, 50.0)

    def score(self):
        return self.average


@pytest.mark.parametrize(
    ("best", "average", "says", "first"),
    [
        (17.0, 19.0, "average of the last 2 epochs, validation BLEU 19.00", 3.0),
        (19.0, 17.0, "epoch 3, validation BLEU 19.00", 11.0),
        (17.0, 17.0, "average of the last 2 epochs, validation BLEU 17.00", 3.0),
    ],
)
def test_the_better_of_best_and_average_is_used(run, tmp_path, best, average, says, first):
    translator = Translator.load(run)
    model = translator.model
    selection = ModelSelection.__new__(ModelSelection)
    selection.model, selection.averages, selection.bleu = model, True, Scores(best, average)
    selection.best_path = tmp_path / "best.weights.h5"
    for name, value in (("a", 1.0), ("b", 5.0), ("best", 11.0)):
        model.set_weights([np.full_like(weights, value) for weights in model.get_weights()])
        model.save_weights(tmp_path / f"{name}.weights.h5")

    class Checkpoints:
        def paths(self):
            return [tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"]

    selection.checkpoints = Checkpoints()
    assert selection.select_weights() == says
    assert model.get_weights()[0].flat[0] == first


@pytest.mark.slow
def test_the_phrasebook_is_a_corpus_with_held_out_text(tmp_path, capsys, monkeypatch):
    """The road of `phrasebook.yaml`, with few of its pairs."""
    from keras_transformer.data import phrasebook as package
    from tests.trainers.conftest import toy_pairs

    class Book:
        train, validation = toy_pairs(97), toy_pairs(7, seed=5)
        held_out = {"everyday": toy_pairs(11, seed=7), "coreference": [("é œ", "« ça »")]}  # noqa: RUF012

    monkeypatch.setattr(package, "phrasebook", lambda seed: Book)
    output = tmp_path / "run"
    recipe = ["--corpus", "phrasebook", "--output", str(output), *QUICK]
    assert main(recipe) == 0
    held_out = {path.name for path in (output / "held_out").iterdir()}
    assert held_out == {"everyday.en", "everyday.fr", "coreference.en", "coreference.fr"}
    assert (output / "held_out" / "coreference.fr").read_text("utf-8") == "« ça »\n"
    assert len((output / "held_out" / "everyday.en").read_text().splitlines()) == 11
    metadata = json.loads((output / "run.json").read_text())
    assert (metadata["source_language"], metadata["target_language"]) == ("en", "fr")


def test_a_vocabulary_of_open_size_is_what_the_text_allows(monkeypatch):
    from tests.trainers.conftest import toy_pairs

    sentences = [text for pair in toy_pairs(193) for text in pair]
    tokenizer = train_tokenizer(Recipe(output="run"), lambda: iter(sentences))
    assert isinstance(tokenizer, Tokenizer)
    assert 270 < tokenizer.vocabulary_size() < 400


def test_a_corpus_that_cannot_be_read_is_not_read_again():
    reads = []

    def sentences():
        reads.append(1)
        yield "one"
        raise ValueError("unequal")

    with pytest.raises(ValueError, match="unequal"):
        train_tokenizer(Recipe(output="run"), sentences)
    assert len(reads) == 1
