"""Scaled dot-product attention: a pure function, and a layer with hooks for its variants."""

import keras
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import expand_mask

MASKED_SCORE = -1e9  # finite: a fully masked row gets uniform scores, not NaN


@refused_after_fork
def dot_product_attention(query, key, value, attention_mask=None):
    """Computes scaled dot-product attention, `softmax(Q K^T / sqrt(key_dim)) V`.

    Equation 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). The softmax is
    computed in float32, whatever the dtype of the inputs.

    Args:
        query: Tensor of shape `(B, H, T, K)`.
        key: Tensor of shape `(B, H, S, K)`, or with fewer heads, `(B, G, S, K)`, each of which
            serves `H / G` neighbouring heads of the queries.
        value: Tensor of the same shape.
        attention_mask: Boolean tensor that broadcasts to `(B, H, T, S)`, `True` = may be
            attended to. `None` means no mask.

    Returns:
        A tuple of the weighted sums of the values, `(B, H, T, K)`, and the attention scores after
        the softmax, float32, `(B, H, T, S)`.

    Example:

    >>> q, k = keras.ops.ones((2, 3, 5, 7)), keras.ops.ones((2, 3, 11, 7))
    >>> output, scores = dot_product_attention(q, k, k)
    >>> tuple(output.shape), tuple(scores.shape)
    ((2, 3, 5, 7), (2, 3, 5, 11))
    """
    logits = grouped_matmul(scale(query), ops.swapaxes(key, -1, -2))
    scores = masked_softmax(logits, attention_mask)
    return grouped_matmul(ops.cast(scores, value.dtype), value), scores


