"""Pairs of about the same lengths together: which pairs share a batch shape."""

import math
from typing import NamedTuple

import numpy as np

_GRID = 32  # how many lengths of a side are tried for a shape
_STEPS = (-4, -2, -1, 1, 2, 4)  # and these, as seen from its present length
_ROUNDS = 10
_UNFIT = 1 << 40  # the price of a pair that fits no shape


class BatchShape(NamedTuple):
    """The shape of a batch: `batch_size` rows of `source_length` and `target_length` positions."""

    batch_size: int
    source_length: int
    target_length: int


class Bucket(NamedTuple):
    """The pairs that share a shape: their numbers, ascending, shape `(pairs,)`."""

    shape: BatchShape
    pairs: np.ndarray


def make_buckets(
    lengths: np.ndarray,
    tokens_per_batch: int,
    max_shapes: int,
    batch_multiple: int = 8,
    parts: int = 1,
) -> list[Bucket]:
    """Put every pair into one of at most `max_shapes` buckets.

    A pair goes to the smallest shape that holds it. Only where a shape has too few pairs for one
    batch, it gets the longest of the smaller shapes besides; and where even these are too few, its
    batches are smaller. So every bucket fills at least one batch.

    Args:
        lengths: Positions of source and target of each pair, shape `(pairs, 2)`.
        tokens_per_batch: Budget: `batch_size * max(source_length, target_length)` never exceeds it.
        max_shapes: How many shapes are allowed, 1 to 64.
        batch_multiple: Batch sizes are rounded down to a multiple of this, where they reach it.
        parts: Batch sizes are always multiples of this, even if a bucket has fewer pairs.

    Returns:
        The buckets, those with the fewest positions first.

    Raises:
        ValueError: A single sentence, or one for each part, exceeds the budget, `max_shapes` is
            out of its range, or `batch_multiple` or `parts` is below 1.

    Example:

    >>> lengths = np.array([[2, 3], [2, 3], [2, 2], [7, 5]])
    >>> for shape, pairs in make_buckets(lengths, tokens_per_batch=7, max_shapes=2):
    ...     print(tuple(shape), pairs.tolist())
    (2, 2, 3) [0, 1, 2]
    (1, 7, 5) [3]
    """
    if min(batch_multiple, parts) < 1:
        raise ValueError(
            "`batch_multiple` and `parts` must be at least 1. Received: "
            f"batch_multiple={batch_multiple}, parts={parts}"
        )
    longest = int(lengths.max())
    if longest > tokens_per_batch:
        raise ValueError(
            f"`tokens_per_batch` must hold the longest sentence, {longest} positions. Received: "
            f"{tokens_per_batch}. Raise it, or filter with a smaller `max_length`."
        )
    if longest * parts > tokens_per_batch:
        raise ValueError(
            f"`tokens_per_batch` must hold {parts} of the longest sentences, {longest} positions "
            f"each, for every batch is split into {parts} equal parts. Received: "
            f"{tokens_per_batch}. Raise it to {longest * parts}, filter with a smaller "
            "`max_length`, or split into fewer parts."
        )
    corners = choose_corners(lengths, max_shapes)
    multiples = (math.lcm(batch_multiple, parts), parts)
    sizes = [_rounded(tokens_per_batch // max(corner), multiples) for corner in corners.tolist()]
    index = _filled(first_fit(corners, lengths), corners, sizes, lengths)
    buckets = []
    for number, (corner, size) in enumerate(zip(corners.tolist(), sizes, strict=True)):
        pairs = np.flatnonzero(index == number).astype(np.int32)
        if len(pairs):
            size = min(size, max(parts, _rounded(len(pairs), multiples)))
            buckets.append(Bucket(BatchShape(size, *corner), pairs))
    return buckets


def _rounded(size: int, multiples: tuple[int, int]) -> int:
    """`size` rounded down to a multiple of the first number that it reaches."""
    for multiple in multiples:
        if size >= multiple:
            return size - size % multiple
    return size


def _filled(index: np.ndarray, corners: np.ndarray, sizes: list[int], lengths) -> np.ndarray:
    """`index` after each corner that lacks pairs for a batch took long ones of smaller corners."""
    index = index.copy()
    for number in reversed(range(1, len(corners))):
        lacking = sizes[number] - np.count_nonzero(index == number)
        if lacking > 0:
            others = np.flatnonzero((index < number) & (lengths <= corners[number]).all(axis=1))
            by_length = others[np.argsort(-lengths[others].sum(axis=1), kind="stable")]
            index[by_length[:lacking]] = number
    return index


def choose_corners(lengths: np.ndarray, max_shapes: int) -> np.ndarray:
    """At most `max_shapes` pairs of lengths such that every pair of sentences fits one.

    They are chosen for little padding when each pair of sentences takes the smallest corner that
    holds it. First the corner that saves most is added, again and again. Then each length of each
    corner moves to where it is best, the others standing still, until none moves.

    Args:
        lengths: Positions of source and target of each pair, shape `(pairs, 2)`.
        max_shapes: How many corners are allowed, 1 to 64.

    Returns:
        Source and target lengths, shape `(shapes, 2)`, those with the fewest positions first.

    Raises:
        ValueError: `max_shapes` is out of its range.

    Example:

    >>> choose_corners(np.array([[2, 3], [2, 3], [7, 5]]), max_shapes=2).tolist()
    [[2, 3], [7, 5]]
    """
    if not 1 <= max_shapes <= 64:
        raise ValueError(f"`max_shapes` must be between 1 and 64. Received: {max_shapes}")
    base = int(lengths.max()) + 1
    keys, counts = np.unique(lengths.astype(np.int64) @ [base, 1], return_counts=True)
    cells = np.stack(np.divmod(keys, base), axis=1)  # the distinct pairs of lengths
    corners = _moved(_greedy(cells, counts, max_shapes), cells, counts)
    return corners[np.argsort(corners.sum(axis=1), kind="stable")]


def first_fit(corners: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """For each pair of lengths, the first corner that holds it.

    Args:
        corners: Source and target length of each shape, shape `(shapes, 2)`.
        lengths: Source and target length of each pair, shape `(pairs, 2)`.

    Returns:
        Indices into `corners`, shape `(pairs,)`.
    """
    index = np.full(len(lengths), -1, np.int8)
    for number in range(len(corners) - 1, -1, -1):
        index[(lengths <= corners[number]).all(axis=1)] = number
    return index


def _positions(corners: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Positions of both sides that each cell takes in its cheapest corner."""
    best = np.full(len(cells), _UNFIT)
    for corner in corners:
        fits = (cells <= corner).all(axis=1)
        best[fits] = np.minimum(best[fits], corner.sum())
    return best


def _greedy(cells: np.ndarray, counts: np.ndarray, max_shapes: int) -> np.ndarray:
    """Corners added one by one, from that which holds all, each where it saves most."""
    corners = cells.max(axis=0, keepdims=True)
    candidates = np.stack(np.meshgrid(*(_grid(side, counts) for side in cells.T)), axis=-1)
    candidates = candidates.reshape(-1, 2)
    while len(corners) < max_shapes:
        now = _positions(corners, cells)
        savings = [
            (counts * np.maximum(now - corner.sum(), 0))[(cells <= corner).all(axis=1)].sum()
            for corner in candidates
        ]
        best = int(np.argmax(savings))
        if savings[best] <= 0:
            break
        corners = np.concatenate([corners, candidates[best : best + 1]])
    return corners


def _moved(corners: np.ndarray, cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The corners after each length moved to where it is best, until none moves."""
    corners = corners.copy()
    grids = [_grid(side, counts) for side in cells.T]
    for _ in range(_ROUNDS):
        before = corners.copy()
        for number in range(len(corners)):
            others = _positions(np.delete(corners, number, axis=0), cells)
            for side in (0, 1):
                corners[number, side] = _best_length(
                    corners[number], side, grids[side], others, cells, counts
                )
        if (corners == before).all():
            break
    return corners


def _best_length(corner, side: int, grid, others, cells, counts) -> int:
    """The length of one side of a corner that takes the fewest positions in all."""
    here = int(corner[side])
    lengths = [here, *(here + step for step in _STEPS if here + step > 0), *grid]
    other_side = int(corner[1 - side])
    fits_other_side = cells[:, 1 - side] <= other_side

    def total(length):
        fits = fits_other_side & (cells[:, side] <= length)
        return (counts * np.where(fits, np.minimum(others, length + other_side), others)).sum()

    return int(min(lengths, key=total))


def _grid(side: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Lengths of a side at even steps of its distribution, the largest among them."""
    order = np.argsort(side, kind="stable")
    reached = np.cumsum(counts[order])
    places = np.searchsorted(reached, np.linspace(0, reached[-1], _GRID))
    return np.unique(side[order][np.minimum(places, len(side) - 1)])
