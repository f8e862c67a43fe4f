"""Every benchmark starts, whatever was moved in the files that they share."""

import pytest

from tests.conftest import ROOT, run_python

PROGRAMS = sorted(
    file.stem for file in (ROOT / "benchmarks").glob("*.py") if "= make_parser(" in file.read_text()
)


def test_all_are_found():
    assert len(PROGRAMS) == 7, PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_says_how_it_is_used(name):
    assert f"python -m benchmarks.{name}" in run_python("-m", f"benchmarks.{name}", "--help")
