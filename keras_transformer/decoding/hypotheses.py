"""Hypotheses of a search, their length normalization, and selection among them."""

from typing import NamedTuple

from keras import ops

IMPOSSIBLE = float("-inf")


class Hypotheses(NamedTuple):
    """The N hypotheses that a search returns for each of B source sentences, best first.

    Attributes:
        ids: Integer tensor of shape `(B, N, L)`: token ids, EOS included, followed by padding.
        log_probs: Tensor of shape `(B, N)`: sums of the tokens' log-probabilities.
        scores: Tensor of shape `(B, N)`: log-probabilities divided by `length_normalizer`. If a
            search has fewer than N hypotheses, the missing ones come last: their score is -inf and
            their ids are all padding.
        finished: Boolean tensor of shape `(B, N)`: whether the hypothesis ends with EOS. `False`
            means that it was cut off at the length limit.
    """

    ids: object
    log_probs: object
    scores: object
    finished: object


def length_normalizer(lengths, length_penalty):
    """Returns the divisor of log-probabilities in scores: `((5 + n) / 6) ** length_penalty`.

    Section 7 in [Wu et al., 2016](https://arxiv.org/abs/1609.08144). Every further token lowers the
    log-probability of a sentence, so without normalization a search prefers short sentences.

    Args:
        lengths: Integer tensor of any shape: the number of tokens n, EOS included.
        length_penalty: Float. Strength of the normalization; 0 disables it.

    Returns:
        Float32 tensor of the same shape.

    Example:

    >>> [round(float(length_normalizer(n, length_penalty=0.6)), 4) for n in (1, 10, 50)]
    [1.0, 1.7329, 3.7786]
    """
    return ops.power((5.0 + ops.cast(lengths, "float32")) / 6.0, length_penalty)


def take_rows(tensors, indices):
    """Gathers rows along axis 1 of every tensor in a named tuple.

    Args:
        tensors: Named tuple of tensors of shape `(B, N, ...)`.
        indices: Integer tensor of shape `(B, M)`.

    Returns:
        Named tuple of the same type, of tensors of shape `(B, M, ...)`.

    Example:

    >>> rows = Hypotheses(*[keras.ops.array([[5, 6, 7], [8, 9, 10]])] * 4)
    >>> take_rows(rows, keras.ops.array([[2, 0], [1, 1]])).ids.numpy().tolist()
    [[7, 5], [9, 9]]
    """

    def take(tensor):
        B, N, *rest = tensor.shape
        flat_indices = indices + ops.arange(B, dtype="int32")[:, None] * N
        return ops.take(ops.reshape(tensor, (B * N, *rest)), flat_indices, axis=0)

    return type(tensors)(*map(take, tensors))


def where(condition, x1, x2):
    """Selects sentences from two named tuples of tensors, as `ops.where` selects elements.

    Args:
        condition: Boolean tensor of shape `(B,)`.
        x1: Named tuple of tensors of shape `(B, ...)`, selected where `condition` is `True`.
        x2: Named tuple of the same type, selected elsewhere.

    Returns:
        Named tuple of the same type.
    """

    def select(one, other):
        return ops.where(ops.reshape(condition, (-1, *[1] * (len(one.shape) - 1))), one, other)

    return type(x1)(*map(select, x1, x2))
