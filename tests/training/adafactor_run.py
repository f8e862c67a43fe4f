"""Adafactor on the backend at hand: `python -m tests.training.adafactor_run FOLDER WHAT`.

WHAT is `steps` (writes them, `steps.npz`), `devices` (trains a toy on one device and on two parts
of the CPU, for what it writes see `tests/distribution/toy_run.py`), or `resumed` (a training's
variables at its start, `start.npz`, and after it, `once.npz` and, interrupted, `again.npz`).
"""

import sys
from pathlib import Path

import keras
import numpy as np

import keras_transformer as kt

STEPS = 100


def problem(steps=STEPS):
    """Variables of all kinds, and their gradients at every step: of many sizes, some of 0."""
    generator = np.random.default_rng(2)
    starts = {
        "matrix": generator.normal(0, 0.3, (7, 11)),
        "stack": generator.normal(0, 0.1, (3, 5, 2)),
        "vector": generator.normal(0, 0.5, 13),
        "scalar": np.array(-0.5),
        "zero_matrix": np.zeros((5, 3)),
        "zero_vector": np.zeros(17),
    }
    sizes = generator.lognormal(0, 2, STEPS)
    gradients = {}
    for name, start in starts.items():
        values = generator.normal(0.3, 1, (STEPS, *start.shape))
        if name == "matrix":
            values *= generator.lognormal(0, 2, (7, 11))
            values[:, 3] = 0
        values = np.moveaxis(sizes * np.moveaxis(values, 0, -1), -1, 0)[:steps]
        gradients[name] = values.astype("float32")
    return {name: start.astype("float32") for name, start in starts.items()}, gradients


def run(optimizer, starts, gradients, compiled=True):
    """What the variables are after every step."""
    variables = [keras.Variable(start, name=name) for name, start in starts.items()]
    optimizer.build(variables)
    step = _compiled(optimizer, variables) if compiled else optimizer.apply
    found = {name: [] for name in starts}
    for now in zip(*gradients.values(), strict=True):
        step([keras.ops.convert_to_tensor(gradient) for gradient in now])
        for name, variable in zip(starts, variables, strict=True):
            found[name].append(np.array(keras.ops.convert_to_numpy(variable)))
    return {name: np.array(values) for name, values in found.items()}


def _compiled(optimizer, variables):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(optimizer.apply, jit_compile=True, autograph=False)
    import jax

    pure = jax.jit(optimizer.stateless_apply)

    def step(gradients):
        state = [variable.value for variable in optimizer.variables]
        values, state = pure(state, gradients, [variable.value for variable in variables])
        pairs = zip([*variables, *optimizer.variables], [*values, *state], strict=True)
        for variable, value in pairs:
            variable.assign(value)

    return step


def devices(folder):
    """Clipping, micro-batches, two devices; epsilon forgives differences of rounding."""
    from keras_transformer.distribution import choose_devices
    from tests.distribution import toy_run

    toy_run.OPTIMIZERS["adafactor"] = lambda: kt.Adafactor(
        0.05, epsilon_1=1e-6, global_clipnorm=0.05
    )
    on_tensorflow = keras.backend.backend() == "tensorflow"  # which parts the CPU once, at first
    two = choose_devices("mirrored", 2) if on_tensorflow else None
    toy_run.train(folder, "one-1", choose_devices("one"), "adafactor", 1)
    two = two or choose_devices("mirrored", 2)
    for N in (1, 4):
        toy_run.train(folder, f"two-{N}", two, "adafactor", N)


def steps(folder):
    """A hundred steps of all kinds of variables."""
    np.savez(folder / "steps.npz", **run(kt.Adafactor(), *problem()))


def resumed(folder):
    """An epoch with an interruption and without."""
    from tests.checkpoints import interrupted

    on_tensorflow = keras.backend.backend() == "tensorflow"  # eager: it compiles too long a time
    model = interrupted.make_model()
    model.compile(kt.Adafactor(), loss=kt.TokenCrossEntropy(), run_eagerly=on_tensorflow)
    model.optimizer.build(model.trainable_variables)
    training = interrupted.Training(model)
    np.savez(folder / "start.npz", **training.start)
    np.savez(folder / "once.npz", **training.run(folder / "once", epochs=1)[0])
    np.savez(folder / "again.npz", **training.run_in_pieces(folder / "again", 3, epochs=1)[0])


if __name__ == "__main__":
    {"steps": steps, "devices": devices, "resumed": resumed}[sys.argv[2]](Path(sys.argv[1]))
