"""Several pairs in one row: which pairs share a row, so that both of its sides fill up."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PackedRows:
    """Which pairs share a row: row n holds `pairs[starts[n] : starts[n + 1]]`.

    Attributes:
        pairs: The numbers of all pairs, row after row, shape `(pairs,)`.
        starts: Where the rows start, shape `(rows + 1,)`.
    """

    pairs: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def select(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of some rows, row after row, and how many of them each row holds."""
        counts = self.starts[rows + 1] - self.starts[rows]
        return self.pairs[ranges(self.starts[rows], counts)], counts


def pack_pairs(lengths: np.ndarray, length: int, seed: int = 0) -> PackedRows:
    """Put every pair into a row of `length` source and `length` target positions.

    A row takes one pair after the other until none fits any more, each time the one whose lengths
    have the largest dot product with the room that is left: long pairs first, and pairs with a
    long side where that side has room ([Panigrahy et al., 2011](
    https://www.microsoft.com/en-us/research/publication/heuristics-for-vector-bin-packing/)).
    Pairs of equal lengths count as one kind and equal rows are made at once, as long as there are
    pairs for them ([Krell et al., 2021](https://arxiv.org/abs/2107.02027)). So the search takes
    about as many rounds as there are kinds, of which there are at most `length ** 2`, however many
    pairs there are.

    Args:
        lengths: Positions of source and target of each pair, at least 1, shape `(pairs, 2)`.
        length: Positions of each side of a row.
        seed: Which of several pairs of equal lengths goes where.

    Returns:
        The rows; every pair is in one of them.

    Raises:
        ValueError: Pairs are longer than a row.

    Example:

    >>> rows = pack_pairs(np.array([[6, 2], [1, 5], [3, 3], [4, 4]]), length=7)
    >>> [rows.pairs[start:end].tolist() for start, end in zip(rows.starts, rows.starts[1:])]
    [[3, 2], [0, 1]]
    """
    _check_fit(lengths, length)
    dtype = np.min_scalar_type(length * length - 1)  # two bytes up to 256, which sort fast
    sources, targets = (lengths - 1).astype(dtype).T
    codes = sources * length + targets
    kinds, counts = np.unique(codes, return_counts=True)
    sizes = np.stack(np.divmod(kinds.astype(np.int64), length), axis=1) + 1  # (kinds, 2)
    shuffled = np.random.default_rng(seed).permutation(np.arange(len(lengths), dtype=np.int32))
    by_kind = shuffled[np.argsort(codes[shuffled], kind="stable")]
    return _fill(by_kind, counts, list(_patterns(sizes, counts, length)))


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers from each start on, `lengths` of them, one after the other.

    Example:

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


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
    """The kinds of pairs that a row holds, and how many such rows there are."""
    left = counts.copy()
    while left.any():
        pattern = _one_row(sizes, left, length)
        kinds, times = np.unique(pattern, return_counts=True)
        rows = int((left[kinds] // times).min())
        left[kinds] -= rows * times
        yield pattern, rows


def _one_row(sizes: np.ndarray, counts: np.ndarray, length: int) -> list[int]:
    """The kinds of pairs of the next row, out of those that are left."""
    room, left, row = np.array([length, length]), counts.copy(), []
    fitting = np.flatnonzero(left)
    while len(fitting):
        kind = int(fitting[np.argmax(sizes[fitting] @ room)])
        row.append(kind)
        left[kind] -= 1
        room -= sizes[kind]
        fitting = fitting[(left[fitting] > 0) & (sizes[fitting] <= room).all(axis=1)]
    return row


def _fill(
    by_kind: np.ndarray, counts: np.ndarray, patterns: list[tuple[list[int], int]]
) -> PackedRows:
    """The rows of all patterns, with pairs in the order of `by_kind`."""
    pairs = np.empty_like(by_kind)
    unused = np.cumsum(counts) - counts  # of each kind, where in `by_kind`
    end = 0
    for kinds, rows in patterns:
        start, end = end, end + rows * len(kinds)
        block = pairs[start:end].reshape(rows, len(kinds))
        for column, kind in enumerate(kinds):
            block[:, column] = by_kind[unused[kind] : unused[kind] + rows]
            unused[kind] += rows
    lengths = np.repeat([len(kinds) for kinds, _ in patterns], [rows for _, rows in patterns])
    return PackedRows(pairs, np.concatenate([[0], np.cumsum(lengths)]))
