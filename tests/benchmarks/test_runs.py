"""Runs that benchmarks train, each by its recipe."""

import pytest

from benchmarks.runs import train_run, write_recipe


def test_a_run_is_not_taken_for_one_of_other_settings(tmp_path):
    write_recipe(tmp_path / "rotary", "epochs: 3\n")
    write_recipe(tmp_path / "rotary", "epochs: 5\n")  # nothing was trained yet
    (tmp_path / "rotary").mkdir()
    write_recipe(tmp_path / "rotary", "epochs: 5\n")
    with pytest.raises(SystemExit, match=r"rotary was trained with other settings"):
        write_recipe(tmp_path / "rotary", "epochs: 7\n")
    assert (tmp_path / "rotary.yaml").read_text() == "epochs: 5\n"


@pytest.mark.slow
def test_a_run_that_fails_is_named_with_its_last_line(tmp_path):
    write_recipe(tmp_path / "rotary", "epochs: -3\n")
    with pytest.raises(SystemExit, match=r"rotary was not trained, see .*log: .*epochs must"):
        train_run(tmp_path / "rotary")
