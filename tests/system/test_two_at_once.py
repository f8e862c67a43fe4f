"""Two processes that would write into one folder at a time: one works, the other is refused."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from keras_transformer import Translator
from keras_transformer.io import LOCK
from tests.conftest import ROOT
from tests.trainers.conftest import TINY, toy_pairs

pytestmark = pytest.mark.slow
TRAIN = [sys.executable, "-m", "trainers.translation", *TINY, "--compile-with-xla", "false"]
TRAIN += ["--tensorboard", "false", "--checkpoint-steps", "5"]
SAVE = """
import sys
from keras_transformer import Translator
Translator.load(sys.argv[1]).save(sys.argv[2])
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "train.tsv"
    path.write_text("".join(f"{s}\t{t}\n" for s, t in toy_pairs(450)))
    return path


@contextlib.contextmanager
def start(command, *arguments):
    process = subprocess.Popen(
        [*command, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, process_group=0,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def training(output, text, *options):
    return start(TRAIN, "--train-tsv", text, "--output", output, *options)


def wait_for(found):
    deadline = time.monotonic() + 200
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states_in(output):
    return sorted(path.name for path in (output / "checkpoints").glob("state-*.npz"))


def last_line(text):
    return text.splitlines()[-1]


def refusal(output, pid, purpose="training"):
    return (
        rf"^.*{output} is being written by process {pid} on host "
        rf"{re.escape(socket.gethostname())} \({purpose} since .*\)\. Wait until it has ended, or "
        r"give another folder \(--output\)\.$"
    )


def test_of_two_trainings_one_is_refused(text, tmp_path):
    output = tmp_path / "run"
    options = [["--seed", seed, "--epochs", 2] for seed in (1, 2)]
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(training(output, text, *option)) for option in options]
        printed = [process.communicate(timeout=300) for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 1], printed
    winner = codes.index(0)
    assert re.match(refusal(output, both[winner].pid), last_line(printed[1 - winner][1]))
    assert "Saved to" in printed[winner][0]
    assert json.loads((output / "run.json").read_text())["seed"] == winner + 1
    assert len(Translator.load(output).translate(["one two"])) == 1
    assert (output / LOCK).read_text() == ""


def test_nobody_writes_into_a_training_and_a_killed_one_goes_on(text, tmp_path):
    output, other = tmp_path / "run", tmp_path / "other"
    with training(other, text, "--epochs", 1) as process:
        assert process.wait(timeout=300) == 0
    with training(output, text, "--epochs", 200) as process:
        wait_for(lambda: states_in(output))
        with training(output, text, "--epochs", 2, "--overwrite", "true") as second:
            assert re.match(
                refusal(output, process.pid), last_line(second.communicate(timeout=100)[1])
            )
            assert second.returncode == 1
        with start([sys.executable, "-c", SAVE], other, output) as second:
            assert re.match(
                refusal(output, process.pid), last_line(second.communicate(timeout=100)[1])
            )
            assert second.returncode == 1
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    holder = json.loads((output / LOCK).read_text())
    assert holder["process"] == process.pid
    before = states_in(output)
    with training(output, text, "--epochs", 200) as process:
        wait_for(lambda: states_in(output) > before)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=100)
        assert process.returncode == 75
    assert states_in(output) > before
    with training(output, text, "--epochs", 1, "--overwrite", "true") as process:
        assert process.wait(timeout=300) == 0
    assert len(Translator.load(output).translate(["one two"])) == 1


def test_of_two_exports_one_is_refused(text, tmp_path):
    run, output = tmp_path / "run", tmp_path / "served" / "1"
    with training(run, text, "--epochs", 1) as process:
        assert process.wait(timeout=300) == 0
    export = [sys.executable, "-m", "keras_transformer", "export", "--run", run, "--output", output]
    with start(export) as first:
        wait_for((output.parent / f".1{LOCK}").exists)
        with start(export) as second:
            error = last_line(second.communicate(timeout=100)[1])
        assert re.match(refusal(output, first.pid, "export"), error)
        assert first.wait(timeout=200) == 0
    assert (output / "saved_model.pb").exists()
    assert [path.name for path in output.parent.iterdir()] == ["1"]
