"""`translate` as a filter and on files, in processes of their own that are stopped and killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import ROOT
from tests.translation.conftest import save_run, sentences

COMMAND = [sys.executable, "-m", "keras_transformer", "translate"]
LINES = sentences(900, seed=6, longest=9)
HANGS = 300  # seconds


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "all.en"
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


@pytest.fixture(scope="module")
def wanted(run, corpus):
    """The output of an undisturbed process for the corpus."""
    return subprocess.run(
        [*COMMAND, "--run", run, "--input", corpus], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()


def start(run, *options, **streams):
    process = subprocess.Popen(
        [*COMMAND, "--run", str(run), *map(str, options)],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        stderr=subprocess.PIPE,
        **streams,
    )
    threading.Timer(HANGS, process.kill).start()
    return process


def end(process):
    """Waits for a process; returns its exit code and what it wrote as errors."""
    error = process.communicate()[1].decode()
    return process.returncode, error


@pytest.fixture(autouse=True)
def interruptible():
    """A shell makes its background jobs, and so their children, ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def no_timers():
    """Guards of processes that have ended are of no use."""
    yield
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


@pytest.mark.slow
def test_a_program_that_keeps_the_pipe_open_gets_its_answers(run):
    """Then, while the process waits for more, Ctrl-C ends it at once."""
    process = start(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in (b"one two\n", b"\n", b"red cat\n"):
        process.stdin.write(line)
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer.endswith(b"\n")
        assert (answer == b"\n") == (line == b"\n")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=HANGS) == 130
    output, error = process.communicate()
    assert output == b""
    assert error.decode() == "python -m keras_transformer: error: interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code", "to_file"),
    [
        pytest.param(
            *(signal.SIGINT, 130, False), marks=pytest.mark.stood_for("the one with SIGTERM")
        ),
        (signal.SIGTERM, 143, True),
    ],
)
def test_an_interruption_leaves_whole_and_right_lines(
    run, corpus, wanted, name, code, to_file, tmp_path
):
    output = tmp_path / "all.fr"
    options = ["--input", corpus, "--buffer", "32"]
    if to_file:
        process = start(run, *options, "--output", output)
    else:
        with output.open("wb") as file:
            process = start(run, *options, stdout=file)
    deadline = time.monotonic() + HANGS
    while not output.exists() or output.stat().st_size == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(name)
    found, error = end(process)
    assert found == code
    assert "Traceback" not in error
    lines = output.read_text()
    assert lines.endswith("\n")
    assert wanted.startswith(lines)
    assert 0 < lines.count("\n") < len(LINES)
    if to_file:
        record = json.loads((tmp_path / ".all.fr.progress.json").read_text())
        assert record["answers"] == lines.count("\n")


@pytest.mark.slow
def test_an_output_whose_writers_are_killed_is_that_of_one_that_nobody_disturbs(
    run, corpus, wanted, tmp_path
):
    output, killed = tmp_path / "all.fr", 0
    options = ["--input", corpus, "--output", output, "--resume", "--buffer", "16"]
    while True:
        size = output.stat().st_size if output.exists() else 0
        process = start(run, *options)
        while killed < 3 and process.poll() is None:
            if output.exists() and output.stat().st_size > size + 600 * (killed % 3):
                process.kill()
            time.sleep(0.005)
        code, error = end(process)
        if code == 0:
            break
        assert code == -signal.SIGKILL, error
        killed += 1
    assert killed == 3
    assert output.read_text() == wanted
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["all.fr"]


@pytest.mark.slow
@pytest.mark.stood_for("what tests/cli says of --shard")
def test_three_processes_share_a_corpus(run, corpus, wanted, tmp_path):
    outputs = [tmp_path / f"{number}.fr" for number in (1, 2, 3)]
    processes = [
        start(run, "--input", corpus, "--shard", f"{output.stem}/3", "--output", output)
        for output in outputs
    ]
    assert [end(process) for process in processes] == [(0, "")] * 3
    assert "".join(output.read_text() for output in outputs) == wanted


@pytest.mark.slow
def test_a_full_disk_and_a_closed_pipe_end_a_stream(run, corpus):
    with open("/dev/full", "wb") as full, corpus.open("rb") as lines:
        process = start(run, stdin=lines, stdout=full)
        code, error = end(process)
    assert code == 1
    assert error == "python -m keras_transformer: error: [Errno 28] No space left on device\n"
    with corpus.open("rb") as lines:
        process = start(run, "--buffer", "16", stdin=lines, stdout=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        assert end(process) == (0, "")
