"""The formulas for long rows, and a small run of the program."""

import numpy as np
import pytest

from benchmarks import attention_length
from tests.conftest import run_python


def test_scores_are_those_that_attention_computes():
    assert attention_length.scores("F", 7) == 7 * 7
    assert attention_length.scores("M", 8) == 8 * 3
    assert attention_length.scores("L", 200) == 200 * 200  # no longer than a window
    assert attention_length.scores("L", 300) == 3 * 128 * 256  # three blocks, the last filled up


def test_four_times_the_length_is_four_times_the_work_of_local_attention_alone():
    times = {}
    for name, layers in attention_length.MIXES.items():
        short, long = (np.array(attention_length.step_work(layers, n)) for n in (2048, 8192))
        assert long[0] == 4 * short[0]
        times[name] = long[1] / short[1]
    assert times["local"] == 4
    assert times["full"] == 16
    assert 4 < times["local and compressed"] < 16


@pytest.mark.slow
def test_it_prints_a_line_for_each_and_says_what_does_not_fit():
    options = ("--mixes", "full", "local", "--lengths", "512", "768", "--gib", "0.1")
    printed = run_python("-m", "benchmarks.attention_length", *options, "--repeats", "1")
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in printed.splitlines()
        if line.startswith(("| full", "| local"))
    ]
    assert [line[4] == "out of memory" for line in lines] == [False, True, False, False]
    assert [float(line[3]) for line in lines] == pytest.approx([1] * 4, abs=0.25)
