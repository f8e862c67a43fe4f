"""The trainer on several devices, and in several processes of which one is killed."""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest

from keras_transformer import Translator
from tests.conftest import ROOT, run_python
from tests.distribution.test_same_result import free_port
from tests.system.test_killed import same_weights
from tests.trainers.conftest import toy_pairs

pytestmark = pytest.mark.slow
COMMAND = [
    "-m",
    "trainers.translation",
    "--num-layers",
    "1",
    "--d-model",
    "16",
    "--num-heads",
    "2",
    "--d-ff",
    "24",
    "--dropout-rate",
    "0.3",
    "--tokens-per-batch",
    "512",
    "--max-shapes",
    "2",
    "--epochs",
    "2",
    "--steps-per-epoch",
    "40",
    "--checkpoint-steps",
    "10",
    "--averaged-checkpoints",
    "2",
    "--tensorboard",
    "false",
]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder, pairs = tmp_path_factory.mktemp("texts"), toy_pairs(499)
    for name, part in (("train", pairs[:450]), ("validation", pairs[450:])):
        (folder / f"{name}.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in part))
    return [f"--{name}-tsv={folder / name}.tsv" for name in ("train", "validation")]


@pytest.mark.parametrize(
    ("backend", "options", "says"),
    [
        ("tensorflow", ["--strategy=mirrored", "--devices=2"], "2 logical CPUs"),
        ("jax", ["--packed=always", "--packed-length=32"], "2 CPU devices (DataParallel)"),
    ],
)
def test_the_trainer_on_two_devices(backend, options, says, texts, tmp_path):
    environment = {"KERAS_BACKEND": backend}
    if backend == "jax":
        environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    output = f"--output={tmp_path / 'run'}"
    command = [*COMMAND, *texts, "--accumulate-steps=2"]
    printed = run_python(*command, *options, output, **environment)
    assert f"Training on {says}" in printed
    assert ("of 16x32x32 (rows" in printed) == (backend == "jax")
    assert Translator.load(tmp_path / "run").translate(["one two"])[0].text is not None


def start(output, texts):
    """Two processes, each with its log."""
    ports, processes = [free_port(), free_port()], []
    for index in range(2):
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        with open(f"{output}.{index}.log", "w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *COMMAND, *texts, f"--output={output}"],
                    cwd=ROOT,
                    env={**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"},
                    stdout=log,
                    stderr=log,
                )
            )
    return processes


def logs(output):
    return [(output.parent / f"{output.name}.{index}.log").read_text() for index in range(2)]


def finished(output, processes):
    codes = [process.wait(timeout=400) for process in processes]
    assert codes == [0, 0], "\n".join(logs(output))[-5000:]


def test_a_worker_that_is_killed_ends_the_run_which_then_goes_on(texts, tmp_path):
    with contextlib.ExitStack() as stack:
        control = start(tmp_path / "control", texts)
        [stack.callback(process.kill) for process in control]
        finished(tmp_path / "control", control)

        output = tmp_path / "run"
        chief, other = start(output, texts)
        [stack.callback(process.kill) for process in (chief, other)]
        deadline = time.monotonic() + 300
        while not list(output.glob("checkpoints/state-*")):
            assert time.monotonic() < deadline, logs(output)[0][-3000:]
            assert chief.poll() is None, logs(output)[0][-3000:]
            time.sleep(0.01)
        other.kill()
        assert chief.wait(timeout=300) == 75
        last = logs(output)[0].splitlines()[-1]
        assert "Another of the 2 workers has exited or cannot be reached" in last
        assert last.endswith("The same command resumes the run.")

        again = start(output, texts)
        [stack.callback(process.kill) for process in again]
        finished(output, again)
    assert "Resuming from step" in logs(output)[0]
    assert same_weights(tmp_path / "control", output, "model.weights.h5")
    quiet = logs(tmp_path / "control")[1]
    assert "Epoch" not in quiet
    assert "Saved" not in quiet
