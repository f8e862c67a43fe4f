import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.layers import Dropout
from keras_transformer.layers.dropout import random_bits

ONES = np.ones((101, 103), "float32")


def test_nothing_is_dropped_outside_training():
    layer = Dropout(0.5)
    np.testing.assert_array_equal(layer(ONES), ONES)
    np.testing.assert_array_equal(layer(ONES, training=False), ONES)


def test_nothing_is_dropped_at_rate_zero():
    np.testing.assert_array_equal(Dropout(0)(ONES, training=True), ONES)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.9])
def test_the_share_that_is_dropped_is_the_rate_and_the_mean_stays(rate):
    output = ops.convert_to_numpy(Dropout(rate, seed=5)(ONES, training=True))
    deviation = np.sqrt(rate * (1 - rate) / ONES.size)
    assert abs((output == 0).mean() - rate) < 5 * deviation
    np.testing.assert_allclose(output[output != 0], 1 / (1 - rate), rtol=1e-6)


def test_every_call_drops_others():
    layer = Dropout(0.5, seed=5)
    first, second = (ops.convert_to_numpy(layer(ONES, training=True)) == 0 for _ in range(2))
    assert abs((first == second).mean() - 0.5) < 0.03


def test_every_layer_drops_others():
    first, second = (ops.convert_to_numpy(Dropout(0.5)(ONES, training=True)) for _ in range(2))
    assert (first != second).any()


def test_the_same_seed_drops_the_same():
    first, second = (Dropout(0.5, seed=5)(ONES, training=True) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_every_run_of_a_graph_drops_others():
    layer = Dropout(0.5)
    function = tf.function(lambda: layer(ONES, training=True), autograph=False)
    assert (ops.convert_to_numpy(function()) != ops.convert_to_numpy(function())).any()


def test_gradients_pass_where_nothing_was_dropped():
    layer, x = Dropout(0.5, seed=5), tf.constant(ONES)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x, training=True)
    np.testing.assert_array_equal(tape.gradient(output, x), output)


def test_neighbours_are_dropped_independently():
    """Along either axis, and between one call and the next: no correlation beyond chance."""
    layer = Dropout(0.5, seed=5)
    first, second = (ops.convert_to_numpy(layer(ONES, training=True)) - 1 for _ in range(2))
    for left, right in (
        (first[1:], first[:-1]),
        (first[:, 1:], first[:, :-1]),
        (first[:, 7:], first[:, :-7]),
        (first, second),
    ):
        assert abs((left * right).mean()) < 5 / np.sqrt(left.size)


def test_every_bit_is_set_half_of_the_time():
    bits = ops.convert_to_numpy(random_bits((10007,), ops.convert_to_tensor([3, 5])))
    shares = [((bits >> bit) & 1).mean() for bit in range(32)]
    np.testing.assert_allclose(shares, 0.5, atol=0.025)


def test_either_half_of_the_seed_changes_the_bits():
    seeds = ([3, 5], [3, 6], [4, 5], [5, 3])
    drawn = {
        ops.convert_to_numpy(random_bits((7,), ops.convert_to_tensor(seed))).tobytes()
        for seed in seeds
    }
    assert len(drawn) == len(seeds)


def test_bfloat16_stays_bfloat16():
    output = Dropout(0.5, dtype="bfloat16")(ops.ones((3, 5), "bfloat16"), training=True)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert set(ops.convert_to_numpy(ops.cast(output, "float32")).ravel().tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5])
def test_a_rate_that_is_no_share_is_refused(rate):
    message = (
        f"`rate` is the fraction of the input to drop: at least 0, less than 1. Received: {rate}"
    )
    with pytest.raises(ValueError, match=message):
        Dropout(rate)
