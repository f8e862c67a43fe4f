"""Low-rank adapters: what is trained, saved, loaded on top of a base, averaged and merged."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transformer as kt
from keras_transformer import (
    AdapterError,
    add_adapter,
    average_checkpoints,
    base_fingerprint,
    load_adapter,
    merge_adapter,
    save_adapter,
)
from keras_transformer.checkpoints.adapter import adapter_weights, base_weights, merged_adapter
from tests.training.conftest import make_pairs, small_model

LAYERS = 3 * 4 + 2 * 2  # 3 attentions and 2 feed-forward networks


def values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def train(model, epochs=2):
    inputs, labels, _ = make_pairs()
    model.fit(inputs, labels, batch_size=5, epochs=epochs, shuffle=False, verbose=0)


def logits_of(model):
    return keras.ops.convert_to_numpy(model(make_pairs()[0]))


def randomize_adapter(model, seed=3):
    generator = np.random.default_rng(seed)
    for variable in adapter_weights(model):
        variable.assign(generator.normal(0, 0.4, variable.shape))


def adapted_model(dtype="float32", rank=3):
    """A compiled model with an adapter."""
    model = small_model(dtype=dtype)
    add_adapter(model, rank)
    model.compile(keras.optimizers.Adam(0.03), kt.TokenCrossEntropy())
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained adapter's model, its file, and weights of the base before and logits after."""
    model = adapted_model()
    before = values(base_weights(model))
    train(model)
    path = tmp_path_factory.mktemp("adapter") / "adapter.weights.h5"
    save_adapter(model, path)
    return model, path, before, logits_of(model)


def test_training_starts_at_the_model_as_it_is():
    model = small_model()
    before = logits_of(model)
    add_adapter(model, 3)
    np.testing.assert_array_equal(logits_of(model), before)


def test_only_the_adapter_is_trained(trained):
    model, _, before, _ = trained
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    assert len(shapes) == 2 * LAYERS
    assert all(3 in shape for shape in shapes)
    for old, new in zip(before, values(base_weights(model)), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(np.abs(value).max() > 0 for value in values(adapter_weights(model)))


def test_the_optimizer_has_slots_for_the_adapter_alone(trained):
    model = trained[0]
    slots = [variable for variable in model.optimizer.variables if tuple(variable.shape)]
    assert len(slots) == 2 * 2 * LAYERS


def test_it_is_loaded_on_top_of_its_base(trained):
    _, path, _, expected = trained
    base = small_model()
    assert np.abs(logits_of(base) - expected).max() > 0.1
    load_adapter(base, path)
    np.testing.assert_array_equal(logits_of(base), expected)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.2)])
def test_merging_changes_nothing_that_is_computed(dtype, tolerance):
    model = adapted_model(dtype)
    before = logits_of(model)
    randomize_adapter(model)
    expected, compute = logits_of(model), tf.function(model)
    compute(make_pairs()[0])
    merge_adapter(model)
    assert np.abs(expected - before).max() > 0.1
    np.testing.assert_allclose(logits_of(model), expected, atol=tolerance)
    np.testing.assert_allclose(compute(make_pairs()[0]), expected, atol=tolerance)


@pytest.mark.slow
def test_a_merged_model_is_an_ordinary_one(trained, tmp_path):
    _, path, _, expected = trained
    model = small_model()
    load_adapter(model, path)
    merge_adapter(model)
    fresh = small_model()
    for one, other in zip(model.variables, fresh.variables, strict=True):
        assert (tuple(one.shape), one.trainable) == (tuple(other.shape), other.trainable)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(logits_of(fresh), expected, atol=1e-5)
    add_adapter(model, 2)
    with pytest.raises(ValueError, match=r"has an adapter\. Call `merge_adapter` before adding"):
        add_adapter(model, 2)


def test_what_was_frozen_before_stays_frozen():
    model = small_model()
    frozen = model.weights[0]
    frozen.trainable = False
    add_adapter(model, 2)
    merge_adapter(model)
    assert [variable for variable in model.weights if not variable.trainable] == [frozen]


