"""Few static shapes that hold every pair with little padding."""

import numpy as np

_GRID = 32  # how many lengths of a side are tried for a shape
_STEPS = (-4, -2, -1, 1, 2, 4)  # and these, as seen from its present length
_ROUNDS = 10
_UNFIT = 1 << 40  # the price of a pair that fits no shape


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
