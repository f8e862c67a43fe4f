"""Subclasses, assigned parts and composed models come back as they were, however saved."""

import copy
import json

import keras
import numpy as np
import pytest

import keras_transformer as kt
from tests.conftest import run_python
from tests.models.own_models import MODELS, TwiceEncoded, V, logits, open_lengths
from tests.weights import randomize

POLICIES = ("float32", "mixed_bfloat16")


@pytest.fixture(scope="module", params=[(name, dtype) for name in MODELS for dtype in POLICIES])
def model(request):
    name, dtype = request.param
    model = MODELS[name](dtype)
    model.build()
    return randomize(model)


def with_weights_of(model, copied):
    if not copied.built:
        copied.build()
    copied.set_weights(model.get_weights())
    return copied


WAYS = {
    "from_config": lambda model: with_weights_of(
        model, type(model).from_config(model.get_config())
    ),
    "clone_model": lambda model: with_weights_of(model, keras.models.clone_model(model)),
    "deepcopy": copy.deepcopy,
    "description": lambda model: with_weights_of(
        model, kt.model_from_description(json.loads(json.dumps(kt.describe_model(model))))
    ),
}


def assert_same(copied, model):
    assert type(copied) is type(model)
    assert [w.shape for w in copied.weights] == [w.shape for w in model.weights]
    np.testing.assert_array_equal(logits(copied), logits(model))


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_the_same(model, way):
    assert_same(WAYS[way](model), model)


@pytest.mark.slow
def test_it_comes_back_from_a_keras_file(model, tmp_path):
    model.save(tmp_path / "model.keras")
    assert_same(keras.saving.load_model(tmp_path / "model.keras"), model)


def test_weights_alone_come_back(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    again = type(model).from_config(model.get_config())
    again.build()
    again.load_weights(tmp_path / "model.weights.h5")
    assert_same(again, model)


@pytest.fixture(scope="module")
def tokenizer():
    sentences = ["the quick brown fox jumps over the lazy dogs", "pack my box with five dozen jugs"]
    return kt.Tokenizer.train(sentences, vocabulary_size=37, byte_fallback=False)


@pytest.mark.slow
def test_it_comes_back_from_a_run(model, tokenizer, tmp_path):
    translator = kt.Translator(model, tokenizer, max_source_length=13)
    translator.save(tmp_path)
    assert_same(kt.Translator.load(tmp_path).model, model)
    assert_same(copy.deepcopy(translator).model, model)
    description = json.loads((tmp_path / "run.json").read_text())
    assert description["format_version"] == 4
    assert description["model"]["registered_name"].endswith(f">{type(model).__name__}")


@pytest.mark.slow
def test_runs_of_one_backend_are_read_by_the_other(tokenizer, tmp_path):
    expected = {}
    for number, name in enumerate(MODELS):
        model = MODELS[name]("float32")
        kt.Translator(model, tokenizer, max_source_length=13).save(tmp_path / str(number))
        expected[number] = logits(model)
    run_python("-m", "tests.models.own_models", str(tmp_path), KERAS_BACKEND="jax")
    for number, values in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{number}.npy"), values, atol=1e-5)


@pytest.mark.slow
def test_learned_positions_need_no_fixed_length():
    """On JAX, the same in the process of the test above."""
    open_lengths()


class Nameless(kt.Transformer):
    """A subclass that is not registered."""


def test_a_class_that_is_not_registered_is_refused_by_name(tokenizer, tmp_path):
    model = Nameless(V, 1, d_model=12, num_heads=3, d_ff=17)
    with pytest.raises(ValueError, match=r"class Nameless is not registered with Keras.*Decorate"):
        kt.Translator(model, tokenizer, max_source_length=13).save(tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_run_of_an_unknown_class_is_refused_by_name(tokenizer, tmp_path):
    model = TwiceEncoded(V, 1, d_model=12, num_heads=3, d_ff=17)
    kt.Translator(model, tokenizer, max_source_length=13).save(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace("tests.own>TwiceEncoded", "theirs>Strange"))
    message = r"run\.json needs code of your own.*'theirs>Strange' is not registered.*--import MOD"
    with pytest.raises(kt.translation.run_folder.RunError, match=message):
        kt.Translator.load(tmp_path)


def test_a_run_that_names_a_layer_instead_of_a_model_is_refused(tokenizer, tmp_path):
    model = kt.Transformer(V, 1, d_model=12, num_heads=3, d_ff=17)
    kt.Translator(model, tokenizer, max_source_length=13).save(tmp_path)
    path = tmp_path / "run.json"
    description = json.loads(path.read_text())
    description["model"] = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    path.write_text(json.dumps(description))
    with pytest.raises(kt.translation.run_folder.RunError, match="does not describe a model"):
        kt.Translator.load(tmp_path)


def test_a_plain_model_is_described_by_its_sizes_alone(tokenizer, tmp_path):
    model = kt.Transformer(V, 1, d_model=12, num_heads=3, d_ff=17)
    config = kt.describe_model(model)["config"]
    assert not set(config) & {"encoder", "decoder", "source_embedding", "target_embedding"}
    assert config["d_ff"] == 17
