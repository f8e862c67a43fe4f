"""Source and target as one sequence: every source with its target right behind it.

Shape letters: B batch, S source length, T target length.
"""

from typing import NamedTuple

from keras import ops


class JointSequence(NamedTuple):
    """The order of a source and a target, `(B, S + T)` side by side, as one sequence without gaps.

    The padding of the source moves to the end of the row. In packed rows, the target of each pair
    follows its own source.

    Attributes:
        order: Integer tensor of shape `(B, S + T)`: which column stands at each place.
        places: Integer tensor of shape `(B, S + T)`: at which place each column stands.
        source_length: Integer or scalar tensor, S.

    Example: A source of two tokens in three columns, and a target of two.

    >>> real = keras.ops.array([[True, True, False]])
    >>> joint = join_pairs(real, keras.ops.ones((1, 2), "bool"))
    >>> joint.arrange(keras.ops.array([[7, 2, 0]]), keras.ops.array([[1, 9]])).numpy().tolist()
    [[7, 2, 1, 9, 0]]
    """

    order: object
    places: object
    source_length: object

    def arrange(self, source, target):
        """Returns what belongs to each token, `(B, S)` and `(B, T)`, in the joint order."""
        columns = ops.concatenate([source, ops.cast(target, source.dtype)], axis=1)
        return ops.take_along_axis(columns, self.order, axis=1)

    def of_target(self, x):
        """Returns the rows of the target, `(B, T, D)`, of vectors in the joint order."""
        return take_rows(x, self.places[:, self.source_length :])

    def scores(self, scores):
        """Cuts attention scores, `(B, H, S + T, S + T)`, into those of source and target.

        Returns:
            Three tensors: of the source to itself, `(B, H, S, S)`, of the target to itself,
            `(B, H, T, T)`, and of the target to the source, `(B, H, T, S)`. The rows of the latter
            two add up to 1 together.
        """
        S = self.source_length
        places = self.places[:, None]
        rows = ops.take_along_axis(scores, places[..., None], axis=2)
        scores = ops.take_along_axis(rows, places[:, :, None], axis=3)
        return scores[:, :, :S, :S], scores[:, :, S:, S:], scores[:, :, S:, :S]


def join_pairs(source_real, target_real, segments=None):
    """Returns the `JointSequence` of sources and targets.

    Args:
        source_real: Boolean tensor of shape `(B, S)`: the padding mask of the sources.
        target_real: The same of the targets, `(B, T)`; their first tokens, BOS, included.
        segments: Tuple of the segments of packed rows, `(B, S)` and `(B, T)`. `None` means that a
            row holds one pair.
    """
    S, T = ops.shape(source_real)[1], ops.shape(target_real)[1]
    real = ops.concatenate([source_real, target_real], axis=1)
    columns = ops.arange(S + T, dtype="int32")[None]
    turn = ops.cast(columns >= S, "int32")  # the source, then the target
    if segments is not None:
        turn = turn + 2 * ops.cast(ops.concatenate(segments, axis=1), "int32")
    turn = ops.where(real, turn, 2 * (S + T + 1))
    order = ops.cast(ops.argsort(turn * (S + T) + columns, axis=1), "int32")
    return JointSequence(order, ops.cast(ops.argsort(order, axis=1), "int32"), S)


def joint_positions(source_real, source_positions, target_positions, segments=None):
    """Returns the position of each token in its pair, `(B, S)` and `(B, T)`.

    Those of a target count on from its source.

    Args:
        source_real: As in `join_pairs`.
        source_positions: Integer tensor of shape `(B or 1, S)`, positions in the source.
        target_positions: Integer tensor of shape `(B or 1, T)`, positions in the target.
        segments: As in `join_pairs`.

    Example:

    >>> real, ids = keras.ops.array([[True, True, False]]), keras.ops.array([[0, 1, 2]])
    >>> joint_positions(real, ids, ids)[1].numpy().tolist()
    [[2, 3, 4]]
    """
    real = ops.cast(source_real, "int32")
    if segments is None:
        lengths = ops.sum(real, axis=1)[:, None]
    else:
        of_pair = ops.equal(segments[1][:, :, None], segments[0][:, None, :])
        lengths = ops.sum(ops.cast(of_pair, "int32") * real[:, None, :], axis=2)
    source_positions = ops.broadcast_to(ops.cast(source_positions, "int32"), ops.shape(real))
    return source_positions, ops.cast(target_positions, "int32") + lengths


def next_tokens(source, source_real, segments, fill):
    """Returns the token after each source token within its source, `(B, S)`.

    Args:
        source: Integer tensor of shape `(B, S)`.
        source_real: As in `join_pairs`.
        segments: As in `join_pairs`.
        fill: Integer. What stands where no token of the source follows.

    Example:

    >>> source = keras.ops.array([[7, 5, 2, 0]])
    >>> next_tokens(source, source != 0, None, fill=0).numpy().tolist()
    [[5, 2, 0, 0]]
    """
    follows = source_real[:, 1:]
    if segments is not None:
        follows = ops.logical_and(follows, ops.equal(segments[0][:, 1:], segments[0][:, :-1]))
    following = ops.where(follows, source[:, 1:], ops.cast(fill, source.dtype))
    return ops.concatenate([following, ops.full_like(source[:, :1], fill)], axis=1)


def take_rows(x, places):
    """Returns `x[b, places[b]]` of every row, `(B, T, D)`."""
    return ops.take_along_axis(x, places[:, :, None], axis=1)
