"""Compression to fewer positions and back: lengths, and that padding does not matter."""

import numpy as np
import pytest
import tensorflow as tf

import keras_transformer as kt
from keras_transformer.layers.sequence_compression import compressed_mask
from tests.weights import random, randomize

B, D = 3, 7


def built(layer):
    layer.build((None, None, D))
    return randomize(layer)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 23])
def test_eight_positions_become_one_and_eight_again(length):
    compressor, expander = kt.SequenceCompressor(D, 3), kt.SequenceExpander(D, 3)
    latents = compressor(random(B, length, D))
    assert tuple(latents.shape) == (B, -(-length // 8), D)
    assert compressor.compute_output_shape((B, length, D)) == tuple(latents.shape)
    expanded = expander(latents)
    assert tuple(expanded.shape) == (B, 8 * -(-length // 8), D)
    assert expander.compute_output_shape(tuple(latents.shape)) == tuple(expanded.shape)


def test_padding_does_not_matter():
    """The latents of a sentence, and what becomes of them, are those of the sentence alone."""
    compressor, expander = built(kt.SequenceCompressor(D, 2)), built(kt.SequenceExpander(D, 2))
    lengths, x = [13, 5, 8], random(B, 13, D, seed=1)
    mask = np.arange(13)[None] < np.array(lengths)[:, None]
    latents = compressor(x, attention_mask=mask)
    real = compressed_mask(mask, 2)
    np.testing.assert_array_equal(np.sum(real, axis=1), [4, 2, 2])
    expanded = expander(latents, attention_mask=real)
    for row, length in enumerate(lengths):
        alone = compressor(x[row : row + 1, :length])
        count = alone.shape[1]
        np.testing.assert_allclose(latents[row, :count], alone[0], atol=1e-5)
        np.testing.assert_array_equal(latents[row, count:], 0)
        np.testing.assert_allclose(expanded[row, : 4 * count], expander(alone)[0], atol=1e-4)


def test_a_latent_depends_on_the_positions_nearby():
    """On its two, and on three more on each side, with three convolutions of kernel size 3."""
    compressor, x = built(kt.SequenceCompressor(D, 1)), tf.constant(random(1, 24, D, seed=2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        latent = compressor(x)[:, 5]
    reached = np.abs(tape.gradient(latent, x)).max(axis=(0, 2)) > 0
    assert np.flatnonzero(reached).tolist() == list(range(7, 15))


def test_a_compiled_length_may_be_any():
    compressor = built(kt.SequenceCompressor(D, 3))
    compiled = tf.function(compressor, input_signature=[tf.TensorSpec((None, None, D))])
    for length in (5, 16, 17):
        x = random(2, length, D)
        np.testing.assert_allclose(compiled(x), compressor(x), atol=1e-5)
