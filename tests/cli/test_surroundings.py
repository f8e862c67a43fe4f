"""Command lines under other interpreters' options and backends: answers, or one line."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def errors(*arguments, **environment):
    """What a command line that fails prints to standard error."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode in (1, 2)
    return result.stderr


def test_without_docstrings_options_are_still_read():
    command = ["-OO", "-m", "keras_transformer", "translate", "--run", "never"]
    assert "never does not exist, so it is not a finished run" in errors(*command)


@pytest.mark.slow
def test_a_backend_that_cannot_translate_is_named():
    command = ["-m", "keras_transformer", "translate", "--run", "never"]
    (line,) = errors(*command, KERAS_BACKEND="numpy").splitlines()
    assert line.endswith(
        "error: This program runs on TensorFlow or JAX. Received: KERAS_BACKEND=numpy. Set it to "
        "tensorflow or jax, or remove it."
    )