def test_it_is_merged_for_a_while_to_be_saved(trained, tmp_path):
    model, _, before, expected = trained
    optimizer, model.optimizer = model.optimizer, None
    with merged_adapter(model):
        model.save_weights(tmp_path / "model.weights.h5")
    model.optimizer = optimizer
    for old, new in zip(before, values(base_weights(model)), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(logits_of(model), expected)
    ordinary = small_model()
    ordinary.optimizer = None
    ordinary.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(logits_of(ordinary), expected, atol=1e-5)


def test_its_matrices_are_averaged(tmp_path):
    model, paths, each = adapted_model(), [], []
    before = values(base_weights(model))
    for epoch in range(3):
        randomize_adapter(model, epoch)
        paths.append(tmp_path / f"{epoch}.weights.h5")
        save_adapter(model, paths[-1])
        each.append(values(adapter_weights(model)))
    average_checkpoints(model, paths)
    for mean, *matrices in zip(values(adapter_weights(model)), *each, strict=True):
        np.testing.assert_allclose(mean, np.mean(matrices, axis=0), atol=1e-7)
    for old, new in zip(before, values(base_weights(model)), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_fingerprint_is_of_values_not_of_names():
    one, other = small_model(), small_model()
    assert one.weights[0].path != other.weights[0].path
    assert base_fingerprint(one) == base_fingerprint(other)
    weight = other.weights[3]
    weight.assign(weight + 1e-6)
    assert base_fingerprint(one) != base_fingerprint(other)


@pytest.mark.parametrize("rank", [0, -2, 2.0, True, "8"])
def test_a_rank_is_a_positive_integer(rank):
    with pytest.raises(ValueError, match=r"must be an integer, at least 1\. Received: "):
        add_adapter(small_model(), rank)


def test_a_rank_is_no_larger_than_the_matrices():
    with pytest.raises(ValueError, match=r"must be at most 8, the smallest side .* Received: 9"):
        add_adapter(small_model(), 9)


def test_without_dense_layers_there_is_nothing_to_adapt():
    model = keras.Sequential([keras.layers.Embedding(5, 3)])
    model.build((None, 2))
    with pytest.raises(ValueError, match=r"needs dense layers, .* Received: a Sequential without"):
        add_adapter(model, 1)
    assert model.trainable_variables


@pytest.mark.slow
def test_a_quantized_model_is_refused():
    model = small_model()
    model.target_embedding.tokens.quantize("int8")
    with pytest.raises(ValueError, match="needs a model that is not quantized"):
        add_adapter(model, 1)


def test_a_model_without_one_has_none_to_save(tmp_path):
    with pytest.raises(ValueError, match="has no adapter to save"):
        save_adapter(small_model(), tmp_path / "adapter.weights.h5")
    assert not list(tmp_path.iterdir())


def test_an_adapter_of_another_base_is_refused(trained):
    base = small_model()
    base.weights[0].assign(base.weights[0] * 2)
    before = logits_of(base)
    with pytest.raises(AdapterError, match=r"of another base: of weights \w{12}, not \w{12}\. "):
        load_adapter(base, trained[1])
    np.testing.assert_array_equal(logits_of(base), before)
    assert len(base.trainable_variables) == len(base.weights)


def damaged(path, tmp_path, change):
    import h5py

    copy = tmp_path / "adapter.weights.h5"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        change(file)
    return copy


def swap(file):
    file["0003/a"][...] = 0
    del file["0003/b"]
    file["0003/b"] = np.zeros((7, 3), "float32")


DAMAGED = {
    "another shape": (swap, r"it has a matrix of shape \(7, 3\), the model \(3, 8\)"),
    "a missing layer": (lambda file: file.pop("0015"), "it has 30 matrices, the model 32"),
    "no matrix": (lambda file: file.pop("0003/b"), "is damaged or not an adapter"),
    "no rank": (lambda file: file.attrs.pop("rank"), "is damaged or not an adapter"),
    "no number": (lambda file: file.attrs.update(rank="many"), "is damaged or not an adapter"),
    "another rank": (lambda file: file.attrs.update(rank=0), "it has a matrix of shape "),
    "a newer format": (lambda file: file.attrs.update(format=97), "has format 97; this package"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_and_changes_nothing(name, trained, tmp_path):
    change, message = DAMAGED[name]
    base = small_model()
    with pytest.raises(AdapterError, match=message) as error:
        load_adapter(base, damaged(trained[1], tmp_path, change))
    assert "\n" not in str(error.value)
    assert len(base.trainable_variables) == len(base.weights)


def test_a_file_that_is_none_is_refused(trained, tmp_path):
    base, path = small_model(), tmp_path / "file.weights.h5"
    with pytest.raises(AdapterError, match="There is no adapter"):
        load_adapter(base, path)
    path.write_bytes(trained[1].read_bytes()[:999])
    with pytest.raises(AdapterError, match="is damaged or not an adapter"):
        load_adapter(base, path)
    base.save_weights(path)
    with pytest.raises(AdapterError, match="is damaged or not an adapter"):
        load_adapter(base, path)
