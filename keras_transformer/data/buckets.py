"""Bucketing by length: assignment of sentence pairs to a few batch shapes."""

import math
from typing import NamedTuple

import numpy as np

_GRID_SIZE = 32  # number of candidate lengths on each side
_STEPS = (-4, -2, -1, 1, 2, 4)  # further candidates, relative to the current length
_MAX_ROUNDS = 10
_UNFIT_COST = 1 << 40  # cost of a pair that fits no shape


class BatchShape(NamedTuple):
    """The shape of a batch: `batch_size` rows of `source_length` and `target_length` positions."""

    batch_size: int
    source_length: int
    target_length: int


class Bucket(NamedTuple):
    """A batch shape and the ascending indices of its pairs, shape `(pairs,)`."""

    shape: BatchShape
    pairs: np.ndarray


def make_buckets(
    lengths: np.ndarray,
    tokens_per_batch: int,
    max_shapes: int,
    batch_multiple: int = 8,
    parts: int = 1,
) -> list[Bucket]:
    """Assigns every pair to one of at most `max_shapes` buckets.

    A pair goes to the smallest shape that fits it. A bucket with too few pairs for one batch also
    takes the longest pairs of smaller shapes; if these are still too few, its batch size is
    reduced. Every bucket therefore fills at least one batch.

    Args:
        lengths: Positions of source and target of each pair, shape `(pairs, 2)`.
        tokens_per_batch: Upper limit of `batch_size * max(source_length, target_length)`.
        max_shapes: Maximum number of shapes, 1 to 64.
        batch_multiple: Batch sizes that reach this number are rounded down to a multiple of it.
        parts: Batch sizes are always multiples of this, even if a bucket has fewer pairs.

    Returns:
        The buckets, in ascending order of source and target positions.

    Raises:
        ValueError: The budget is smaller than the longest sentence times `parts`, `max_shapes` is
            out of range, or `batch_multiple` or `parts` is below 1.

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
            f"each, because every batch is split into {parts} equal parts. Received: "
            f"{tokens_per_batch}. Raise it to {longest * parts}, filter with a smaller "
            "`max_length`, or split into fewer parts."
        )
    corners = choose_corners(lengths, max_shapes)
    multiples = (math.lcm(batch_multiple, parts), parts)
    sizes = [_round_down(tokens_per_batch // max(corner), multiples) for corner in corners.tolist()]
    assignment = _fill_small_buckets(first_fit(corners, lengths), corners, sizes, lengths)
    buckets = []
    for number, (corner, size) in enumerate(zip(corners.tolist(), sizes, strict=True)):
        pairs = np.flatnonzero(assignment == number).astype(np.int32)
        if len(pairs):
            size = min(size, max(parts, _round_down(len(pairs), multiples)))
            buckets.append(Bucket(BatchShape(size, *corner), pairs))
    return buckets


def _round_down(size: int, multiples: tuple[int, int]) -> int:
    """Rounds `size` down to a multiple of the first number that it reaches."""
    for multiple in multiples:
        if size >= multiple:
            return size - size % multiple
    return size


def _fill_small_buckets(
    assignment: np.ndarray, corners: np.ndarray, sizes: list[int], lengths: np.ndarray
) -> np.ndarray:
    """Moves the longest pairs of smaller corners to corners with too few pairs for a batch."""
    assignment = assignment.copy()
    for number in reversed(range(1, len(corners))):
        missing = sizes[number] - np.count_nonzero(assignment == number)
        if missing > 0:
            fits = (lengths <= corners[number]).all(axis=1)
            smaller = np.flatnonzero((assignment < number) & fits)
            by_length = smaller[np.argsort(-lengths[smaller].sum(axis=1), kind="stable")]
            assignment[by_length[:missing]] = number
    return assignment


def choose_corners(lengths: np.ndarray, max_shapes: int) -> np.ndarray:
    """Chooses at most `max_shapes` corners such that every sentence pair fits one.

    A corner is the source and target length of a shape. The corners minimize padding when each
    sentence pair takes the smallest corner that fits it: greedy search adds the corner that saves
    the most positions, one at a time, then coordinate descent moves one length of one corner at a
    time until none improves.

    Args:
        lengths: Positions of source and target of each pair, shape `(pairs, 2)`.
        max_shapes: Maximum number of corners, 1 to 64.

    Returns:
        Source and target lengths, shape `(shapes, 2)`, in ascending order of their sum.

    Raises:
        ValueError: `max_shapes` is out of range.

    Example:

    >>> choose_corners(np.array([[2, 3], [2, 3], [7, 5]]), max_shapes=2).tolist()
    [[2, 3], [7, 5]]
    """
    if not 1 <= max_shapes <= 64:
        raise ValueError(f"`max_shapes` must be between 1 and 64. Received: {max_shapes}")
    base = int(lengths.max()) + 1
    keys, counts = np.unique(lengths.astype(np.int64) @ [base, 1], return_counts=True)
    cells = np.stack(np.divmod(keys, base), axis=1)  # the distinct pairs of lengths
    corners = _refine_corners(_greedy_corners(cells, counts, max_shapes), cells, counts)
    return corners[np.argsort(corners.sum(axis=1), kind="stable")]


def first_fit(corners: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Returns the index of the first corner that fits each pair.

    Args:
        corners: Source and target length of each shape, shape `(shapes, 2)`.
        lengths: Source and target length of each pair, shape `(pairs, 2)`.

    Returns:
        Indices into `corners`, shape `(pairs,)`; -1 if no corner fits.
    """
    assignment = np.full(len(lengths), -1, np.int8)
    for number in range(len(corners) - 1, -1, -1):
        assignment[(lengths <= corners[number]).all(axis=1)] = number
    return assignment


