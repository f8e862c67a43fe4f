"""The table of what was compiled."""

from trainers.tpu_check import Line, Outcome, table

GIB = 2**30


def line(rows, topology="v5e:2x2", error=None, trial=False):
    outcome = Outcome(11.4, flops=1030e9, memory=3 * GIB, error=error)
    return Line("a step", topology, rows, 1000e9, outcome, trial)


def test_a_line_says_it_in_words():
    assert str(line(7)) == (
        "compiles in 11 s; 1,030.0 Gflop a chip, +3.0% of the formula's; 3.0 of 16 GiB"
    )
    assert str(line(7, error="no such op")) == "does not compile: no such op"


def test_a_line_goes_through_json_unchanged():
    for one in (line(7), line(5, "v6e:1x1", "no", trial=True)):
        assert Line.from_json(one.as_json()) == one


def test_a_table_has_the_largest_trial_of_each_topology():
    lines = [
        line(7),
        line(29, trial=True),
        line(31, trial=True, error="out of memory"),
        line(23, trial=True),
        line(13, "v6e:1x1"),
        line(11, "v6e:1x1", trial=True),
        line(17, "v6e:4x4", "no such op"),
    ]
    assert table(lines, length=10).splitlines()[2:] == [
        "| a step | v5e:2x2 | 7 | 280 | 1,030 | 1,000 | 3.0 of 16 GiB |",
        "| a step, largest found | v5e:2x2 | 29 | 1,160 | 1,030 | 1,000 | 3.0 of 16 GiB |",
        "| a step | v6e:1x1 | 13 | 130 | 1,030 | 1,000 | 3.0 of 32 GiB |",
        "| a step | v6e:4x4 | 17 | 2,720 | no such op |  |  |",
    ]
