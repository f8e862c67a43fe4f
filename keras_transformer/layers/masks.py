"""Who may see whom: pure functions that return boolean masks, `True` = may be seen.

B is the batch, S the source length, T the target length.
"""

from keras import ops


def padding_mask(ids, pad_id=0):
    """Marks the real tokens.

    Args:
        ids: Integer tensor of shape `(B, S)`.
        pad_id: Integer. The id that fills rows up.

    Returns:
        Boolean tensor of shape `(B, S)`, `False` at padding.

    Example:

    >>> padding_mask(keras.ops.array([[7, 5, 0]])).numpy().tolist()
    [[True, True, False]]
    """
    return ops.not_equal(ids, pad_id)


def causal_mask(length):
    """Lets every position see itself and the positions before it.

    Args:
        length: Integer or scalar tensor, T.

    Returns:
        Boolean tensor of shape `(1, T, T)`: row `i` says what position `i` sees.

    Example:

    >>> causal_mask(3).numpy().astype(int).tolist()
    [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    """
    positions = ops.arange(length, dtype="int32")
    return ops.greater_equal(positions[:, None], positions[None, :])[None]


def expand_mask(mask):
    """Adds the axis of query positions to a mask of visible positions.

    Args:
        mask: Boolean tensor of shape `(B, S)` or `(B, T, S)`, or `None`.

    Returns:
        A mask `(B, S)` as `(B, 1, S)`; anything else unchanged.

    Example:

    >>> tuple(expand_mask(keras.ops.ones((2, 3), "bool")).shape)
    (2, 1, 3)
    """
    return mask[:, None, :] if mask is not None and len(mask.shape) == 2 else mask


def segment_mask(query_segments, value_segments):
    """Keeps several sentences in one row apart: each sees its own segment only.

    Args:
        query_segments: Integer tensor of shape `(B, T)`: which sentence of the row
            each position belongs to.
        value_segments: The same for the positions that are looked at, `(B, S)`.

    Returns:
        Boolean tensor of shape `(B, T, S)`.

    Example:

    >>> segment_mask(keras.ops.array([[1, 2]]), keras.ops.array([[1, 1, 2]])).numpy().tolist()
    [[[True, True, False], [False, False, True]]]
    """
    return ops.equal(query_segments[:, :, None], value_segments[:, None, :])
