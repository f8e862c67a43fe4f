"""Every benchmark starts, whatever was moved in the files that they share."""

import pytest

from benchmarks.parser import make_parser
from tests.conftest import ROOT, run_python

PROGRAMS = sorted(
    file.stem for file in (ROOT / "benchmarks").glob("*.py") if "= make_parser(" in file.read_text()
)


def test_all_are_found():
    assert len(PROGRAMS) == 21, PROGRAMS


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_says_how_it_is_used(name):
    assert f"python -m benchmarks.{name}" in run_python("-m", f"benchmarks.{name}", "--help")


def test_an_option_given_twice_is_an_error(capsys):
    parser = make_parser("program", "What it does.")
    parser.add_argument("--steps", type=int)
    assert parser.parse_args(["--steps", "3"]).steps == 3
    with pytest.raises(SystemExit):
        parser.parse_args(["--steps", "3", "--steps=5"])
    assert "error: --steps is given twice: 3 and 5. Leave one out." in capsys.readouterr().err
