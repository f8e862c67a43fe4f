"""The formula of a training step's memory against XLA's own figure."""

import pytest

from benchmarks import training_memory
from tests.conftest import run_python


@pytest.mark.slow
def test_the_formula_is_near_what_xla_says():
    """For batches that it was not fitted to; nothing here makes XLA compile in less time."""
    options = ("--sizes", "tiny", "--tokens", "512", "--lengths", "16", "64")
    printed = run_python("-m", "benchmarks.training_memory", *options, XLA_FLAGS="")
    ratios = [float(line.split("|")[-2]) for line in printed.splitlines() if "| tiny" in line]
    assert len(ratios) == 2
    assert ratios == pytest.approx([1, 1], abs=0.25)


def test_every_part_of_the_formula_counts():
    size = [2, 8, 32, 2, 100]
    before = training_memory.step_bytes(1000, size, 3, 5, 7)
    for place in range(5):
        larger = [value * (1 + (place == n)) for n, value in enumerate(size)]
        assert training_memory.step_bytes(1000, larger, 3, 5, 7) > before
    assert training_memory.step_bytes(1001, size, 3, 5, 7) == before + 12
    for batch in ((6, 5, 7), (3, 10, 7), (3, 5, 14)):
        assert training_memory.step_bytes(1000, size, *batch) > before
    fixed = 4 * 3 * (1000 + 8 * 100)  # weights, Adam's means, gradients of the table
    assert training_memory.step_bytes(1000, size, 6, 5, 7) - fixed == 2 * (before - fixed)
