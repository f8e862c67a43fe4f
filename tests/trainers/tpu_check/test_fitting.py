"""The search for the largest batch, on chips whose limit is known."""

import pytest

from trainers.tpu_check import Fitting, Outcome, largest_batch

HBM = 10_000
LIMIT = 83  # rows that fit


class Chip:
    """A chip on which a program needs `1700 + 100 * rows` bytes; keeps what was tried."""

    def __init__(self, limit=LIMIT, tells_memory=True):
        self.limit = limit
        self.tells_memory = tells_memory
        self.tried = []

    def __call__(self, rows):
        assert rows >= 1
        assert rows not in self.tried, "no size is compiled twice"
        self.tried.append(rows)
        memory = 1700 + 100 * rows if self.tells_memory else 0
        return Outcome(1.0, memory=memory, error="too large" if rows > self.limit else None)


@pytest.mark.parametrize("tells_memory", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 61, 82, 83, 84, 85, 97, 211])
def test_with_compilations_enough_the_very_last_row_is_found(rows, tells_memory):
    chip = Chip(tells_memory=tells_memory)
    assert largest_batch(chip, rows, HBM, compilations=60) == Fitting(LIMIT, LIMIT + 1)
    assert chip.tried[0] == rows


@pytest.mark.parametrize("rows", [7, 61, 83, 211])
def test_a_handful_of_compilations_come_near(rows):
    chip = Chip()
    found = largest_batch(chip, rows, HBM, compilations=6)
    assert 76 <= found.largest <= LIMIT < found.too_large <= 91
    assert len(chip.tried) <= 6


def test_a_single_row_may_be_too_much():
    chip = Chip(limit=0)
    assert largest_batch(chip, 5, HBM, compilations=20) == Fitting(0, 1)


def test_one_compilation_is_the_answer():
    assert largest_batch(Chip(), 5, HBM, compilations=1) == Fitting(5, 0)
    assert largest_batch(Chip(), 89, HBM, compilations=1) == Fitting(0, 89)
