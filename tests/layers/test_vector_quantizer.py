"""Vector quantization: the nearest vectors, codebooks that follow, and gradients that pass."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_transformer as kt
from tests.weights import random

B, M, D, K, S = 3, 7, 12, 5, 3  # S slices of 4, of codebooks of K
INPUTS = random(B, M, D, seed=1)


def quantizer(**options):
    layer = kt.DecomposedVectorQuantizer(D, K, S, **{"seed": 3, **options})
    layer.build((B, M, D))
    return layer


def parts_of(layer, inputs):
    if layer.mode == "project":
        return np.einsum("bmd,sde->bmse", inputs, ops.convert_to_numpy(layer.projections))
    return inputs.reshape(*inputs.shape[:-1], S, D // S)


@pytest.mark.parametrize("mode", ["slice", "project"])
def test_every_part_becomes_the_nearest_of_its_codebook(mode):
    layer = quantizer(mode=mode)
    books = ops.convert_to_numpy(layer.codebooks)
    outputs, codes = ops.convert_to_numpy(layer(INPUTS)), ops.convert_to_numpy(layer.codes(INPUTS))
    parts = parts_of(layer, INPUTS)
    for b, m in np.ndindex(B, M):
        distances = [((books[s] - parts[b, m, s]) ** 2).sum(axis=-1) for s in range(S)]
        nearest = [int(np.argmin(one)) for one in distances]
        expected = np.concatenate([books[s, number] for s, number in enumerate(nearest)])
        np.testing.assert_allclose(outputs[b, m], expected, atol=1e-5)
        assert codes[b, m] == sum(number * K**s for s, number in enumerate(nearest))
    np.testing.assert_allclose(layer.embed(codes), outputs, atol=1e-5)


def test_every_code_has_vectors_of_its_own():
    layer = quantizer()
    codes = np.arange(layer.num_codes)[None]
    assert layer.num_codes == K**S
    np.testing.assert_array_equal(layer.codes(layer.embed(codes)), codes)


def test_a_single_slice_is_vector_quantization():
    one, other = kt.VectorQuantizer(D, K, seed=3), kt.DecomposedVectorQuantizer(D, K, 1, seed=3)
    for _ in range(3):
        np.testing.assert_array_equal(one(INPUTS, training=True), other(INPUTS, training=True))
    np.testing.assert_array_equal(one.codebooks, other.codebooks)
    assert type(one).from_config(one.get_config()).get_config() == one.get_config()


def test_the_gradient_passes_unchanged():
    layer, x = quantizer(commitment=0.0), tf.constant(INPUTS)
    weights = random(B, M, D, seed=4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = ops.sum(layer(x, training=True) * weights)
    np.testing.assert_allclose(tape.gradient(total, x), weights, atol=1e-6)
    assert layer.losses == []


def test_codebooks_come_to_the_means_at_the_rate_of_the_decay():
    """With one vector for each cluster in each step, which lies there exactly."""
    layer = kt.VectorQuantizer(D, K, decay=0.9, epsilon=0.0, seed=3)
    layer.build()
    first = ops.convert_to_numpy(layer.codebooks)
    clusters = first + 0.1 * random(1, K, D, seed=5)
    for step in range(1, 8):
        layer(clusters, training=True)
        expected = clusters + 0.9**step * (first - clusters)
        np.testing.assert_allclose(layer.codebooks, expected, atol=1e-5)
    before = ops.convert_to_numpy(layer.codebooks)
    layer(clusters)
    np.testing.assert_array_equal(layer.codebooks, before)


def test_the_loss_is_the_distance_of_real_positions():
    layer, real = quantizer(commitment=0.25), np.arange(M)[None] < np.array([[7], [2], [4]])
    books = ops.convert_to_numpy(layer.codebooks)
    parts = parts_of(layer, INPUTS)
    distances = ((parts[:, :, :, None] - books) ** 2).mean(axis=-1).min(axis=-1).mean(axis=-1)
    counts = ops.convert_to_numpy(layer.counts)
    layer(INPUTS, attention_mask=ops.array(real), training=True)
    assert float(layer.losses[0]) == pytest.approx(0.25 * distances[real].mean(), rel=1e-4)
    added = ops.convert_to_numpy(layer.counts) - layer.decay * counts
    np.testing.assert_allclose(added.sum(axis=-1) / (1 - layer.decay), real.sum(), rtol=1e-3)


def test_a_vector_that_nothing_is_near_stays_finite():
    layer = kt.VectorQuantizer(D, 50, decay=0.5, seed=3)
    for _ in range(200):
        layer(INPUTS, training=True)
    assert np.isfinite(ops.convert_to_numpy(layer.codebooks)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_slices": 5}, "`d_model` must be a multiple of `num_slices`. Received: d_model=12"),
        ({"mode": "both"}, "`mode` must be 'slice' or 'project'. Received: 'both'"),
        ({"codes_per_slice": 2**11, "num_slices": 3}, "must be numbers of 31 bits"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kt.DecomposedVectorQuantizer(D, **{"codes_per_slice": K, **options})


def codes_used(num_slices, seed=0):
    """Returns the number of codes, of 256, for the centres of 256 clusters, off the middle."""
    generator = np.random.default_rng(seed)
    centres = (generator.normal(size=(256, 16)) + 1).astype("float32")
    per_slice = 2 ** (8 // num_slices)
    layer = kt.DecomposedVectorQuantizer(16, per_slice, num_slices, decay=0.99, seed=seed)
    layer.build()
    train = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    for _ in range(2000):
        some = centres[generator.integers(0, 256, 512)]
        train(tf.constant(some + 0.05 * generator.normal(size=some.shape).astype("float32"))[None])
    return len(np.unique(layer.codes(centres[None])))


@pytest.mark.slow
def test_slices_use_more_of_their_codes():
    """Of clusters off the codebooks' first vectors, but not far."""
    one, two, four = (codes_used(number) for number in (1, 2, 4))
    assert one < 70 < 110 < two < four
