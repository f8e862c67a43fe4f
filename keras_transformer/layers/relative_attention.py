"""Attention with a learned vector for each distance."""

import keras
from keras import ops

from keras_transformer.layers.attention import DotProductAttention


@keras.saving.register_keras_serializable(package="keras_transformer")
class RelativeAttention(DotProductAttention):
    """Self-attention with a learned vector for each distance, as part of a `MultiHeadAttention`.

    A vector for the distance from the query to the key is added to the key, and another one to the
    value ([Shaw et al., 2018](https://arxiv.org/abs/1803.02155)). All distances greater than
    `max_distance` share a vector on either side, and all heads share the tables, whose rows belong
    to the distances `-max_distance` to `max_distance`. The model needs no other positions. As in
    the paper, use it in self-attention only.

    Args:
        max_distance: Integer. Distance from which on vectors are the same; 16 for the paper's base
            model, 8 for its big one.
        values: Boolean. Whether values have vectors too. Keys always have.

    It is called as `DotProductAttention`.

    Raises:
        ValueError: If `max_distance` is negative.

    Example:

    >>> from keras_transformer import MultiHeadAttention
    >>> attention = MultiHeadAttention(8, num_heads=2, attention=RelativeAttention(3))
    >>> tuple(attention(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    >>> [tuple(weight.shape) for weight in attention.attention.weights]
    [(7, 4), (7, 4)]
    """

    def __init__(self, max_distance=16, values=True, **kwargs):
        super().__init__(**kwargs)
        if max_distance < 0:
            raise ValueError(f"`max_distance` must be at least 0. Received: {max_distance}")
        self.max_distance = max_distance
        self.values = values

    def build(self, query_shape):
        shape = (2 * self.max_distance + 1, query_shape[-1])
        self.key_table = self.add_weight(shape, "glorot_uniform", name="key_table")
        if self.values:
            self.value_table = self.add_weight(shape, "glorot_uniform", name="value_table")

    def logits(self, query, key, distances):
        # The products of a query with the table, one for each row, and from these that of each key.
        products = ops.matmul(query, ops.transpose(ops.cast(self.key_table, query.dtype)))
        rows, axes = self._rows(distances, query.dtype)
        relative = ops.einsum(f"bhtn,{axes}->bhts", products, rows)
        return super().logits(query, key, distances) + relative

    def mix(self, scores, value, distances):
        mixed = super().mix(scores, value, distances)
        if not self.values:
            return mixed
        rows, axes = self._rows(distances, scores.dtype)
        sums = ops.einsum(f"bhts,{axes}->bhtn", scores, rows)
        return mixed + ops.matmul(sums, ops.cast(self.value_table, scores.dtype))

    def _rows(self, distances, dtype):
        """Returns the row of the tables of each distance, one-hot, and the names of its axes.

        Products with these zeros and ones are as fast as looking the rows up on a CPU, need far
        less memory than a vector for each pair of positions, and no scattering of gradients.
        """
        near = ops.clip(distances, -self.max_distance, self.max_distance) + self.max_distance
        one_for_all = near.shape[0] == 1  # unless rows are packed
        near = near[0] if one_for_all else near
        rows = ops.one_hot(near, 2 * self.max_distance + 1, dtype=dtype)
        return rows, "tsn" if one_for_all else "btsn"

    def get_config(self):
        return {**super().get_config(), "max_distance": self.max_distance, "values": self.values}
