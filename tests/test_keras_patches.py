"""Each patch of Keras is still needed: a test that fails here says that one can go."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transformer as kt
from keras_transformer import keras_patches


def test_keras_takes_a_batch_out_of_the_data_to_build(monkeypatch):
    """As long as `fit` builds weights from its data, `BuildsFromExample` is needed."""
    given, build = [], keras.Model._symbolic_build

    def watched(self, iterator=None, data_batch=None):
        given.append(data_batch)
        build(self, iterator, data_batch)

    monkeypatch.setattr(keras.Model, "_symbolic_build", watched)
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = keras.Sequential([keras.layers.Dense(3)])
        model.compile("sgd", "mse")
        model.fit(np.ones((2, 5)), np.ones((2, 3)), verbose=0)
    (((inputs, _),)) = given
    assert inputs.shape == (2, 5)


@pytest.mark.slow
def test_a_model_of_ours_takes_none(monkeypatch):
    model = kt.Transformer(11, 1, 8, 2, 13)
    model.compile("sgd", kt.TokenCrossEntropy())
    given, build = [], keras.Model._symbolic_build

    def watched(self, iterator=None, data_batch=None):
        given.append((iterator, data_batch))
        build(self, iterator, data_batch)

    monkeypatch.setattr(keras.Model, "_symbolic_build", watched)
    ids = np.full((2, 3), 7, "int32")
    model.fit({"source": ids, "target": ids}, ids, verbose=0)
    ((iterator, (inputs, labels)),) = given
    assert iterator is None
    assert inputs.keys() == {"source", "target"}
    assert labels.shape == inputs["target"].shape == (1, 1)


def test_keras_sums_gradients_over_replicas_by_itself():
    """Were there an argument for it, `skip_gradient_all_reduce` could go."""
    assert hasattr(keras.optimizers.SGD(), "_all_reduce_sum_gradients")
    for function in (keras.optimizers.SGD.__init__, keras.optimizers.SGD.apply):
        assert not [name for name in inspect.signature(function).parameters if "reduce" in name]
    optimizer = keras.optimizers.SGD()
    keras_patches.skip_gradient_all_reduce(optimizer)
    pairs = [(tf.ones(3), tf.Variable(tf.ones(3)))]
    assert optimizer._all_reduce_sum_gradients(pairs) == pairs


def test_keras_has_no_public_index_of_a_variable():
    optimizer, variables = keras.optimizers.SGD(), [keras.Variable(np.ones(n)) for n in (2, 3)]
    optimizer.build(variables)
    assert [keras_patches.variable_index(optimizer, variable) for variable in variables] == [0, 1]
    assert not [name for name in dir(optimizer) if "index" in name and not name.startswith("_")]


def test_keras_averages_the_logs_of_steps_over_workers():
    """By a mean over an axis that a number does not have."""
    from keras.src.backend.tensorflow import trainer

    assert 'strategy.reduce("MEAN", v, axis=0)' in inspect.getsource(trainer)
    with pytest.raises(ValueError, match="Invalid reduction dimension 0"):
        tf.distribute.MirroredStrategy(["/cpu:0"]).reduce("MEAN", tf.constant(3.0), axis=0)
    original = trainer._collective_all_reduce_multi_worker
    try:
        keras_patches.patch_log_reduction()
        assert trainer._collective_all_reduce_multi_worker(None) is False
    finally:
        trainer._collective_all_reduce_multi_worker = original


def test_a_model_knows_whether_it_is_distributed():
    assert not keras_patches.is_distributed(keras.Sequential())
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        assert keras_patches.is_distributed(keras.Sequential())


def test_a_dense_layer_with_lora_shows_the_sum_of_its_kernels():
    """Were the variable public, or removed by Keras, `base_kernel` and more could go."""
    layer = keras.layers.Dense(3)
    layer.build((None, 5))
    base = keras_patches.base_kernel(layer)
    assert base is layer.kernel
    layer.enable_lora(2)
    assert keras_patches.base_kernel(layer) is base
    assert not isinstance(layer.kernel, keras.Variable)
    assert not [name for name in dir(layer) if "disable" in name or "merge_lora" in name]
    keras_patches.remove_variable(layer, layer.lora_kernel_a)
    assert [variable.name for variable in layer.variables] == ["kernel", "bias", "lora_kernel_b"]
