"""The formula of a training step's memory against XLA's own figure."""

import re

import pytest

from benchmarks import training_memory
from tests.conftest import run_python


@pytest.mark.slow
def test_the_formula_is_near_what_xla_says():
    """For sizes that it was not fitted to; nothing here makes XLA compile in less time."""
    options = ("--random", "3", "--seed", "3")
    printed = run_python("-m", "benchmarks.training_memory", *options, XLA_FLAGS="")
    smallest, largest = re.search(r"ratio ([.\d]+) to ([.\d]+),", printed).groups()
    assert 0.9 < float(smallest) <= float(largest) < 1.1


def test_every_part_of_the_formula_counts():
    size = [2, 8, 32, 2, 100]
    before = training_memory.step_bytes(1000, size, 3, 5, 7)
    for place in range(5):
        larger = [value * (1 + (place == n)) for n, value in enumerate(size)]
        assert training_memory.step_bytes(1000, larger, 3, 5, 7) > before
    assert training_memory.step_bytes(1001, size, 3, 5, 7) == before + 12
    for batch in ((6, 5, 7), (3, 10, 7), (3, 5, 14)):
        assert training_memory.step_bytes(1000, size, *batch) > before
    fixed = 4 * (3 * 1000 + 5 * 8 * 100)  # weights, Adam's means, gradients of the table
    twice = training_memory.step_bytes(1000, size, 2, 5, 7)
    assert twice - fixed == 2 * (training_memory.step_bytes(1000, size, 1, 5, 7) - fixed)


def test_logits_that_are_larger_than_the_gradients_of_the_table_count_instead():
    small, large = (
        training_memory.step_bytes(0, (0, 8, 32, 2, 100), rows, 5, 7) for rows in (2, 3)
    )
    assert (small, large) == (4 * 100 * 5 * 8, 4 * 100 * 2 * 21)


def test_normalized_vectors_are_kept_in_large_batches():
    size = 2, 8, 32, 2, 1
    few, many = (training_memory.step_bytes(0, size, rows, 1, 2) for rows in (2047, 2048))
    rest = 4 * (8 * (16 + 2 * 17) + 2 * 32 * 3 + 3 * 2 * (1 + 2 * 3)) * 2 + 4 * 4
    assert many - few == rest + 4 * 2 * 2048 * 2 * 8 * 6  # of the target alone
