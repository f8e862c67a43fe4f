"""The largest batch that still compiles, sought with few compilations."""

import dataclasses
from collections.abc import Callable

from trainers.tpu_check.compiler import Outcome

USABLE = 0.95  # share of a chip's memory that a guess counts on
GROWTH = 1.1  # the least step to the next guess


@dataclasses.dataclass(frozen=True)
class Fitting:
    """What a search found.

    Attributes:
        largest: The most rows that were tried and fitted; 0 if none did.
        too_large: The fewest rows that were tried and did not; 0 if all did.
    """

    largest: int
    too_large: int


def largest_batch(
    compile_rows: Callable[[int], Outcome], rows: int, hbm: int, compilations: int
) -> Fitting:
    """The most rows that one chip has memory for, as far as a few compilations tell.

    Until there are sizes that fit and that do not, the next guess takes memory to be proportional
    to rows; from then on it is the middle. The compiler saves memory only where it must, so it
    often needs less than the guess; and nothing forbids that a size fits though a smaller does not.

    Args:
        compile_rows: Function that compiles for so many rows a chip.
        rows: Integer, at least 1. The first size.
        hbm: Integer. Bytes of memory of a chip.
        compilations: Integer, at least 1. How often `compile_rows` may be called.

    Example: 100 bytes a row and 700 for the model, on a chip of 9,000.

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
