"""The pairs of a batch side by side in longer rows: less padding, the same loss."""

from types import SimpleNamespace

import numpy as np


def repack(batches, length):
    """Batches of the same pairs as others, with as many pairs in a row as it holds.

    The loss is a mean over real tokens, and the pairs of a row do not see each other: so a step on
    such a batch is the step on the padded one, up to rounding and to what dropout draws. Batches
    that had one shape have one shape again.

    Args:
        batches: Tuples of `source` `(B, S)`, `target` and `labels` `(B, T)`, padded with 0.
        length: Positions of a row on each side.

    Returns:
        For each, `({"source": (R, length), ...}, labels)`, as `PackedBatches` makes them.
    """
    from keras_transformer.data.buckets import BatchShape
    from keras_transformer.data.packing import pack_pairs
    from keras_transformer.data.rows import packed_batch

    caches = [_cache_of(*batch) for batch in batches]
    packed = [pack_pairs(cache.lengths, length) for cache in caches]
    most = {}  # rows that batches of a shape take
    for (source, *_), rows in zip(batches, packed, strict=True):
        most[source.shape] = max(most.get(source.shape, 0), len(rows))
    found = []
    for (source, *_), cache, rows in zip(batches, caches, packed, strict=True):
        size = most[source.shape]
        pairs, counts = rows.select(np.arange(len(rows)))
        counts = np.pad(counts, (0, size - len(rows)))
        found.append(packed_batch(cache, BatchShape(size, length, length), pairs, counts))
    return found


def _cache_of(source, target, labels):
    """What `packed_batch` reads of a `TokenCache`, for the pairs of one batch."""
    sources = [row[row != 0] for row in source]
    targets = [np.append(row[:1], ids[ids != 0]) for row, ids in zip(target, labels, strict=True)]
    lengths = np.array([[len(s), len(t) - 1] for s, t in zip(sources, targets, strict=True)])
    source_lengths, target_lengths = lengths.T
    return SimpleNamespace(
        lengths=lengths,
        source_lengths=source_lengths,
        source_ids=np.concatenate(sources),
        source_offsets=np.append(0, np.cumsum(source_lengths)),
        source_pad_id=0,
        target_lengths=target_lengths,
        target_ids=np.concatenate(targets),
        target_offsets=np.append(0, np.cumsum(target_lengths + 1)),
        target_pad_id=0,
    )
