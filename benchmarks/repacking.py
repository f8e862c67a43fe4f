"""Padded batches repacked into rows of several pairs: less padding, the same loss."""

from types import SimpleNamespace

import numpy as np


def repack(batches, length):
    """Packs the pairs of each batch into rows that hold several pairs.

    The loss is a mean over real tokens, and the pairs of a row do not attend to each other. So a
    step on a packed batch equals the step on the padded one, up to rounding and the random numbers
    of dropout. Batches of equal shape have equal shapes again.

    Args:
        batches: List of tuples of `source` `(B, S)`, `target` and `labels` `(B, T)`, padded with 0.
        length: Integer. Positions on each side of a row.

    Returns:
        List of `({"source": (R, length), ...}, labels)`, as `PackedBatches` yields them.
    """
    from keras_transformer.data import PackedBatches

    packed = []
    for batch in batches:
        rows = PackedBatches(_make_cache(*batch), length, length, batch_multiple=1)
        packed.append(list(rows.epoch(0)))  # batches of one row
    max_rows = {}  # by the shape of the source
    for (source, *_), rows in zip(batches, packed, strict=True):
        max_rows[source.shape] = max(max_rows.get(source.shape, 0), len(rows))
    return [
        _join_rows(rows, max_rows[source.shape])
        for (source, *_), rows in zip(batches, packed, strict=True)
    ]


def _join_rows(rows, size):
    """Joins single rows to a batch of `size` rows; rows of padding fill it up."""
    inputs, labels = zip(*rows, strict=True)
    empty = ((0, size - len(rows)), (0, 0))
    names = inputs[0]
    joined = {name: np.concatenate([row[name] for row in inputs]) for name in names}
    padded = {name: np.pad(array, empty) for name, array in joined.items()}
    return padded, np.pad(np.concatenate(labels), empty)


def _make_cache(source, target, labels):
    """Returns the attributes of a `TokenCache` that `PackedBatches` reads, for one batch."""
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
