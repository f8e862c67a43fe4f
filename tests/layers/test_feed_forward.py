import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.layers import FeedForward
from tests import reference
from tests.weights import of_feed_forward, random, randomize

B, T, D, F = 2, 5, 7, 17
INPUTS = random(B, T, D)


def make_feed_forward(**options):
    layer = FeedForward(D, F, **options)
    layer.build((B, T, D))
    return randomize(layer)


def test_it_is_two_dense_layers_with_zero_as_the_floor_between():
    layer = make_feed_forward()
    output = layer(INPUTS)
    for b in range(B):
        expected = reference.feed_forward(of_feed_forward(layer), INPUTS[b])
        np.testing.assert_allclose(output[b], expected, atol=1e-5)


def test_it_has_two_kernels_and_two_biases():
    shapes = [tuple(weight.shape) for weight in make_feed_forward().weights]
    assert shapes == [(D, F), (F,), (F, D), (D,)]


def test_the_hidden_layer_is_dropped_in_training_only():
    """Of a hidden layer of ones, 3 in 4 are left, scaled: their sums are 1 on average."""
    layer = FeedForward(1, 64, dropout_rate=0.25)
    layer.build((B, 512, 1))
    weights = np.ones((1, 64)), np.zeros(64), np.full((64, 1), 1 / 64), np.zeros(1)
    for weight, values in zip(layer.trainable_weights, weights, strict=True):
        weight.assign(values)
    ones = np.ones((B, 512, 1), "float32")
    np.testing.assert_allclose(layer(ones), 1, atol=1e-5)
    output = ops.convert_to_numpy(layer(ones, training=True))
    assert 0.03 < output.std() < 0.15
    assert abs(output.mean() - 1) < 0.02
    assert make_feed_forward().dropout is None


def test_positions_do_not_see_each_other():
    layer, x = make_feed_forward(), tf.constant(INPUTS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        third = layer(x)[:, 2]
    gradient = ops.convert_to_numpy(tape.gradient(third, x))
    assert (np.abs(gradient[:, 2]) > 0).any()
    assert (np.delete(gradient, 2, axis=1) == 0).all()


@pytest.mark.parametrize("activation", ["gelu", "tanh"])
def test_the_activation_can_be_another(activation):
    assert (
        np.abs(make_feed_forward(activation=activation)(INPUTS) - make_feed_forward()(INPUTS)).max()
        > 0.01
    )
