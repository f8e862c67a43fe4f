"""Pairs of about the same lengths together: which pairs share a batch shape."""

import math
from typing import NamedTuple

import numpy as np

from keras_transformer.data.shapes import choose_corners, first_fit


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
