"""Search for the largest batch that compiles, with few compilations."""

import dataclasses
from collections.abc import Callable

from trainers.tpu_check.compiler import Outcome

USABLE = 0.95  # share of a chip's memory that a guess assumes
GROWTH = 1.1  # smallest factor between two guesses


@dataclasses.dataclass(frozen=True)
class Fitting:
    """The result of a search.

    Attributes:
        largest: Largest number of rows tried that fits; 0 if none does.
        too_large: Smallest number of rows tried that does not fit; 0 if all do.
    """

    largest: int
    too_large: int


def largest_batch(
    compile_rows: Callable[[int], Outcome], rows: int, hbm: int, compilations: int
) -> Fitting:
    """Searches for the largest number of rows that fits into the memory of one chip.

    Until one size that fits and one that does not are known, the next guess assumes memory in
    proportion to the rows; after that the search bisects. The compiler saves memory only where it
    must, so larger batches often need less than the guess, and a size may fit although a smaller
    one does not.

    Args:
        compile_rows: Function that compiles a program for a number of rows per chip.
        rows: Integer, at least 1. The first size to try.
        hbm: Integer. Memory of a chip in bytes.
        compilations: Integer, at least 1. Maximum number of calls of `compile_rows`.

    Example: 100 bytes per row and 700 for the model, on a chip with 9,000 bytes.

    >>> def compile_rows(rows):
    ...     error = "out of memory" if 100 * rows + 700 > 9000 else None
    ...     return Outcome(seconds=1.0, memory=100 * rows + 700, error=error)
    >>> largest_batch(compile_rows, rows=20, hbm=9000, compilations=9)
    Fitting(largest=83, too_large=84)
    """
    found, size = Fitting(0, 0), rows
    for _ in range(compilations):
        outcome = compile_rows(size)
        found = Fitting(found.largest, size) if outcome.error else Fitting(size, found.too_large)
        if found.too_large == found.largest + 1:
            break
        size = _next_guess(found, size, outcome, hbm)
    return found


def _next_guess(found: Fitting, size: int, outcome: Outcome, hbm: int) -> int:
    if found.largest and found.too_large:
        return (found.largest + found.too_large) // 2
    guess = int(size * USABLE * hbm / outcome.memory) if outcome.memory else size
    if found.largest:
        return max(guess, size + 1, round(size * GROWTH))
    return max(1, min(guess, size - 1, round(size / GROWTH)))
