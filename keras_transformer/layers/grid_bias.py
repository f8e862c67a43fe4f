"""Attention to a small image that prefers what is near: linear biases in two dimensions."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.distance_bias import LinearBias
from keras_transformer.layers.grid_places import cell_places, checked_shape


@keras.saving.register_keras_serializable(package="keras_transformer")
class GridBias(LinearBias):
    """Attention from an image to a small one that prefers what is near.

    For each cell of the image, a pixel or one of its channels, it subtracts from the logits the
    distance in pixels between its place and those of the cells of the small image, times a slope:
    those of `LinearBias`, in two dimensions. So the cells that stand for the same part need not be
    found by learning alone.

    Args:
        image_shape: Tuple of three integers: rows, columns and channels of the image.
        small_shape: The same of the small image, which has all of its places in the image.
        query_shape: Tuple of two integers, those of `LocalAttention2D`, for an image that is
            generated block by block; `None` means row by row.
        cells: Integer. Number of cells of a pixel, which stand side by side.

    Call arguments:
        query, key, value, attention_mask, positions, key_positions, return_attention_scores: As in
            `DotProductAttention`. Queries are cells of the image, keys those of the small one.

    Returns:
        As `DotProductAttention`.

    Raises:
        ValueError: If a shape is none.

    Example: Each of four pixels sees the nearer one of two a little better.

    >>> x, y = keras.ops.zeros((1, 1, 4, 3)), keras.ops.zeros((1, 1, 2, 3))
    >>> layer = GridBias(image_shape=(1, 4, 1), small_shape=(1, 2, 1))
    >>> _, scores = layer(x, y, y, return_attention_scores=True)
    >>> [round(float(score), 4) for score in scores[0, 0, :, 0]]
    [0.502, 0.501, 0.499, 0.498]
    """

    def __init__(self, image_shape, small_shape, query_shape=None, cells=1, **kwargs):
        super().__init__(**kwargs)
        self.image_shape = checked_shape("image_shape", image_shape)
        self.small_shape = checked_shape("small_shape", small_shape)
        self.query_shape = None if query_shape is None else tuple(query_shape)
        self.cells = cells
        self._places = cell_places(self.image_shape, cells, self.query_shape)[:, :2]
        small = cell_places(self.small_shape, cells, None, self.image_shape)
        self._small_places = small[:, :2]

    def distances(self, positions, key_positions):
        differences = _taken(self._small_places, key_positions) - _taken(self._places, positions)
        return ops.sqrt(ops.sum(ops.square(differences), axis=-1))

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": list(self.image_shape),
            "small_shape": list(self.small_shape),
            "query_shape": None if self.query_shape is None else list(self.query_shape),
            "cells": self.cells,
        }


def _taken(places, positions):
    """Returns the places, `(..., 2)`, at positions; beyond the last cell, that of the last."""
    return ops.take(places, ops.clip(positions, 0, np.int32(len(places) - 1)), axis=0)
