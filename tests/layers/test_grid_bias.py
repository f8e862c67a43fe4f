"""Attention from an image to a small one: linear biases for the distances between their pixels."""

import numpy as np
import pytest

import keras_transformer as kt
from tests.weights import random

H, K = 2, 5


def middle(index, count, of):
    """The middle of the pixels, of `of` ones, that one of `count` stands for."""
    pixels = np.arange(of)
    return pixels[(pixels * count) // of == index].mean()


def biases(layer, query, key):
    """The difference to the logits of the standard attention, `(H, T, S)`."""
    q, k = random(1, H, query, K), random(1, H, key, K, seed=2)
    layer.build(q.shape)
    places = np.arange(query)[None, :, None], np.arange(key)[None, None]
    distances = layer.distances(*places)
    plain = kt.DotProductAttention().logits(q, k, distances)
    return np.asarray(layer.logits(q, k, distances) - plain)[0]


@pytest.mark.parametrize(("channels", "cells"), [(1, 1), (3, 3), (3, 1)])
@pytest.mark.parametrize("blocks", [None, (2, 3)])
def test_what_it_subtracts_is_the_distance_of_the_pixels_times_the_slopes(channels, cells, blocks):
    layer = kt.GridBias((4, 6, channels), (2, 3, channels), blocks, cells)
    found = biases(layer, 24 * cells, 6 * cells)
    order = kt.LocalAttention2D((4, 6 * cells), blocks or (4, 6 * cells), (0, 0)).generation_order()
    for t, (row, column) in enumerate(order):
        for s in range(6 * cells):
            small_row, small_column = divmod(s, 3 * cells)
            far = np.hypot(
                row - middle(small_row, 2, 4), column // cells - middle(small_column // cells, 3, 6)
            )
            np.testing.assert_allclose(found[:, t, s], [-(2**-4) * far, -(2**-8) * far], atol=1e-5)


def test_what_is_no_shape_is_refused():
    with pytest.raises(ValueError, match=r"`small_shape` must be three integers.*=\(2, 3\)"):
        kt.GridBias((4, 6, 1), (2, 3))


def test_of_equal_keys_the_nearest_has_the_highest_score():
    """So the mean of what is seen follows the small image before anything is learned."""
    layer = kt.GridBias((8, 8, 1), (2, 2, 1))
    heads = np.zeros((1, H, 64, K)), np.zeros((1, H, 4, K)), np.zeros((1, H, 4, K))
    _, scores = layer(*(x.astype("float32") for x in heads), return_attention_scores=True)
    rows, columns = np.divmod(np.arange(64), 8)
    best = np.asarray(scores)[0].argmax(axis=-1)
    np.testing.assert_array_equal(best, np.tile(rows // 4 * 2 + columns // 4, (H, 1)))
