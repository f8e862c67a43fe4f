"""Training that goes on, after any interruption, as if there had been none."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import keras

from keras_transformer.checkpoints.preemption import Stopped, StopSignal
from keras_transformer.checkpoints.state import (
    SavedState,
    StateError,
    StateFolder,
    assign_variables,
    read_variables,
    variables_of,
)


@dataclasses.dataclass
class TrainingProgress:
    """How far a training has come.

    Attributes:
        step: Batches since its start.
        epoch: The epoch that is under way, counted from 0.
        epoch_step: Batches of that epoch.
        finished: Whether a callback ended it. More epochs than before can follow otherwise.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    finished: bool = False


class SaveState(keras.callbacks.Callback):
    """Saves the whole state of a training as it goes; for `resumable_fit`.

    A state holds all variables of model, optimizer and metrics, seeds of dropout included, how far
    the training has come, its history, and the state of the other callbacks that have `state()` and
    `restore(state)`, one of each class. One is saved at the end of every epoch, after the other
    callbacks, unless the loss is no longer finite. After SIGTERM one is saved at the end of the
    running batch (of the epoch, if that was its last) and `Stopped` is raised.

    Args:
        folder: `StateFolder`.
        every: Integer. Steps between two states within an epoch; 0 saves none there.
        metadata: What else a state is to tell under `"run"`, of types that JSON has.
        write: Boolean. Whether this process writes the files. With several workers all of them
            need the callback, since all must read the variables, and one writes.
        stop: What has `received`, and is entered while `fit` runs; a `StopSignal` by default.

    Attributes:
        progress: `TrainingProgress` so far.
        history: `keras.callbacks.History` of all epochs, those before an interruption included.
    """

    def __init__(
        self,
        folder: StateFolder,
        every: int = 0,
        metadata: dict | None = None,
        write: bool = True,
        stop: StopSignal | None = None,
    ):
        super().__init__()
        self.folder = folder
        self.every = every
        self.metadata = metadata or {}
        self.write = write
        self.stop = stop or StopSignal()
        self.progress = TrainingProgress()
        self.history = keras.callbacks.History()
        self.watched: dict[str, keras.callbacks.Callback] = {}
        self._begun = TrainingProgress()
        self._saved_at = 0

    def watch(self, callbacks: Iterable[keras.callbacks.Callback]) -> None:
        """Says whose states to save: those of the callbacks that have one.

        Raises:
            ValueError: Two of them are of one class.
        """
        with_state = [one for one in callbacks if hasattr(one, "restore")]
        self.watched = {type(one).__name__: one for one in with_state}
        if len(self.watched) < len(with_state):
            raise ValueError(
                "Of callbacks that have a state there must be one of each class. Received: "
                f"{', '.join(type(one).__name__ for one in with_state)}"
            )

    def restore(self, model: keras.Model, state: SavedState) -> None:
        """Puts a compiled, built model and the callbacks where the state has them.

        Metrics are left alone: `fit` resets them.

        Raises:
            StateError: The state is of another model, or without one of the callbacks.
        """
        missing = self.watched.keys() - state.metadata["callbacks"].keys()
        if missing:
            raise StateError(
                f"{state.path} has no state of the callbacks {', '.join(sorted(missing))}. Go on "
                "with the callbacks of the beginning."
            )
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        assign_variables(model, state, "model", "optimizer")
        self.progress = TrainingProgress(**state.metadata["progress"])
        self.history.history = state.metadata["history"]
        self._saved_at = self.progress.step
        for name, callback in self.watched.items():
            callback.restore(state.metadata["callbacks"][name])

    def save(self) -> None:
        """Saves the state of this moment."""
        arrays = read_variables(self.model)
        metadata = {
            "progress": dataclasses.asdict(self.progress),
            "history": self.history.history,
            "callbacks": {name: callback.state() for name, callback in self.watched.items()},
            "run": self.metadata,
        }
        if self.write:
            self.folder.write(self.progress.step, metadata, arrays)
        self._saved_at = self.progress.step

    def on_epoch_begin(self, epoch, logs=None):
        self._begun = dataclasses.replace(self.progress)

    def on_train_batch_end(self, batch, logs=None):
        self.progress.step = self._begun.step + batch + 1
        self.progress.epoch_step = self._begun.epoch_step + batch + 1
        if batch + 1 >= self.params["steps"] or not _finite(logs):
            return  # the end of the epoch saves, or the training has diverged
        if self.stop.received:
            self._end()
        if self.every and self.progress.step - self._saved_at >= self.every:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        finished = bool(self.model.stop_training)
        self.progress = TrainingProgress(self.progress.step, epoch + 1, 0, finished)
        if not _finite(logs):
            return
        if self.stop.received:
            self._end()
        self.save()

    def _end(self):
        self.save()
        raise Stopped(
            f"stopped by SIGTERM after step {self.progress.step}; the state is saved in "
            f"{self.folder.folder}."
        )


