"""Rotary embeddings: what they do to queries and keys, and how they compare with others'."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.layers import MultiHeadAttention, RotaryEmbedding
from tests.weights import of_attention, random, randomize

B, H, T, K = 2, 3, 5, 8
either_layout = pytest.mark.parametrize("layout", ["interleaved", "half"])


def turned(x, position, layout="interleaved", **options):
    """Vectors of shape `(N, K)`, all at one position."""
    x = np.asarray(x, "float32")[None, None]
    positions = np.full((1, x.shape[2]), position)
    return ops.convert_to_numpy(RotaryEmbedding(layout=layout, **options)(x, positions))[0, 0]


def test_it_turns_pairs_as_the_paper_says():
    """Equation 15 of the paper: [1, 0, 1, 0] at position 1, in a head of 4 channels."""
    expected = [0.540302, 0.841471, 0.99995, 0.00999983]
    np.testing.assert_allclose(turned([[1, 0, 1, 0]], 1)[0], expected, atol=1e-6)


def test_the_halves_are_those_of_keras_hub():
    """Position 3 of ones, of 6 channels, and random numbers."""
    expected = [-1.1311, 0.8515, 0.9935, -0.8489, 1.1291, 1.0064]
    np.testing.assert_allclose(turned(np.ones((1, 6)), 3, "half")[0], expected, atol=1e-4)
    keras_hub = pytest.importorskip("keras_hub")
    theirs = keras_hub.layers.RotaryEmbedding(max_wavelength=500, sequence_axis=2)
    x = random(B, H, T, K)
    ours = RotaryEmbedding(500, "half")(x, np.arange(T)[None])
    np.testing.assert_allclose(ours, theirs(x), atol=1e-6)


def test_the_layouts_differ_in_the_order_of_the_channels():
    x, order = random(7, K), [*range(0, K, 2), *range(1, K, 2)]
    np.testing.assert_allclose(turned(x, 13)[:, order], turned(x[:, order], 13, "half"), atol=1e-6)


@either_layout
@pytest.mark.parametrize("offset", [0, 3, 1000])
def test_products_depend_on_the_distance_alone(layout, offset):
    query, key = random(7, K, seed=1), random(7, K, seed=2)
    near = (turned(query, 2, layout) * turned(key, 7, layout)).sum(-1)
    far = (turned(query, 2 + offset, layout) * turned(key, 7 + offset, layout)).sum(-1)
    np.testing.assert_allclose(near, far, atol=1e-4)
    unturned = (turned(query, 2 + offset, layout) * key).sum(-1)
    assert np.abs(near - unturned).max() > 0.1  # queries alone will not do


@either_layout
def test_lengths_stay_and_position_0_is_as_it_was(layout):
    x = random(7, K)
    np.testing.assert_array_equal(turned(x, 0, layout), x)
    norms = np.linalg.norm(turned(x, 1013, layout), axis=-1)
    np.testing.assert_allclose(norms, np.linalg.norm(x, axis=-1), rtol=1e-5)


def test_angles_are_float32_under_bfloat16():
    """Angles in bfloat16 could not tell position 4097 from 4099."""
    x = random(1, 1, 2, K)
    positions = np.array([[4097, 4099]])
    rounded = RotaryEmbedding(dtype="mixed_bfloat16")(ops.cast(x, "bfloat16"), positions)
    assert keras.backend.standardize_dtype(rounded.dtype) == "bfloat16"
    exact = RotaryEmbedding()(x, positions)
    np.testing.assert_allclose(ops.cast(rounded, "float32"), exact, atol=0.03)


@either_layout
def test_every_sentence_may_have_positions_of_its_own(layout):
    x, positions = random(B, H, T, K), np.random.default_rng(1).integers(0, 50, (B, T))
    layer = RotaryEmbedding(layout=layout)
    outputs = layer(x, positions)
    for b in range(B):
        np.testing.assert_allclose(outputs[b], layer(x[b : b + 1], positions[b : b + 1])[0])


def attention():
    layer = MultiHeadAttention(13, 3, key_dim=K, position_encoder=RotaryEmbedding())
    layer.build((B, T, 13))
    return randomize(layer)


def test_what_stands_before_the_sentence_moves_nothing():
    """Not even when it is taken for a part of the sentence: absolute positions would."""
    layer, x = attention(), random(B, T, 13)
    padded = np.concatenate([random(B, 4, 13, seed=2), x], axis=1)
    mask = np.broadcast_to(np.arange(T + 4) >= 4, (B, 1, T + 4))
    np.testing.assert_allclose(layer(padded, attention_mask=mask)[:, 4:], layer(x), atol=1e-5)


def test_order_matters_but_values_are_not_turned():
    layer, x = attention(), random(B, T, 13)
    backwards = ops.flip(layer(ops.flip(x, axis=1)), axis=1)
    assert np.abs(ops.convert_to_numpy(backwards - layer(x))).max() > 1e-2
    _, value = layer.project_key_value(x)
    kernel, _ = of_attention(layer)["value"]
    joined = ops.convert_to_numpy(value).transpose(0, 2, 1, 3).reshape(B, T, -1)
    np.testing.assert_allclose(joined, x @ kernel, atol=1e-5)


def test_gradients_pass_through():
    x = tf.constant(random(B, H, T, K))
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = tf.reduce_sum(RotaryEmbedding()(x, np.arange(T)[None]) ** 2)
    np.testing.assert_allclose(tape.gradient(output, x), 2 * x, atol=1e-5)  # a turn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10000, "halves"), "`layout` must be one of interleaved, half. Received: 'halves'"),
        ((0,), "`max_wavelength` must be greater than 0. Received: 0"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RotaryEmbedding(*arguments)


def test_heads_of_an_odd_width_are_refused():
    layer = MultiHeadAttention(6, 2, position_encoder=RotaryEmbedding())
    with pytest.raises(ValueError, match=r"must be even: give .* another `key_dim`. Received: 3"):
        layer(random(B, T, 6))
