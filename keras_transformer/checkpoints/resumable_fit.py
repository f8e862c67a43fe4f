"""Resumable training: `fit` that continues exactly where an interruption stopped it."""

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
from keras_transformer.forking import refused_after_fork


@dataclasses.dataclass
class TrainingProgress:
    """Progress of a training run.

    Attributes:
        step: Integer. Number of batches since the start.
        epoch: Integer. Index of the current epoch, counted from 0.
        epoch_step: Integer. Number of batches completed in the current epoch.
        finished: Boolean. Whether a callback stopped the training. If not, the run can be resumed
            with a larger number of epochs.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    finished: bool = False


class SaveState(keras.callbacks.Callback):
    """Callback of `resumable_fit` that saves the complete training state.

    A state consists of all variables of model, optimizer and metrics (including seeds of dropout),
    the progress and history of the training, and the states of the other callbacks that define
    `state()` and `restore(state)`, at most one of each class. It is saved at the end of every
    epoch, after the other callbacks, unless the loss is not finite. After SIGTERM, a state is saved
    at the end of the current batch, or of the epoch if the batch is its last, and `Stopped` is
    raised.

    Args:
        folder: `StateFolder` that the states are written to.
        every: Integer. Number of steps between states within an epoch; 0 saves states at the end of
            epochs only.
        metadata: Dict of JSON values, stored with each state as `metadata["run"]`.
        write: Boolean. Whether this process writes the files. With several workers, all of them
            need the callback, since all must take part in reading the variables, but only one may
            write.
        stop: Context manager with an attribute `received`, entered while `fit` runs. Defaults to a
            `StopSignal`.

    Attributes:
        progress: Current `TrainingProgress`.
        history: `keras.callbacks.History` of all epochs, including those before an interruption.
        watched: Dict from class names to the callbacks whose states are saved.
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
        self._epoch_start = TrainingProgress()
        self._last_saved_step = 0

    def watch(self, callbacks: Iterable[keras.callbacks.Callback]) -> None:
        """Selects the callbacks whose states are saved: those that define `restore`.

        Raises:
            ValueError: Two of these callbacks are of the same class.
        """
        stateful = [callback for callback in callbacks if hasattr(callback, "restore")]
        self.watched = {type(callback).__name__: callback for callback in stateful}
        if len(self.watched) < len(stateful):
            raise ValueError(
                "Of the callbacks that have a state, there must be at most one of each class. "
                f"Received: {', '.join(type(callback).__name__ for callback in stateful)}"
            )

    def restore(self, model: keras.Model, state: SavedState) -> None:
        """Restores a compiled, built model and the watched callbacks from a state.

        Metrics are not restored here, because `fit` resets them.

        Raises:
            StateError: The state belongs to another model, or lacks the state of a callback.
        """
        missing = self.watched.keys() - state.metadata["callbacks"].keys()
        if missing:
            raise StateError(
                f"{state.path} has no state of the callbacks {', '.join(sorted(missing))}. "
                "Continue with the callbacks that the training began with."
            )
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        assign_variables(model, state, "model", "optimizer")
        self.progress = TrainingProgress(**state.metadata["progress"])
        self.history.history = state.metadata["history"]
        self._last_saved_step = self.progress.step
        for name, callback in self.watched.items():
            callback.restore(state.metadata["callbacks"][name])

    def save(self) -> None:
        """Saves the current state."""
        arrays = read_variables(self.model)
        metadata = {
            "progress": dataclasses.asdict(self.progress),
            "history": self.history.history,
            "callbacks": {name: callback.state() for name, callback in self.watched.items()},
            "run": self.metadata,
        }
        if self.write:
            self.folder.write(self.progress.step, metadata, arrays)
        self._last_saved_step = self.progress.step

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_start = dataclasses.replace(self.progress)

    def on_train_batch_end(self, batch, logs=None):
        self.progress.step = self._epoch_start.step + batch + 1
        self.progress.epoch_step = self._epoch_start.epoch_step + batch + 1
        if batch + 1 >= self.params["steps"] or not _is_finite(logs):
            return  # `on_epoch_end` saves the state, or the training has diverged
        if self.stop.received:
            self._save_and_stop()
        if self.every and self.progress.step - self._last_saved_step >= self.every:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        finished = bool(self.model.stop_training)
        self.progress = TrainingProgress(self.progress.step, epoch + 1, 0, finished)
        if not _is_finite(logs):
            return
        if self.stop.received:
            self._save_and_stop()
        self.save()

    def _save_and_stop(self):
        self.save()
        raise Stopped(
            f"stopped by SIGTERM after step {self.progress.step}; the state is saved in "
            f"{self.folder.folder}."
        )


