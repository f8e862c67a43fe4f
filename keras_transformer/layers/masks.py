"""Attention masks: pure functions that return boolean tensors, `True` = may be attended to.

Shape letters: B batch, S source length, T target length.
"""

from keras import ops


def padding_mask(ids, pad_id=0):
    """Returns the padding mask of token ids: `True` at real tokens, `False` at padding.

    Args:
        ids: Integer tensor of shape `(B, S)`.
        pad_id: Integer. The padding id.

    Returns:
        Boolean tensor of shape `(B, S)`.

    Example:

    >>> padding_mask(keras.ops.array([[7, 5, 0]])).numpy().tolist()
    [[True, True, False]]
    """
    return ops.not_equal(ids, pad_id)


def causal_mask(length):
    """Returns the causal mask: every position attends to itself and to the positions before it.

    Args:
        length: Integer or scalar tensor. Sequence length T.

    Returns:
        Boolean tensor of shape `(1, T, T)`: row `i` is the mask of query position `i`.

    Example:

    >>> causal_mask(3).numpy().astype(int).tolist()
    [[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    """
    positions = ops.arange(length, dtype="int32")
    return ops.greater_equal(positions[:, None], positions[None, :])[None]


def expand_mask(mask):
    """Adds the axis of query positions to a padding mask.

    Args:
        mask: Boolean tensor of shape `(B, S)` or `(B, T, S)`, or `None`.

    Returns:
        Boolean tensor of shape `(B, 1, S)` for a mask of shape `(B, S)`; any other mask, and
        `None`, unchanged.

    Example:

    >>> tuple(expand_mask(keras.ops.ones((2, 3), "bool")).shape)
    (2, 1, 3)
    """
    return mask[:, None, :] if mask is not None and len(mask.shape) == 2 else mask


def segment_mask(query_segments, value_segments):
    """Returns the mask of packed rows: every position attends to its own segment only.

    Args:
        query_segments: Integer tensor of shape `(B, T)`. Segment number of each query position;
            the sentences packed into a row have different numbers.
        value_segments: Integer tensor of shape `(B, S)`. Segment number of each position that may
            be attended to.

    Returns:
        Boolean tensor of shape `(B, T, S)`.

    Example:

    >>> segment_mask(keras.ops.array([[1, 2]]), keras.ops.array([[1, 1, 2]])).numpy().tolist()
    [[[True, True, False], [False, False, True]]]
    """
    return ops.equal(query_segments[:, :, None], value_segments[:, None, :])
