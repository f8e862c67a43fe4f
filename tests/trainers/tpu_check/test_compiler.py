"""What is told when a compilation fails, or cannot begin."""

import importlib.util

import pytest

from trainers.tpu_check import Outcome, check_installed, failure

# As libtpu 0.0.52 words it.
LONG = (
    "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory "
    "required for HLO temporaries (31.65G) exceeds available HBM (31.24G). HLO module: f.\n See ..."
)
SHORT = "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.10G of 15.75G hbm. ..."


@pytest.mark.parametrize(
    ("message", "error", "gib"),
    [
        (LONG, "out of memory: needs 31.65G of 31.24G", 31.65),
        (SHORT, "out of memory: needs 20.10G of 15.75G", 20.10),
    ],
)
def test_too_little_memory_is_told_in_a_line(message, error, gib):
    outcome = failure(RuntimeError(message), seconds=3.0)
    assert outcome == Outcome(3.0, 0.0, int(gib * 2**30), error)


def test_any_other_failure_is_told_in_the_words_of_the_compiler():
    assert failure(RuntimeError("UNIMPLEMENTED:  op\n  Foo")).error == "UNIMPLEMENTED: op Foo"
    assert failure(RuntimeError("x" * 999)).error == "x" * 300
    assert failure(RuntimeError()).error == "RuntimeError"


@pytest.mark.parametrize("missing", ["jax", "libtpu"])
def test_what_is_not_installed_is_named_with_what_to_install(missing, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else 1)
    with pytest.raises(ImportError, match=rf'needs {missing}, .*"\.\[tpu-check\]"$'):
        check_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: 1)
    assert check_installed() is None
