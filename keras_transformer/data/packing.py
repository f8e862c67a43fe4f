"""Packing: assignment of several sentence pairs to a row such that both sides fill up."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PackedRows:
    """Rows of pairs: row n holds `pairs[starts[n] : starts[n + 1]]`.

    Attributes:
        pairs: Indices of all pairs, row by row, shape `(pairs,)`.
        starts: Start of each row in `pairs`, and the end, shape `(rows + 1,)`.
    """

    pairs: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def select(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the pairs of some rows, row by row, and the number of pairs in each row."""
        counts = self.starts[rows + 1] - self.starts[rows]
        return self.pairs[ranges(self.starts[rows], counts)], counts


def pack_pairs(lengths: np.ndarray, length: int, seed: int = 0) -> PackedRows:
    """Packs every pair into a row of `length` source and `length` target positions.

    This is two-dimensional vector bin packing by the dot-product heuristic
    ([Panigrahy et al., 2011](
    https://www.microsoft.com/en-us/research/publication/heuristics-for-vector-bin-packing/)): a
    row takes pairs until none fits, each time the pair whose lengths have the largest dot product
    with the remaining capacity. Long pairs therefore come first, and a pair with one long side
    goes where that side has space. Pairs of equal lengths are one kind, and equal rows are built
    together as long as there are pairs for them
    ([Krell et al., 2021](https://arxiv.org/abs/2107.02027)). The number of search rounds is about
    the number of kinds, at most `length ** 2`, and does not grow with the number of pairs.

    Args:
        lengths: Positions of source and target of each pair, at least 1, shape `(pairs, 2)`.
        length: Number of positions on each side of a row.
        seed: Seed of the order of pairs of equal lengths.

    Returns:
        The rows; every pair is in exactly one.

    Raises:
        ValueError: A pair is longer than a row.

    Example:

    >>> rows = pack_pairs(np.array([[6, 2], [1, 5], [3, 3], [4, 4]]), length=7)
    >>> [rows.pairs[start:end].tolist() for start, end in zip(rows.starts, rows.starts[1:])]
    [[3, 2], [0, 1]]
    """
    _check_fit(lengths, length)
    dtype = np.min_scalar_type(length * length - 1)  # uint16 up to length 256, which sorts fast
    sources, targets = (lengths - 1).astype(dtype).T
    codes = sources * length + targets
    kinds, counts = np.unique(codes, return_counts=True)
    sizes = np.stack(np.divmod(kinds.astype(np.int64), length), axis=1) + 1  # (kinds, 2)
    shuffled = np.random.default_rng(seed).permutation(np.arange(len(lengths), dtype=np.int32))
    by_kind = shuffled[np.argsort(codes[shuffled], kind="stable")]
    return _fill_rows(by_kind, counts, list(_patterns(sizes, counts, length)))


def pack_each(
    lengths: np.ndarray, starts: np.ndarray, length: int, seed: int = 0
) -> tuple[PackedRows, np.ndarray]:
    """Packs the pairs of each corpus into rows of its own, as `pack_pairs`.

    Args:
        lengths: Positions of source and target of each pair, shape `(pairs, 2)`.
        starts: The first pair of each corpus, and the number of all pairs.
        length: Number of positions on each side of a row.
        seed: Seed of the order of pairs of equal lengths.

    Returns:
        The rows of all corpora, one corpus after another; and the first row of each corpus, with
        the number of all rows at the end.
    """
    parts = [pack_pairs(part, length, seed) for part in np.split(lengths, starts[1:-1])]
    pairs = [part.pairs + np.int32(start) for part, start in zip(parts, starts, strict=False)]
    counts = np.concatenate([np.diff(part.starts) for part in parts])
    rows = PackedRows(np.concatenate(pairs), np.concatenate([[0], np.cumsum(counts)]))
    return rows, np.cumsum([0, *map(len, parts)])


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenates ranges of integers, each given by its start and length.

    Example:

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    offsets = np.cumsum(lengths) - lengths
    return np.repeat(starts - offsets, lengths) + np.arange(lengths.sum())


def _check_fit(lengths: np.ndarray, length: int) -> None:
    longest = lengths.max(axis=1)
    too_long = int(np.count_nonzero(longest > length))
    if too_long:
        raise ValueError(
            f"Rows of {length} positions must hold every pair. Received: {too_long} of "
            f"{len(lengths)} pairs that are longer, up to {longest.max()} positions. Filter with "
            f"`max_length={length}`, or raise `length`."
        )


def _patterns(
    sizes: np.ndarray, counts: np.ndarray, length: int
) -> Iterator[tuple[list[int], int]]:
    """Yields the kinds of pairs in a row, and the number of rows with these kinds."""
    left = counts.copy()
    while left.any():
        pattern = _one_row(sizes, left, length)
        kinds, times = np.unique(pattern, return_counts=True)
        rows = int((left[kinds] // times).min())
        left[kinds] -= rows * times
        yield pattern, rows


def _one_row(sizes: np.ndarray, counts: np.ndarray, length: int) -> list[int]:
    """Returns the kinds of pairs for the next row, chosen from the remaining pairs."""
    capacity, left, row = np.array([length, length]), counts.copy(), []
    fitting = np.flatnonzero(left)
    while len(fitting):
        kind = int(fitting[np.argmax(sizes[fitting] @ capacity)])
        row.append(kind)
        left[kind] -= 1
        capacity -= sizes[kind]
        fitting = fitting[(left[fitting] > 0) & (sizes[fitting] <= capacity).all(axis=1)]
    return row


def _fill_rows(
    by_kind: np.ndarray, counts: np.ndarray, patterns: list[tuple[list[int], int]]
) -> PackedRows:
    """Builds the rows of all patterns from pairs in the order of `by_kind`."""
    pairs = np.empty_like(by_kind)
    unused = np.cumsum(counts) - counts  # first unused pair of each kind in `by_kind`
    end = 0
    for kinds, rows in patterns:
        start, end = end, end + rows * len(kinds)
        block = pairs[start:end].reshape(rows, len(kinds))
        for column, kind in enumerate(kinds):
            block[:, column] = by_kind[unused[kind] : unused[kind] + rows]
            unused[kind] += rows
    lengths = np.repeat([len(kinds) for kinds, _ in patterns], [rows for _, rows in patterns])
    return PackedRows(pairs, np.concatenate([[0], np.cumsum(lengths)]))