def _is_finite(logs: dict | None) -> bool:
    """Returns whether the loss is finite."""
    return math.isfinite((logs or {}).get("loss", 0.0))


class _StopAfterEpoch(keras.callbacks.Callback):
    """Callback that stops `fit` after one epoch.

    It must be the last one, so that no other callback sees `stop_training`.
    """

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


class _RestoreMetrics(keras.callbacks.Callback):
    """Callback that restores the metrics of an interrupted epoch; it must be the first one.

    Args:
        state: `SavedState` to restore the metrics from.
        batches: Function that returns batches, for metrics that create their variables when they
            are first updated.
    """

    def __init__(self, state: SavedState, batches: Callable[[], Iterable]):
        super().__init__()
        self.state = state
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        if len(variables_of(self.model, "metrics")) < len(self.state.arrays("metrics")):
            self._build_metrics()
        assign_variables(self.model, self.state, "metrics")

    def _build_metrics(self):
        """Creates the variables of the metrics by an update with one row of a batch."""
        batch = next(iter(self.batches()))
        row = keras.tree.map_structure(lambda array: array[:1], batch)
        x, y, weights = keras.utils.unpack_x_y_sample_weight(row)
        self.model.compute_metrics(x, y, self.model(x, training=False), weights)


@refused_after_fork
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
    """Trains a model as `fit` does, and resumes an interrupted training exactly.

    On the same machine and with the same package versions, the result of a resumed training equals
    that of an uninterrupted one bit for bit, as far as the training itself is deterministic.

    Args:
        model: A compiled, built model.
        batches: Function that maps a number of steps to an endless iterable of the batches that
            follow them, such as `lambda step: token_batches.dataset(start_step=step)`.
        saver: `SaveState` callback of this training.
        epochs: Integer. As in `fit`. May be increased when the training is resumed.
        steps_per_epoch: Integer, at least 1. As in `fit`. An interrupted epoch must be resumed with
            the same number.
        state: `SavedState` to resume from, as returned by `saver.folder.newest()`, or `None` to
            start a new training.
        callbacks: Callbacks that are stateless, or define `state()` and `restore(state)`.
        verbose: As in `fit`.
        **options: Other arguments of `fit`.

    Returns:
        `keras.callbacks.History` of all epochs.

    Raises:
        Stopped: SIGTERM was received, and the state is saved.
        StateError: The state belongs to another model, or lacks the state of a callback.
        ValueError: `steps_per_epoch` leaves no step in the current epoch, or the optimizer has
            `use_ema`.
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
            "`fit` replaces the weights by their moving averages when it ends, so a resumed "
            "training would continue from these. Remove `use_ema` from the optimizer, and use "
            "`average_checkpoints`. Received: use_ema=True"
        )
    saver.watch(callbacks)
    if state is not None:
        saver.restore(model, state)
    if steps_per_epoch <= saver.progress.epoch_step:
        raise ValueError(
            f"`steps_per_epoch` must be greater than the {saver.progress.epoch_step} steps "
            f"completed in this epoch. Received: {steps_per_epoch}. Pass the number that the "
            "training began with."
        )
    progress_bar = [keras.callbacks.ProgbarLogger()] if verbose else []
    callbacks = [*callbacks, saver.history, *progress_bar, saver]
    options |= {"epochs": epochs, "verbose": verbose, "shuffle": False}

    def fit(callbacks, steps):
        model.fit(
            batches(saver.progress.step),
            initial_epoch=saver.progress.epoch,
            steps_per_epoch=steps,
            callbacks=callbacks,
            **options,
        )

    with saver.stop:
        if saver.progress.epoch_step:
            restore_metrics = _RestoreMetrics(state, lambda: batches(saver.progress.step))
            remaining_steps = steps_per_epoch - saver.progress.epoch_step
            fit([restore_metrics, *callbacks, _StopAfterEpoch()], remaining_steps)
        if not saver.progress.finished and saver.progress.epoch < epochs:
            fit(callbacks, steps_per_epoch)
    saver.history.epoch = list(range(saver.progress.epoch))
    return saver.history
