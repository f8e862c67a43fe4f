"""A training that was interrupted leaves what it would have left undisturbed."""

import contextlib
import json
import os
import resource
import signal

import keras
import numpy as np
import pytest

from keras_transformer import (
    BleuCallback,
    KeepCheckpoints,
    SaveState,
    StateError,
    StateFolder,
    Stopped,
    TokenRate,
    resumable_fit,
)
from tests.checkpoints.interrupted import (
    EPOCHS,
    STEPS,
    InterruptAt,
    Interrupted,
    Training,
    batches,
    differences,
    make_model,
)
from tests.conftest import QUICK_TO_COMPILE, run_python


@pytest.fixture(scope="module")
def training():
    """One model, compiled once, whose training is had again and again."""
    return Training()


@pytest.fixture(scope="module")
def once(training, tmp_path_factory):
    """Variables and history of the training that nobody disturbed."""
    return training.run(tmp_path_factory.mktemp("once"))


def is_as_undisturbed(found, once):
    assert differences(found[0], once[0]) == []
    assert found[1].history == once[1].history
    assert found[1].epoch == once[1].epoch == list(range(EPOCHS))


def progress(folder):
    """Where each state is: epoch and step in it."""
    states = StateFolder(folder)
    found = []
    for path in reversed(states.paths()):
        place = states.newest().metadata["progress"]
        found.append((place["epoch"], place["epoch_step"]))
        path.unlink()
    return found[::-1]


def test_a_training_changes_all_that_is_compared(training, once):
    changed = differences(training.start, once[0])
    assert sum("seed" in name for name in changed) == 6
    assert sum(name.startswith("optimizer/") for name in changed) > 50
    assert len(changed) > 90


# Batches 5 and 10 end an epoch: states are saved after batches 2, 4, 5, 7, 9, 10 and so on.
@pytest.mark.parametrize("after", [(3,), (5,), (6,), (10,), (4, 3, 4)])
def test_all_is_as_undisturbed(after, training, once, tmp_path):
    is_as_undisturbed(training.run_in_pieces(tmp_path, *after), once)


@pytest.mark.slow
def test_a_new_model_goes_on_too(tmp_path):
    """Whose metrics have no variables before they have seen a batch."""
    with pytest.raises(Interrupted):
        Training(make_model(run_eagerly=True)).run(tmp_path, [InterruptAt(3)], epochs=1)
    found = Training(make_model(7, run_eagerly=True)).run(tmp_path, epochs=1)
    once = Training(make_model(run_eagerly=True)).run(tmp_path / "once", epochs=1)
    assert differences(found[0], once[0]) == []
    assert found[1].history == once[1].history


@pytest.mark.slow
def test_on_jax_too(tmp_path):
    run_python("-m", "tests.checkpoints.interrupted", str(tmp_path),
               KERAS_BACKEND="jax", XLA_FLAGS=QUICK_TO_COMPILE)  # fmt: skip
    metadata = json.loads((tmp_path / "facts.json").read_text())
    assert metadata["backend"] == "jax"
    assert metadata["trained"] > 90
    assert metadata["differences"] == []
    assert metadata["histories"][0] == metadata["histories"][1]
    assert len(metadata["histories"][0]["loss"]) == EPOCHS


@pytest.mark.slow
def test_a_state_is_saved_every_so_often_and_at_the_end_of_an_epoch(training, tmp_path):
    for batch, expected in ((3, [(0, 2)]), (5, [(0, 2), (0, 4)]), (8, [(1, 0), (1, 2)])):
        with pytest.raises(Interrupted):
            training.run(tmp_path, [InterruptAt(batch)])
        assert progress(tmp_path) == expected


def test_the_interval_is_counted_from_the_state_that_it_goes_on_from(training, tmp_path):
    for batch in (6, 2):
        with pytest.raises(Interrupted):
            training.run(tmp_path, [InterruptAt(batch)])
    assert progress(tmp_path) == [(0, 4), (1, 0)]


@pytest.mark.slow
def test_without_an_interval_states_are_of_whole_epochs(training, tmp_path):
    with pytest.raises(Interrupted):
        training.run(tmp_path, [InterruptAt(9)], every=0)
    assert progress(tmp_path) == [(1, 0)]