def _costs(corners: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Returns the positions, source plus target, that each cell takes in its smallest corner."""
    costs = np.full(len(cells), _UNFIT_COST)
    for corner in corners:
        fits = (cells <= corner).all(axis=1)
        costs[fits] = np.minimum(costs[fits], corner.sum())
    return costs


def _greedy_corners(cells: np.ndarray, counts: np.ndarray, max_shapes: int) -> np.ndarray:
    """Starts with the corner that fits all cells, then adds the one that saves most each time."""
    corners = cells.max(axis=0, keepdims=True)
    candidates = np.stack(
        np.meshgrid(*(_candidate_lengths(side, counts) for side in cells.T)), axis=-1
    )
    candidates = candidates.reshape(-1, 2)
    while len(corners) < max_shapes:
        costs = _costs(corners, cells)
        savings = [
            (counts * np.maximum(costs - corner.sum(), 0))[(cells <= corner).all(axis=1)].sum()
            for corner in candidates
        ]
        best = int(np.argmax(savings))
        if savings[best] <= 0:
            break
        corners = np.concatenate([corners, candidates[best : best + 1]])
    return corners


def _refine_corners(corners: np.ndarray, cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Optimizes the lengths of the corners by coordinate descent, until none changes."""
    corners = corners.copy()
    grids = [_candidate_lengths(side, counts) for side in cells.T]
    for _ in range(_MAX_ROUNDS):
        before = corners.copy()
        for number in range(len(corners)):
            other_costs = _costs(np.delete(corners, number, axis=0), cells)
            for side in (0, 1):
                corners[number, side] = _best_length(
                    corners[number], side, grids[side], other_costs, cells, counts
                )
        if (corners == before).all():
            break
    return corners


def _best_length(corner, side: int, grid, other_costs, cells, counts) -> int:
    """Returns the length of one side of a corner that minimizes the total cost."""
    current = int(corner[side])
    lengths = [current, *(current + step for step in _STEPS if current + step > 0), *grid]
    other_side = int(corner[1 - side])
    fits_other_side = cells[:, 1 - side] <= other_side

    def total_cost(length):
        fits = fits_other_side & (cells[:, side] <= length)
        costs = np.where(fits, np.minimum(other_costs, length + other_side), other_costs)
        return (counts * costs).sum()

    return int(min(lengths, key=total_cost))


def _candidate_lengths(side: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns evenly spaced quantiles of the lengths of a side, including the maximum."""
    order = np.argsort(side, kind="stable")
    cumulative = np.cumsum(counts[order])
    indices = np.searchsorted(cumulative, np.linspace(0, cumulative[-1], _GRID_SIZE))
    return np.unique(side[order][np.minimum(indices, len(side) - 1)])
