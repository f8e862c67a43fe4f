"""Collation: batches of padded or packed rows of ids from a token cache."""

import numpy as np

from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.packing import ranges
from keras_transformer.data.token_cache import TokenCache

Batch = tuple[dict[str, np.ndarray], np.ndarray]

INPUTS = ("source", "target")
PACKED_TEXT = ("target", "target_segments", "target_positions")
PACKED_INPUTS = tuple(side + part for side in INPUTS for part in ("", "_segments", "_positions"))


def padded_batch(cache: TokenCache, shape: BatchShape, pairs: np.ndarray) -> Batch:
    """Collates pairs into a padded batch, one pair per row.

    Args:
        cache: The token cache.
        shape: Shape of the batch. Every pair must fit it, and there are at most `batch_size` pairs.
        pairs: Indices of the pairs, shape `(pairs,)`. The remaining rows are all padding.

    Returns:
        `({"source": (B, S), "target": (B, T)}, labels)`, int32. Labels have shape `(B, T)` and are
        `target` shifted left by one position, with EOS at the end.
    """
    size, source_length, target_length = shape
    source = _gather(
        cache.source_ids, cache.source_offsets, pairs, (size, source_length), cache.source_pad_id
    )
    bos_to_eos = _gather(
        cache.target_ids,
        cache.target_offsets,
        pairs,
        (size, target_length + 1),
        cache.target_pad_id,
    )
    target = bos_to_eos[:, :-1].copy()
    lengths = cache.target_lengths[pairs]
    rows = np.flatnonzero(lengths < target_length)
    target[rows, lengths[rows]] = cache.target_pad_id  # EOS appears in the labels only
    return {"source": source, "target": target}, bos_to_eos[:, 1:].copy()


def _gather(
    ids: np.ndarray, offsets: np.ndarray, pairs: np.ndarray, shape: tuple[int, int], pad_id: int
) -> np.ndarray:
    """Gathers sentences of flat `ids` into padded int32 rows: row n holds that of `pairs[n]`."""
    starts = offsets[pairs]
    lengths = offsets[pairs + 1] - starts
    columns = np.arange(shape[1])
    is_token = columns < lengths[:, None]  # (pairs, columns)
    rows = np.full(shape, pad_id, np.int32)
    rows[: len(pairs)][is_token] = ids[(starts[:, None] + columns)[is_token]]
    return rows


def packed_batch(
    cache: TokenCache, shape: BatchShape, pairs: np.ndarray, counts: np.ndarray
) -> Batch:
    """Collates pairs into a packed batch, several pairs per row.

    Args:
        cache: The token cache.
        shape: Shape of the batch. The pairs of each row must fit it.
        pairs: Indices of the pairs, row by row, shape `(pairs,)`.
        counts: Number of pairs in each row, shape `(batch_size,)`.

    Returns:
        `(inputs, labels)`, int32. Inputs are `"source"` `(B, S)` and `"target"` `(B, T)`, and for
        each side `"*_segments"`, which count from 1 in each row and are 0 at padding, and
        `"*_positions"`, which count from 0 in each pair. Labels `(B, T)` are `target` shifted left
        by one position within each pair, with EOS at its end.
    """
    size, source_length, target_length = shape
    source = _PackedLayout(cache.source_lengths[pairs], counts, (size, source_length))
    target = _PackedLayout(cache.target_lengths[pairs], counts, (size, target_length))
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


def packed_texts(pieces, shape: BatchShape, numbers: np.ndarray, counts: np.ndarray) -> Batch:
    """Collates pieces of texts into a packed batch, several pieces per row.

    Args:
        pieces: `TextPieces`.
        shape: Shape of the batch. The pieces of each row must fit it.
        numbers: Indices of the pieces, row by row, shape `(pieces,)`.
        counts: Number of pieces in each row, at most as many as the batch has rows. The remaining
            rows are all padding.

    Returns:
        `(inputs, labels)`, int32 of shape `(B, T)` each. Inputs are `"target"`,
        `"target_segments"`, which count from 1 in each row and are 0 at padding, and
        `"target_positions"`, which count from 0 in each piece.
    """
    size, _, length = shape
    counts = np.pad(counts, (0, size - len(counts)))
    lengths, starts = pieces.lengths[numbers, 1], pieces.offsets[numbers]
    layout = _PackedLayout(lengths, counts, (size, length))
    inputs = {
        "target": layout.gather(pieces.inputs, starts, pieces.pad_id),
        "target_segments": layout.segments(),
        "target_positions": layout.positions(),
    }
    return inputs, layout.gather(pieces.labels, starts, pieces.pad_id)


class _PackedLayout:
    """The layout of one side of a packed batch: the position of every token.

    Args:
        lengths: Number of tokens of each pair, row by row.
        counts: Number of pairs in each row.
        shape: Rows and positions of the batch.
    """

    def __init__(self, lengths: np.ndarray, counts: np.ndarray, shape: tuple[int, int]):
        ends = np.concatenate([[0], np.cumsum(lengths)])  # in one long row
        shifts = np.arange(len(counts)) * shape[1] - ends[np.cumsum(counts) - counts]
        self.lengths, self.counts, self.shape = lengths, counts, shape
        self.indices = ranges(ends[:-1] + np.repeat(shifts, counts), lengths)  # into flat rows

    def gather(self, ids: np.ndarray, starts: np.ndarray, pad_id: int) -> np.ndarray:
        """Returns packed rows of flat `ids`, with the ids of each pair from its start on."""
        return self._fill(ids[ranges(starts, self.lengths)], pad_id)

    def segments(self) -> np.ndarray:
        """Returns the segment of each token, from 1 in each row, 0 at padding."""
        numbers = ranges(np.ones_like(self.counts), self.counts)
        return self._fill(np.repeat(numbers, self.lengths))

    def positions(self) -> np.ndarray:
        """Returns the position of each token within its pair, from 0."""
        return self._fill(ranges(np.zeros_like(self.lengths), self.lengths))

    def _fill(self, values: np.ndarray, padding: int = 0) -> np.ndarray:
        rows = np.full(self.shape, padding, np.int32)
        rows.reshape(-1)[self.indices] = values
        return rows