def _finite(logs: dict | None) -> bool:
    return math.isfinite((logs or {}).get("loss", 0.0))


class _StopAfterEpoch(keras.callbacks.Callback):
    """Ends `fit` after one epoch; the last to be called, so that others do not see it."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


class _RestoreMetrics(keras.callbacks.Callback):
    """Lets an epoch's metrics go on from a state; the first to be called.

    Args:
        state: `SavedState`.
        batches: Function that gives batches, for metrics that have no variables before they have
            seen one.
    """

    def __init__(self, state: SavedState, batches: Callable[[], Iterable]):
        super().__init__()
        self.state = state
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        if len(variables_of(self.model, "metrics")) < len(self.state.arrays("metrics")):
            self._let_metrics_see_a_row()
        assign_variables(self.model, self.state, "metrics")

    def _let_metrics_see_a_row(self):
        batch = next(iter(self.batches()))
        row = keras.tree.map_structure(lambda array: array[:1], batch)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(row)
        self.model.compute_metrics(x, y, self.model(x, training=False), weights)


def resumable_fit(
    model: keras.Model,
    batches: Callable[[int], Iterable],
    saver: SaveState,
    *,
    epochs: int,
    steps_per_epoch: int,
    state: SavedState | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
    **options,
) -> keras.callbacks.History:
    """`model.fit` that can be interrupted at any moment and goes on exactly from a state.

    What it leaves is what it would have left without the interruption, bit for bit, on the same
    machine with the same package versions, as far as the training itself is deterministic.

    Args:
        model: A compiled, built model.
        batches: Function of a number of steps that gives the batches after as many, without end,
            such as `lambda step: token_batches.dataset(start_step=step)`.
        saver: `SaveState` of this training.
        epochs: Integer. As for `fit`; may be more than before an interruption.
        steps_per_epoch: Integer. As for `fit`, at least 1; in an interrupted epoch as before.
        state: What `saver.folder.newest()` gave, if the training was interrupted.
        callbacks: Callbacks that have no state of their own, or `state()` and `restore(state)`.
        verbose: As for `fit`.
        **options: Other arguments of `fit`.

    Returns:
        The history of all epochs.

    Raises:
        Stopped: SIGTERM came, and the state is saved.
        StateError: The state is of another model, or without one of the callbacks.
        ValueError: `steps_per_epoch` leaves nothing to do in the epoch that is under way, or the
            optimizer has `use_ema`.
        OSError: A state could not be written.

    Example:

    ```python
    states = StateFolder("checkpoints")
    resumable_fit(
        model, lambda step: batches.dataset(start_step=step), SaveState(states, every=1000),
        epochs=10, steps_per_epoch=batches.steps_per_epoch, state=states.newest(),
    )
    ```
    """
    if getattr(model.optimizer, "use_ema", False):
        raise ValueError(
            "`fit` ends with averaged weights if `use_ema`: leave it out of the optimizer, and use "
            "`average_checkpoints`."
        )
    saver.watch(callbacks)
    if state is not None:
        saver.restore(model, state)
    if steps_per_epoch <= saver.progress.epoch_step:
        raise ValueError(
            f"`steps_per_epoch` must be more than the {saver.progress.epoch_step} steps of the "
            f"epoch that are done. Received: {steps_per_epoch}. Give as many as at the beginning."
        )
    progress_bar = [keras.callbacks.ProgbarLogger()] if verbose else []
    callbacks = [*callbacks, saver.history, *progress_bar, saver]
    options |= {"epochs": epochs, "verbose": verbose, "shuffle": False}

    def fit(callbacks, steps):
        place = saver.progress
        first = batches(place.step)
        model.fit(
            first, initial_epoch=place.epoch, steps_per_epoch=steps, callbacks=callbacks, **options
        )

    with saver.stop:
        if saver.progress.epoch_step:
            metrics = _RestoreMetrics(state, lambda: batches(saver.progress.step))
            rest = steps_per_epoch - saver.progress.epoch_step
            fit([metrics, *callbacks, _StopAfterEpoch()], rest)
        if not saver.progress.finished and saver.progress.epoch < epochs:
            fit(callbacks, steps_per_epoch)
    saver.history.epoch = list(range(saver.progress.epoch))
    return saver.history
