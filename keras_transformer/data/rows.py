"""Rows of ids out of a token cache, padded to a shape."""

import numpy as np

from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.token_cache import TokenCache

Batch = tuple[dict[str, np.ndarray], np.ndarray]


def padded_batch(cache: TokenCache, shape: BatchShape, pairs: np.ndarray) -> Batch:
    """The batch that holds some pairs.

    Args:
        cache: Where the ids are.
        shape: Shape of the batch. It must hold the pairs, at most `batch_size` of them.
        pairs: Their numbers, shape `(pairs,)`. Rows beyond them are padding from end to end.

    Returns:
        `({"source": (B, S), "target": (B, T)}, labels)`, int32. Labels have shape `(B, T)`: at each
        position the id that `target` has at the next, and EOS at the last.
    """
    size, source_length, target_length = shape
    source = _gather(
        cache.source_ids, cache.source_offsets, pairs, (size, source_length), cache.source_pad_id
    )
    whole = _gather(
        cache.target_ids,
        cache.target_offsets,
        pairs,
        (size, target_length + 1),
        cache.target_pad_id,
    )
    target = whole[:, :-1].copy()
    lengths = cache.target_lengths[pairs]
    rows = np.flatnonzero(lengths < target_length)
    target[rows, lengths[rows]] = cache.target_pad_id  # EOS is for the labels alone
    return {"source": source, "target": target}, whole[:, 1:].copy()


def _gather(
    ids: np.ndarray, offsets: np.ndarray, pairs: np.ndarray, shape: tuple[int, int], pad_id: int
) -> np.ndarray:
    """Rows of flat ids, int32 of `shape`: row n starts with the sentence of `pairs[n]`."""
    starts = offsets[pairs]
    lengths = offsets[pairs + 1] - starts
    columns = np.arange(shape[1])
    real = columns < lengths[:, None]  # (pairs, columns)
    filled = np.full(shape, pad_id, np.int32)
    filled[: len(pairs)][real] = ids[(starts[:, None] + columns)[real]]
    return filled