def grouped_matmul(x, y):
    """Multiplies the matrices of H heads by those of G heads, G a divisor of H.

    The heads of `x` come in G groups of neighbours, each of which shares a head of `y`; their rows
    are put below each other, so that nothing is repeated in memory.

    Args:
        x: Tensor of shape `(B, H, T, M)`.
        y: Tensor of shape `(B, G, M, N)`.

    Returns:
        Tensor of shape `(B, H, T, N)`.
    """
    if y.shape[1] in (None, x.shape[1]):
        return ops.matmul(x, y)
    (B, H, T, M), G = ops.shape(x), y.shape[1]
    product = ops.matmul(ops.reshape(x, (B, G, H // G * T, M)), y)
    return ops.reshape(product, (B, H, T, ops.shape(y)[-1]))


def scale(query):
    """Multiplies queries by `key_dim ** -0.5`."""
    return ops.multiply(query, ops.cast(query.shape[-1] ** -0.5, query.dtype))


def masked_softmax(logits, mask=None):
    """Returns the softmax over the last axis in float32; masked entries are 0."""
    logits = ops.cast(logits, "float32")
    if mask is not None:
        logits = ops.where(mask, logits, MASKED_SCORE)
    single_key = logits.shape[-1] == 1  # all scores are 1; Keras' softmax would log a warning
    return ops.exp(logits - logits) if single_key else ops.softmax(logits, axis=-1)


@keras.saving.register_keras_serializable(package="keras_transformer")
class DotProductAttention(Layer):
    """Scaled dot-product attention as a part of `MultiHeadAttention`, with five hooks.

    Computes the same as `dot_product_attention`. A subclass changes how positions relate to each
    other by overriding one or several of

    - `logits(query, key, distances)`: the logits before the softmax,
    - `mix(scores, value, distances)`: the weighted sums of the values,
    - `distances(positions, key_positions)`: how far keys are from queries,
    - `sees(positions, key_positions)`: which keys are seen, in addition to the mask,
    - `look_behind()`: how far a decoding step looks back at most, if that is less than all.

    `distances` are the positions of the keys minus those of the queries, integer
    `(B or 1, T, S)`: negative towards the past. They are the same in `call`, in packed rows and in
    decoding steps, where only those of visible keys have a meaning.

    Keys and values may have fewer heads than queries and scores, G instead of H (see
    `num_key_value_heads` of `MultiHeadAttention`); the methods of this class take either.

    Call arguments:
        query: Tensor of shape `(B, H, T, K)`.
        key: Tensor of shape `(B, G, S, K)`.
        value: Tensor of shape `(B, G, S, K)`.
        attention_mask: `AttentionMask`, or boolean tensor that broadcasts to `(B, T, S)`, `True` =
            may be attended to. `None` means no mask.
        positions: Integer tensor of shape `(B or 1, T)`: the positions of the queries in their
            sentences. `None` means 0 to T - 1.
        key_positions: The same for the keys, `(B or 1, S)`.
        dropout: Function, such as a `Dropout`, that is applied to the scores before they weigh the
            values. `None` means none. Scores are returned without it.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, H, T, K)`. If `return_attention_scores=True`, a tuple of that tensor
        and the scores after the softmax, float32, `(B, H, T, S)`.

    Example: Attention that prefers what is near, as in
    [Press et al., 2022](https://arxiv.org/abs/2108.12409), with the same slope for all heads.

    >>> class NearFirst(DotProductAttention):
    ...     def logits(self, query, key, distances):
    ...         bias = keras.ops.cast(keras.ops.abs(distances), query.dtype)
    ...         return super().logits(query, key, distances) - bias[:, None]
    >>> x = keras.ops.zeros((1, 1, 2, 3))
    >>> _, scores = NearFirst()(x, x, x, return_attention_scores=True)
    >>> [[round(float(score), 2) for score in row] for row in scores[0, 0]]
    [[0.73, 0.27], [0.27, 0.73]]
    """

    def logits(self, query, key, distances):
        """Returns the logits, `(B, H, T, S)`, of scaled queries, `(B, H, T, K)`, and keys."""
        return grouped_matmul(query, ops.swapaxes(key, -1, -2))

    def mix(self, scores, value, distances):
        """Returns the sums of the values, `(B, H, T, K)`, weighted by scores, `(B, H, T, S)`."""
        return grouped_matmul(scores, value)

    def distances(self, positions, key_positions):
        """Returns the distances that the other hooks get, `(B or 1, T, S)`.

        `positions` has shape `(B or 1, T, 1)` and `key_positions` `(B or 1, 1, S)`.
        """
        return ops.subtract(key_positions, positions)

    def sees(self, positions, key_positions):
        """Returns which keys may be seen: a boolean tensor `(B or 1, T, S)`; `None` means all.

        `positions` has shape `(B or 1, T, 1)` and `key_positions` `(B or 1, 1, S)`.
        """
        return None

    def look_behind(self):
        """Returns how many positions a decoding step may see, up to its own, without the prompt.

        The cache of a step keeps no more places than it needs for them. `None` means all.
        """
        return None

    def keys_compared(self, length):
        """Returns with how many keys each query of whole rows is compared, hidden ones included.

        Args:
            length: Integer. Length of the rows.
        """
        return length

    def call(
        self,
        query,
        key,
        value,
        attention_mask=None,
        positions=None,
        key_positions=None,
        dropout=None,
        return_attention_scores=False,
    ):
        positions = _or_all(positions, query)[:, :, None]
        key_positions = _or_all(key_positions, key)[:, None, :]
        distances = self.distances(positions, key_positions)
        attention_mask = expand_mask(attention_mask, ops.shape(query)[2])
        seen = self.sees(positions, key_positions)
        if seen is not None:
            is_masked = attention_mask is not None
            attention_mask = ops.logical_and(attention_mask, seen) if is_masked else seen
        mask = None if attention_mask is None else ops.expand_dims(attention_mask, -3)
        scores = masked_softmax(self.logits(scale(query), key, distances), mask)
        shares = ops.cast(scores, value.dtype)
        shares = shares if dropout is None else dropout(shares)
        outputs = self.mix(shares, value, distances)
        return (outputs, scores) if return_attention_scores else outputs


def _or_all(positions, x):
    """Returns the given positions, or 0 to T - 1 for `x` of shape `(B, H, T, K)`, `(1, T)`."""
    return ops.arange(ops.shape(x)[2], dtype="int32")[None] if positions is None else positions