def test_a_truncated_state_costs_one_interval(training, once, tmp_path):
    with pytest.raises(Interrupted):
        training.run(tmp_path, [InterruptAt(14)])
    path = StateFolder(tmp_path).paths()[-1]
    assert path.name == "state-00000012.npz"
    path.write_bytes(path.read_bytes()[:-100])
    seen = []

    def noted(step):
        seen.append(step)
        return batches(step)

    with pytest.warns(UserWarning, match=r"state-00000012\.npz is damaged"):
        found = training.run(tmp_path, batches=noted)
    assert min(seen) == 10
    is_as_undisturbed(found, once)


def test_a_finished_training_is_not_trained_again(training, once, tmp_path):
    training.run(tmp_path)
    is_as_undisturbed(training.run(tmp_path, [InterruptAt(1)]), once)


def test_more_epochs_can_follow(training, once, tmp_path):
    training.run(tmp_path, epochs=1)
    is_as_undisturbed(training.run(tmp_path), once)


@pytest.mark.parametrize("steps", [2, 0])
def test_an_epoch_without_steps_left_is_refused(steps, training, tmp_path):
    """Keras would go on without end."""
    with pytest.raises(Interrupted):
        training.run(tmp_path, [InterruptAt(3)])
    with pytest.raises(ValueError, match=rf"greater than the 2 steps .* Received: {steps}\. Pass"):
        training.run(tmp_path, steps_per_epoch=steps)


class ScoreOfWeights:
    """Callbacks whose states matter: what is best, and which files there are."""

    def __init__(self, model, folder):
        references = ["one two three four five", "six seven eight nine ten"]
        written = [references, ["one two three four five", "no"], ["no", "no"]]

        def translate(texts):
            return written[int(np.abs(model.get_weights()[1]).sum() * 1e5) % 3]

        self.bleu = BleuCallback(translate, references, references, folder / "best.weights.h5")
        self.keep = KeepCheckpoints(folder, keep=2)

    @property
    def callbacks(self):
        return [self.bleu, self.keep]


