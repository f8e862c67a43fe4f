"""A small training that is interrupted and goes on, on either backend.

Dropout, and batches of two shapes. In a process of its own:
`python -m tests.checkpoints.interrupted FOLDER`.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

import keras_transformer as kt
from keras_transformer.checkpoints.state import read_variables, variables_of

V, STEPS, EPOCHS, EVERY = 13, 5, 3, 2
GROUPS = ("model", "optimizer")


class Interrupted(Exception):  # noqa: N818
    """What ends a training as a power cut would: nothing is tidied up."""


class InterruptAt(keras.callbacks.Callback):
    """Raises in a batch, the first being number 1, before it is counted as done."""

    def __init__(self, batch):
        super().__init__()
        self.left = batch

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def make_model(seed=5, run_eagerly=False, **options):
    """A compiled model with dropout."""
    keras.utils.set_random_seed(seed)
    model = kt.Transformer(V, 1, d_model=8, num_heads=2, d_ff=11, dropout_rate=0.3)
    model.build()
    model.compile(
        keras.optimizers.Adam(0.01),
        loss=kt.TokenCrossEntropy(),
        metrics=[kt.TokenAccuracy(), kt.Perplexity()],
        run_eagerly=run_eagerly,
        jit_compile=keras.backend.backend() == "jax",
        **options,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def batches(step):
    """Batch n depends on n alone; odd ones have another shape than even ones."""
    while True:
        generator = np.random.default_rng(step)
        size, source_length, target_length = [(3, 5, 7), (5, 4, 3)][step % 2]
        source = generator.integers(3, V, (size, source_length)).astype("int32")
        target = generator.integers(3, V, (size, target_length + 1)).astype("int32")
        target[0, 2:] = 0
        yield {"source": source, "target": target[:, :-1]}, target[:, 1:]
        step += 1


class Training:
    """A training that can be had again and again, with one model, compiled once."""

    def __init__(self, model=None):
        self.model = model or make_model()
        self.start = self.values()

    def values(self):
        """All variables by name, but for the metrics'."""
        values = read_variables(self.model).items()
        return {name: value for name, value in values if name.split("/")[0] in GROUPS}

    def run(self, folder, callbacks=(), every=EVERY, batches=batches, **options):
        """Begins, or goes on if there is a state; returns the variables and the history."""
        states = kt.StateFolder(folder)
        state = states.newest()
        self.fill(self.start.values() if state is None else map(others, self.start.values()))
        history = kt.resumable_fit(
            self.model, batches, kt.SaveState(states, every), state=state, callbacks=callbacks,
            verbose=0, **{"epochs": EPOCHS, "steps_per_epoch": STEPS, **options},
        )  # fmt: skip
        return self.values(), history

    def run_in_pieces(self, folder, *after, **options):
        """As `run`, but each time ends in the batch of that number, except for the last time."""
        for batch in after:
            try:
                self.run(folder, [InterruptAt(batch)], **options)
            except Interrupted:
                continue
            raise AssertionError("was not interrupted")
        return self.run(folder, **options)

    def fill(self, values):
        variables = [v for group in GROUPS for v in variables_of(self.model, group)]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.model.reset_metrics()


def others(values):
    """What a state must overwrite."""
    return values + np.ones((), values.dtype)


def differences(one, other):
    """Names of what differs between two trainings' variables."""
    assert len(one) == len(other) > 90
    pairs = zip(one.items(), other.values(), strict=True)
    return [name for (name, values), right in pairs if not np.array_equal(values, right)]


def main(folder):
    training = Training()
    once, history = training.run(folder / "once")
    again, resumed = training.run_in_pieces(folder / "again", 5, 6)
    metadata = {
        "backend": keras.backend.backend(),
        "trained": len(differences(once, training.start)),
        "differences": differences(once, again),
        "histories": [history.history, resumed.history],
    }
    (folder / "facts.json").write_text(json.dumps(metadata))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
