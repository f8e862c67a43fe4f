import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.cli import program
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (["--train-source", "a-b"], ["--train_source", "a-b"]),
        (["--train-source=a-b=c"], ["--train_source=a-b=c"]),
        (["translate", "-x-y", "-"], ["translate", "-x-y", "-"]),
        (["--run-me", "--", "--not-me"], ["--run_me", "--", "--not-me"]),
        ([], []),
    ],
)
def test_dashes_within_options_become_underscores(given, known):
    assert program.with_underscores(given) == known


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (ValueError("two\n  lines"), "two lines", 1),
        (FileNotFoundError(2, "No such file", "x.en"), "[Errno 2] No such file: 'x.en'", 1),
        (ImportError("no jax"), "no jax", 1),
        (argparse.ArgumentError(None, "bad"), "bad (see program --help)", 2),
        (KeyboardInterrupt(), "interrupted", 130),
        (ValueError(), "failed without an error message", 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_user_can_mend_is_one_line_and_a_code(error, message, code, capsys):
    def fail():
        raise error

    assert program.run("program", fail) == code
    captured = capsys.readouterr()
    assert captured.err == f"program: error: {message}\n"
    assert captured.out == ""


def test_of_several_commands_the_help_of_the_one_asked_for_is_named(capsys):
    def fail():
        raise argparse.ArgumentError(None, "required: go.run, go.text")

    assert program.run("program", fail, "go") == 2
    assert capsys.readouterr().err == (
        "program: error: required: run, text (see program go --help)\n"
    )


@pytest.mark.parametrize("allocate", [np.zeros, keras.ops.zeros])
@pytest.mark.slow
def test_too_little_memory_is_reported(allocate, capsys):
    assert program.run("program", lambda: allocate(2**50)) == 1
    line = r"program: error: There is not enough memory \(.*1125899.*\)\. Use smaller .*\n"
    assert re.fullmatch(line, capsys.readouterr().err)


def test_a_memory_error_without_a_message_is_named(capsys):
    def fail():
        raise MemoryError

    assert program.run("program", fail) == 1
    assert "There is not enough memory (MemoryError). Use" in capsys.readouterr().err


def test_a_full_disk_is_no_lack_of_memory(capsys):
    def fail():
        raise tf.errors.ResourceExhaustedError(None, None, "x.index; No space left on device")

    assert program.run("program", fail) == 1
    assert capsys.readouterr().err == "program: error: x.index; No space left on device\n"


def test_an_interruption_while_keras_is_loaded_is_one_line(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "quieten_tensorflow", interrupt)
    assert program.run("program", lambda: None) == 130
    assert capsys.readouterr().err == "program: error: interrupted\n"


def test_sigterm_leaves_nothing_half_written(tmp_path):
    former = signal.getsignal(signal.SIGTERM)

    def work():
        with tempfile.TemporaryDirectory(dir=tmp_path):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as end:
        program.run("program", work)
    assert end.value.code == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) == former


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_with_closed_streams_it_fails_instead_of_hanging(closed):
    program = "from keras_transformer.cli import program as c; raise SystemExit("
    program += "c.run('p', lambda: print('one')))"
    command = f'"{sys.executable}" -c "{program}" {closed}'
    result = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, timeout=120)
    assert (result.returncode, result.stdout) == (1, b"")


def test_a_mistake_of_ours_is_not_hidden():
    def fail():
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        program.run("program", fail)


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_the_code_is_that_of_the_program(result, code):
    assert program.run("program", lambda: result) == code


def test_notes_are_kept_back_unless_the_block_fails(capfd):
    with program._stderr_only_on_failure():
        os.write(2, b"a note\n")
    assert capfd.readouterr().err == ""

    def fail():
        with program._stderr_only_on_failure():
            os.write(2, b"why\n")
            raise ImportError("broken")

    with pytest.raises(ImportError, match="broken"):
        fail()
    assert capfd.readouterr().err == "why\n"


def test_a_parser_raises_instead_of_leaving():
    parser = program.make_parser("program", "What it does.")
    parser.add_argument("--number", type=int, default=3)
    assert parser.parse_args([]).number == 3
    with pytest.raises(argparse.ArgumentError, match="many"):
        parser.parse_args(["--number", "many"])


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [("> /dev/full", 1, "p: error: [Errno 28] No space left on device\n"), ("| true", 0, "")],
)
def test_output_that_is_lost_at_the_end_is_told_unless_nobody_reads_it(target, code, told):
    program = "from keras_transformer.cli import program as c; raise SystemExit("
    program += "c.run('p', lambda: print('one')))"
    command = f'"{sys.executable}" -c "{program}" {target}; exit ${{PIPESTATUS[0]}}'
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    environment["KERAS_BACKEND"] = "jax"  # which is there sooner
    found = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (found.returncode, found.stderr) == (code, told)