class InterruptAfter(keras.callbacks.Callback):
    """Raises at the end of an epoch, the first being number 1, before its state is saved."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            raise Interrupted


@pytest.mark.slow
def test_callbacks_go_on_too(training, tmp_path):
    """Also if a checkpoint was removed and the state that no longer needs it was not saved."""
    found = []
    for name, *ends in (("once", []), ("again", [InterruptAt(6)], [InterruptAfter(3)], [])):
        for end in ends:
            scores = ScoreOfWeights(training.model, tmp_path / name)
            with contextlib.suppress(Interrupted):
                _, history = training.run(tmp_path / name, [*scores.callbacks, *end])
        files = {path.name for path in (tmp_path / name).glob("*.h5")}
        found.append((history.history, scores.bleu.state(), scores.keep.state(), files))
    assert found[0] == found[1]
    assert len(set(found[0][0]["val_bleu"])) > 1
    assert files == {"best.weights.h5", "epoch-0002.weights.h5", "epoch-0003.weights.h5"}


def test_patience_is_counted_on(training, tmp_path):
    """No translation is ever right: training ends after the second score that is not better."""

    def bleu():
        return BleuCallback(lambda texts: ["no"], ["a"], ["b"], tmp_path / "b.weights.h5", 1, 2)

    with pytest.raises(Interrupted):
        training.run(tmp_path, [InterruptAt(8), bleu()], steps_per_epoch=3, epochs=7)
    for _ in range(2):  # goes on; then finds that nothing is left to do
        _, history = training.run(tmp_path, [bleu()], steps_per_epoch=3, epochs=7)
        assert history.epoch == [0, 1, 2]
        assert len(history.history["val_bleu"]) == 3


@pytest.mark.slow
def test_several_steps_in_one_call(tmp_path):
    """Calls of 3 steps in epochs of 5: an epoch takes two calls, 6 batches."""
    training = Training(make_model(steps_per_execution=3))
    once = training.run(tmp_path / "1")
    assert training.model.optimizer.iterations == 6 * EPOCHS
    with pytest.raises(Interrupted):
        training.run(tmp_path / "2", [InterruptAt(4)])
    assert progress_of_newest(tmp_path / "2") == (1, 3, 9)
    is_as_undisturbed(training.run(tmp_path / "2"), once)


def progress_of_newest(folder):
    place = StateFolder(folder).newest().metadata["progress"]
    return place["epoch"], place["epoch_step"], place["step"]


class Terminate(keras.callbacks.Callback):
    """Sends SIGTERM to this process within a batch, the first being number 1."""

    def __init__(self, batch):
        super().__init__()
        self.left = batch

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "place"), [(3, (0, 3)), (5, (1, 0)), (8, (1, 3))])
def test_sigterm_ends_it_with_the_running_batch(batch, place, training, once, tmp_path):
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match=rf"stopped by SIGTERM after step {batch}; the state is sa"):
        training.run(tmp_path, [Terminate(batch)], every=0)
    assert signal.getsignal(signal.SIGTERM) == former
    assert progress_of_newest(tmp_path) == (*place, batch)
    is_as_undisturbed(training.run(tmp_path), once)


def test_callbacks_that_cannot_be_told_apart_are_refused(tmp_path):
    saver = SaveState(StateFolder(tmp_path))
    two = [KeepCheckpoints(tmp_path / name) for name in ("one", "other")]
    with pytest.raises(ValueError, match=r"each class\. Received: KeepCheckpoints, KeepC"):
        saver.watch([*two, keras.callbacks.Callback()])


def test_a_callback_that_the_state_does_not_know_is_named(training, tmp_path):
    with pytest.raises(Interrupted):
        training.run(tmp_path, [InterruptAt(3)])
    saver = SaveState(StateFolder(tmp_path))
    saver.watch([KeepCheckpoints(tmp_path)])
    with pytest.raises(StateError, match=r"has no state of the callbacks KeepCheckpoints\. Cont"):
        saver.restore(training.model, saver.folder.newest())


@pytest.mark.slow
def test_a_full_disk_ends_it_and_the_state_before_goes_on(training, once, tmp_path):
    class Fill(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 6:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match=r"state-00000007\.npz could not be written: File too"):
            training.run(tmp_path, [Fill()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert progress_of_newest(tmp_path) == (1, 0, 5)
    assert not list(tmp_path.glob(".writing-*"))
    is_as_undisturbed(training.run(tmp_path), once)


def test_a_diverged_training_is_not_saved(training, tmp_path):
    class Diverge(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.set_weights([weights * np.nan for weights in self.model.get_weights()])

    stop = keras.callbacks.TerminateOnNaN()
    _, history = training.run(tmp_path, [Diverge(), stop], every=1)
    assert np.isnan(history.history["loss"]).tolist() == [False, True]
    assert [path.name for path in StateFolder(tmp_path).paths()] == [
        "state-00000004.npz", "state-00000005.npz",
    ]  # fmt: skip


def test_speed_is_that_of_the_batches_seen_here(training, tmp_path):
    with pytest.raises(Interrupted):
        training.run(tmp_path, [InterruptAt(9)])
    rate, begun = TokenRate(), progress_of_newest(tmp_path)[2]
    training.run(tmp_path, [rate])
    stream = batches(begun)
    assert rate.tokens == sum((next(stream)[1] != 0).sum() for _ in range(begun, EPOCHS * STEPS))


def test_another_worker_reads_and_does_not_write(training, tmp_path):
    saver = SaveState(StateFolder(tmp_path / "states"), write=False)
    sizes = {"epochs": 2, "steps_per_epoch": 2, "verbose": 0}
    resumable_fit(training.model, batches, saver, **sizes)
    assert saver.progress.epoch == 2
    assert not (tmp_path / "states").exists()


def test_weights_that_fit_would_average_at_its_end_are_refused(training, tmp_path, monkeypatch):
    monkeypatch.setattr(training.model.optimizer, "use_ema", True)
    with pytest.raises(ValueError, match=r"Remove `use_ema` .* Received: use_ema=True$"):
        training.run(tmp_path)
