"""Runs of image models: saved and loaded, and told from others."""

import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer import RunError, TextGenerator, Translator
from keras_transformer.images import ImageGenerator
from tests.images.test_generator import images, make


@pytest.fixture(scope="module")
def generator():
    generator = make(attention="local_2d", query_shape=(2, 2), memory_flange=(1, 1))
    generator.about["seed"] = 7
    return generator


@pytest.fixture
def run(generator, tmp_path):
    generator.save(tmp_path / "run")
    return tmp_path / "run"


def test_a_run_comes_back(generator, run):
    loaded = ImageGenerator.load(run)
    assert loaded.about["seed"] == 7
    ids, _ = generator.model.embedding.to_ids(images(3))
    inputs = {"target": ids}
    np.testing.assert_array_equal(loaded.model(inputs), generator.model(inputs))
    assert sorted(path.name for path in run.iterdir() if path.suffix) == [
        "model.weights.h5", "run.json",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [Translator, TextGenerator])
def test_other_loaders_say_what_it_is(run, kind):
    with pytest.raises(RunError, match="holds the run of an image model: use `keras_transformer"):
        kind.load(run)


def test_runs_of_others_and_damaged_ones_are_told(run, tmp_path):
    with pytest.raises(RunError, match="does not exist, so it is not a finished run"):
        ImageGenerator.load(tmp_path / "missing")
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace("PixelEmbedding", "PositionalEmbedding"))
    with pytest.raises(RunError, match="does not describe an image model"):
        ImageGenerator.load(run)
    (run / "run.json").write_text(text)
    (run / "model.weights.h5").write_bytes(b"weights")
    with pytest.raises(RunError, match="is damaged or belongs to another model"):
        ImageGenerator.load(run)
    tokenizer = kt.Tokenizer.train(["one two three four"] * 9, 270, model_type="bpe")
    model = kt.Transformer(270, num_layers=1, d_model=8, num_heads=2, d_ff=12)
    Translator(model, tokenizer).save(tmp_path / "other")
    with pytest.raises(RunError, match=r"holds the run of a translator: use `Translator\.load`"):
        ImageGenerator.load(tmp_path / "other")
