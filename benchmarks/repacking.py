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
    from keras_transformer.data import PackedBatches

    packed = []
    for batch in batches:
        rows = PackedBatches(_cache_of(*batch), length, length, batch_multiple=1)
        packed.append(list(rows.epoch(0)))  # batches of one row
    most = {}  # rows that batches of a shape take
    for (source, *_), rows in zip(batches, packed, strict=True):
        most[source.shape] = max(most.get(source.shape, 0), len(rows))
    return [
        _joined(rows, most[source.shape])
        for (source, *_), rows in zip(batches, packed, strict=True)
    ]


def _joined(rows, size):
    """One batch of `size` rows, the last of which may be padding from end to end."""
    inputs, labels = zip(*rows, strict=True)
    empty = ((0, size - len(rows)), (0, 0))
    names = inputs[0]
    joined = {name: np.concatenate([row[name] for row in inputs]) for name in names}
    padded = {name: np.pad(array, empty) for name, array in joined.items()}
    return padded, np.pad(np.concatenate(labels), empty)


def _cache_of(source, target, labels):
    """What `PackedBatches` reads of a `TokenCache`, for the pairs of one batch."""
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
