"""Rows of ids out of a token cache, padded to a shape."""

import numpy as np

from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.packing import ranges
from keras_transformer.data.token_cache import TokenCache

Batch = tuple[dict[str, np.ndarray], np.ndarray]

INPUTS = ("source", "target")
PACKED_INPUTS = tuple(side + part for side in INPUTS for part in ("", "_segments", "_positions"))


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


def packed_batch(
    cache: TokenCache, shape: BatchShape, pairs: np.ndarray, counts: np.ndarray
) -> Batch:
    """The batch whose rows hold several pairs each, one after the other on both sides.

    Args:
        cache: Where the ids are.
        shape: Shape of the batch. Its rows must hold their pairs.
        pairs: The numbers of the pairs, row after row, shape `(pairs,)`.
        counts: How many of them each row holds, shape `(batch_size,)`.

    Returns:
        `(inputs, labels)`, int32. Inputs are `"source"` `(B, S)` and `"target"` `(B, T)`, and for
        each side `"*_segments"`, from 1 in every row, 0 at padding, and `"*_positions"`, from 0 in
        every pair. Labels `(B, T)` are `target` one position earlier within each pair, EOS at the
        end of the pair.
    """
    size, source_length, target_length = shape
    source = _Layout(cache.source_lengths[pairs], counts, (size, source_length))
    target = _Layout(cache.target_lengths[pairs], counts, (size, target_length))
    source_starts, target_starts = cache.source_offsets[pairs], cache.target_offsets[pairs]
    inputs = {
        "source": source.gather(cache.source_ids, source_starts, cache.source_pad_id),
        "source_segments": source.segments(),
        "source_positions": source.positions(),
        "target": target.gather(cache.target_ids, target_starts, cache.target_pad_id),
        "target_segments": target.segments(),
        "target_positions": target.positions(),
    }
    return inputs, target.gather(cache.target_ids, target_starts + 1, cache.target_pad_id)


class _Layout:
    """Where the tokens of one side of some pairs stand: side by side from the start of their row.

    Args:
        lengths: Tokens of each pair, row after row.
        counts: How many pairs each row holds.
        shape: Rows and positions of the batch.
    """

    def __init__(self, lengths: np.ndarray, counts: np.ndarray, shape: tuple[int, int]):
        ends = np.concatenate([[0], np.cumsum(lengths)])  # if there were one long row
        rows = np.arange(len(counts)) * shape[1] - ends[np.cumsum(counts) - counts]
        self.lengths, self.counts, self.shape = lengths, counts, shape
        self.places = ranges(ends[:-1] + np.repeat(rows, counts), lengths)

    def gather(self, ids: np.ndarray, starts: np.ndarray, pad_id: int) -> np.ndarray:
        """Rows of flat ids: each pair has those from its start on."""
        return self._fill(ids[ranges(starts, self.lengths)], pad_id)

    def segments(self) -> np.ndarray:
        numbers = ranges(np.ones_like(self.counts), self.counts)
        return self._fill(np.repeat(numbers, self.lengths))

    def positions(self) -> np.ndarray:
        return self._fill(ranges(np.zeros_like(self.lengths), self.lengths))

    def _fill(self, values: np.ndarray, padding: int = 0) -> np.ndarray:
        filled = np.full(self.shape, padding, np.int32)
        filled.reshape(-1)[self.places] = values
        return filled
