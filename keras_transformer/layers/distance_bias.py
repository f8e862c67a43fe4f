"""Attentions that add a bias for the distance to the logits: learned ones, and linear ones."""

import math

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.attention import DotProductAttention


@keras.saving.register_keras_serializable(package="keras_transformer")
class DistanceBias(DotProductAttention):
    """Attention with a learned bias for each head and range of distances, that of T5.

    Half of the ranges hold one distance each; the others grow with the distance, up to
    `max_distance`, from which on all share the last one ([Raffel et al.,
    2020](https://arxiv.org/abs/1910.10683), section 2.1). Unlike T5, which does not scale them,
    queries are scaled as usual, and every layer has its own biases.

    Args:
        num_ranges: Integer, even. Number of ranges; with `bidirectional`, half of them on each
            side.
        max_distance: Integer. Distance from which on biases are the same.
        bidirectional: Boolean. Whether later positions are seen, as in an encoder. `False`, for a
            decoder, leaves all ranges to the past.

    It is called as `DotProductAttention`.

    Raises:
        ValueError: If `num_ranges` is not a positive multiple of 4, or `max_distance` is too small
            for so many ranges.

    Example:

    >>> from keras_transformer import MultiHeadAttention
    >>> attention = MultiHeadAttention(8, num_heads=2, attention=DistanceBias())
    >>> tuple(attention(keras.ops.ones((3, 5, 8))).shape), attention.attention.count_params()
    ((3, 5, 8), 64)
    """

    def __init__(self, num_ranges=32, max_distance=128, bidirectional=True, **kwargs):
        super().__init__(**kwargs)
        if num_ranges < 4 or num_ranges % 4 or max_distance <= num_ranges // 2:
            raise ValueError(
                "`num_ranges` must be a multiple of 4, and `max_distance` more than half of it. "
                f"Received: num_ranges={num_ranges}, max_distance={max_distance}"
            )
        self.num_ranges = num_ranges
        self.max_distance = max_distance
        self.bidirectional = bidirectional

    def build(self, query_shape):
        shape = (self.num_ranges, query_shape[1])
        self.biases = self.add_weight(shape, "glorot_uniform", name="biases")

    def logits(self, query, key, distances):
        biases = ops.take(self.biases, self.range_of(distances), axis=0)  # (B or 1, T, S, H)
        biases = ops.cast(ops.transpose(biases, (0, 3, 1, 2)), query.dtype)
        return super().logits(query, key, distances) + biases

    def range_of(self, distances):
        """Returns the number of the range of each distance, an integer tensor of the same shape."""
        count = self.num_ranges // 2 if self.bidirectional else self.num_ranges
        exact = count // 2
        back = ops.abs(distances) if self.bidirectional else ops.maximum(-distances, 0)
        growth = (count - exact) / math.log(self.max_distance / exact)
        far = ops.log(ops.cast(ops.maximum(back, exact), "float32") / exact) * growth
        far = ops.minimum(exact + ops.cast(far, "int32"), count - 1)
        ranges = ops.where(back < exact, ops.cast(back, "int32"), far)
        return ranges + count * ops.cast(distances > 0, "int32") if self.bidirectional else ranges

    def get_config(self):
        return {
            **super().get_config(),
            "num_ranges": self.num_ranges,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
        }


@keras.saving.register_keras_serializable(package="keras_transformer")
class LinearBias(DotProductAttention):
    """Attention that prefers what is near, by a fixed slope for each head: ALiBi.

    Subtracts from the logits the distance times the slope of the head, 2^(-8/H), 2^(-16/H), ...,
    2^-8 ([Press et al., 2022](https://arxiv.org/abs/2108.12409)). It has no weights, and serves
    sentences longer than those of the training. Other positions are not needed.

    It is called as `DotProductAttention`.

    Example: Two heads, with the slopes 2^-4 and 2^-8.

    >>> x = keras.ops.zeros((1, 2, 3, 4))
    >>> _, scores = LinearBias()(x, x, x, return_attention_scores=True)
    >>> [[round(float(score), 2) for score in row] for row in scores[0, :, 0]]
    [[0.35, 0.33, 0.31], [0.33, 0.33, 0.33]]
    """

    def build(self, query_shape):
        self.slopes = np.reshape(_slopes(query_shape[1]), (-1, 1, 1)).astype("float32")

    def logits(self, query, key, distances):
        biases = self.slopes * ops.cast(ops.abs(distances), "float32")[:, None]  # (B or 1, H, T, S)
        return ops.cast(super().logits(query, key, distances), "float32") - biases


def _slopes(num_heads):
    """Returns the slope of each head; those between powers of 2 are taken from twice as many."""
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = 2.0 ** (-8 / power * np.arange(1, power + 1))
    if power == num_heads:
        return slopes
    return np.concatenate([slopes, _slopes(2 * power)[0::2][: num_heads - power]])
