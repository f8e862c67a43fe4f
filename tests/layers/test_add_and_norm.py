import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import AddAndNorm
from tests import reference
from tests.weights import of_normalization, random, randomize

B, T, D = 2, 5, 7
INPUTS, OUTPUTS = random(B, T, D, seed=1), random(B, T, D, seed=2)


def make_box(norm, dropout_rate=0.0):
    box = AddAndNorm(dropout_rate, norm)
    box.build((B, T, D))
    return randomize(box)


def test_post_normalises_the_sum():
    box = make_box("post")
    expected = [
        reference.layer_norm(of_normalization(box.normalization), row) for row in INPUTS + OUTPUTS
    ]
    np.testing.assert_allclose(box(INPUTS, OUTPUTS), expected, atol=1e-5)
    assert box.preprocess(INPUTS) is INPUTS


def test_pre_normalises_what_the_sublayer_sees_and_leaves_the_sum_alone():
    box = make_box("pre")
    expected = [reference.layer_norm(of_normalization(box.normalization), row) for row in INPUTS]
    np.testing.assert_allclose(box.preprocess(INPUTS), expected, atol=1e-5)
    np.testing.assert_allclose(box(INPUTS, OUTPUTS), INPUTS + OUTPUTS, atol=1e-6)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_gain_starts_at_one_and_bias_at_zero(norm):
    box = AddAndNorm(norm=norm)
    box.build((B, T, D))
    gain, bias = of_normalization(box.normalization)
    np.testing.assert_array_equal(gain, np.ones(D))
    np.testing.assert_array_equal(bias, np.zeros(D))


def test_epsilon_is_small_enough_not_to_be_seen():
    """Keras' own default, 1e-3, would shrink numbers as small as these thirtyfold."""
    box = AddAndNorm()
    small = 1e-3 * INPUTS
    variance = ops.convert_to_numpy(box(small, np.zeros_like(small))).var(axis=-1)
    expected = small.var(axis=-1) / (small.var(axis=-1) + 1e-6)
    np.testing.assert_allclose(variance, expected, rtol=1e-3)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_only_the_sublayers_output_is_dropped_never_the_way_around_it(norm):
    """Where the sub-layer's output is dropped, the input is still there."""
    box = AddAndNorm(0.5, norm)
    box.build((B, T, D))
    inputs = np.full((B, T, D), 3.0, "float32")
    x = ops.convert_to_numpy(box(inputs, np.full_like(inputs, 100), training=True))
    if norm == "pre":
        assert set(x.ravel().tolist()) == {3.0, 203.0}
    else:  # two values in each row: normalised 3 and 203
        assert (np.array([len(set(row.round(4).tolist())) for row in x.reshape(-1, D)]) <= 2).all()
        np.testing.assert_allclose(x.mean(axis=-1), 0, atol=1e-5)


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match=r"`norm` must be 'post' or 'pre'. Received: 'sandwich'"):
        AddAndNorm(norm="sandwich")
