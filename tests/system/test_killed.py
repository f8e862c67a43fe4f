"""A run that is killed again and again ends with the weights of one that nobody disturbed."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.trainers.conftest import toy_pairs

EVERY, STEPS, EPOCHS = 2, 13, 5
OPTIONS = """--num-layers 1 --d-model 96 --num-heads 2 --d-ff 256 --dropout-rate 0.3
    --tokens-per-batch 257 --max-shapes 2 --learning-rate-scale 0.5 --warmup-steps 7
    --averaged-checkpoints 2 --tensorboard false --compile-with-xla false"""
COMMAND = [sys.executable, "-m", "trainers.translation", *OPTIONS.split(),
           "--epochs", str(EPOCHS), "--steps-per-epoch", str(STEPS),
           "--checkpoint-steps", str(EVERY)]  # fmt: skip


class Run:
    """The command in a process of its own, all that it prints in `log`."""

    def __init__(self, output, texts):
        self.output = output
        self.log = output.with_suffix(".log")
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *texts, "--output", str(output)], cwd=ROOT, stdout=log, stderr=log
            )

    def wait(self):
        assert self.process.wait(timeout=300) == 0, self.log.read_text()[-3000:]

    def checkpoints(self):
        """The names of the files in that folder."""
        with contextlib.suppress(FileNotFoundError):
            return os.listdir(self.output / "checkpoints")
        return []

    def kill(self, moment):
        """Kills it at a moment that is seen to be so while the process stands still."""
        deadline = time.monotonic() + 300
        before = steps_in(self.checkpoints())
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            if moment(self.checkpoints(), before):
                self.process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                if moment(self.checkpoints(), before):
                    self.process.kill()
                    self.process.wait()
                    return
                self.process.send_signal(signal.SIGCONT)
                os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
            time.sleep(0.0005)
        raise AssertionError("that moment did not come")


def steps_in(names):
    """The steps of the states that are there."""
    return sorted(int(name[6:-4]) for name in names if name.startswith("state-"))


def writing_a_state(names, before):
    """Not the first since it was started."""
    return any(name.startswith(".writing-state") for name in names) and steps_in(names) != before


def writing_weights(names, before):
    return any(name.startswith(".writing-") and name.endswith(".h5") for name in names)


def in_mid_epoch(names, before):
    """The last state is a new one, and another of this epoch is still to come."""
    steps = steps_in(names)
    return (
        steps != before
        and 0 < steps[-1] % STEPS < STEPS - EVERY
        and not any(name.startswith(".writing-") for name in names)
    )


def any_time(names, before):
    return True


MOMENTS = [any_time, writing_a_state, in_mid_epoch, writing_weights, in_mid_epoch]
MORE_MOMENTS = [writing_a_state, in_mid_epoch, writing_weights, in_mid_epoch, writing_a_state]


def arrays(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]} if hasattr(item, "dtype") else {})
        )
    return found


def same_weights(one, other, name):
    some, others = arrays(one / name), arrays(other / name)
    assert len(some) > 20
    return some.keys() == others.keys() and all(
        np.array_equal(values, others[key]) for key, values in some.items()
    )


def scores(run):
    """What is last said of each epoch: loss, accuracy, BLEU and so on, but for its speed."""
    found, epoch = {}, None
    for line in run.log.read_text().splitlines():
        if line.startswith("Epoch "):
            epoch = line
        if "val_bleu" in line:
            found[epoch] = [item for item in line.split(" - ")[3:] if "per_second" not in item]
    return found


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder, pairs = tmp_path_factory.mktemp("texts"), toy_pairs(499)
    for name, part in (("train", pairs[:450]), ("validation", pairs[450:])):
        (folder / f"{name}.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in part))
    return [f"--{name}-tsv={folder / name}.tsv" for name in ("train", "validation")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "moments",
    [
        MOMENTS,
        pytest.param(
            [*MOMENTS, *MORE_MOMENTS], marks=pytest.mark.stood_for("that of half as many kills")
        ),
    ],
    ids=len,
)
def test_kills_leave_no_trace(moments, texts, tmp_path):
    with contextlib.ExitStack() as stack:
        control, again = (Run(tmp_path / name, texts) for name in ("control", "again"))
        for run in (control, again):
            stack.callback(run.process.kill)
        for moment in moments:
            killed = Run(tmp_path / "killed", texts)
            stack.callback(killed.process.kill)
            killed.kill(moment)
        last = Run(tmp_path / "killed", texts)
        stack.callback(last.process.kill)
        for run in (control, again, last):
            run.wait()
    assert last.log.read_text().count("Resuming from step") == len(moments) - 1
    files = ["model.weights.h5", *(f"checkpoints/{name}.weights.h5" for name in KEPT)]
    for name in files:
        assert same_weights(control.output, again.output, name), f"no control: {name}"
        assert same_weights(control.output, last.output, name), name
    assert scores(control) == scores(again)
    assert scores(control) == scores(last)
    assert len(scores(control)) == EPOCHS
    assert set(last.checkpoints()) == {f"{name}.weights.h5" for name in KEPT}
    results = [(run.output / "run.json").read_text() for run in (control, last)]
    assert results[0] == results[1]


KEPT = ("best", *(f"epoch-{epoch:04d}" for epoch in (EPOCHS - 1, EPOCHS)))
