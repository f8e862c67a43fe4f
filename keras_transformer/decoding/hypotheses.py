"""What a search finds, and how finds are compared."""

from typing import NamedTuple

from keras import ops

IMPOSSIBLE = float("-inf")


class Hypotheses(NamedTuple):
    """The sentences that a search found for each source, N of them, best first.

    Attributes:
        ids: `(B, N, L)`: their tokens, EOS included, then padding.
        log_probs: `(B, N)`: the sums of their tokens' log-probabilities.
        scores: `(B, N)`: these divided by `length_normalizer`. A hypothesis that does not exist
            has the score -inf and no ids.
        finished: `(B, N)`: whether each ended with EOS; if not, it ran into the length limit.
    """

    ids: object
    log_probs: object
    scores: object
    finished: object


def length_normalizer(lengths, length_penalty):
    """What log-probabilities are divided by to be compared: `((5 + n) / 6) ** length_penalty`.

    Section 7 in [Wu et al., 2016](https://arxiv.org/abs/1609.08144). Each further token makes a
    sentence less probable, so without it the shortest would win.

    Args:
        lengths: Integer tensor of any shape: n, the numbers of tokens, EOS included.
        length_penalty: Float. How strong it is; 0 makes it 1 for every length.

    Example:

    >>> [round(float(length_normalizer(n, length_penalty=0.6)), 4) for n in (1, 10, 50)]
    [1.0, 1.7329, 3.7786]
    """
    return ops.power((5.0 + ops.cast(lengths, "float32")) / 6.0, length_penalty)


def take_rows(rows, order):
    """Rows of every tensor in a named tuple: `(B, N, ...)` and places `(B, M)` to `(B, M, ...)`.

    Example:

    >>> found = Hypotheses(*[keras.ops.array([[5, 6, 7], [8, 9, 10]])] * 4)
    >>> take_rows(found, keras.ops.array([[2, 0], [1, 1]])).ids.numpy().tolist()
    [[7, 5], [9, 9]]
    """

    def take(tensor):
        B, N, *rest = tensor.shape
        places = order + ops.arange(B, dtype="int32")[:, None] * N
        return ops.take(ops.reshape(tensor, (B * N, *rest)), places, axis=0)

    return type(rows)(*map(take, rows))


def where(condition, rows, others):
    """Of two named tuples, sentence by sentence, the one or the other; `condition` is `(B,)`."""

    def choose(one, other):
        return ops.where(ops.reshape(condition, (-1, *[1] * (len(one.shape) - 1))), one, other)

    return type(rows)(*map(choose, rows, others))
