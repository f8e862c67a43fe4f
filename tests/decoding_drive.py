"""Decoding steps as a search makes them, without a search: beams that cross at random, sentences
that follow each other in a slot, and a cache whose places are used again and again.

The steps are drawn once. Layers of `tests/decoding_layers.py` run through them, and each output is
compared with that for the whole history of its beam. `python -m tests.decoding_drive FOLDER` does
so for all of them in a process of its own, on the backend of that process.
"""

import dataclasses
import functools
import os
import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_transformer.layers import DecodingStep
from tests.decoding_layers import QUICK, ROWS, SOURCES, STOOD_FOR

# Slots, beams and places: other numbers than those of the layers, and primes except L, a divisor of
# which suffices for local attention.
STEPS, B, W, L = 40, 3, 5, 12
DTYPES = ("float32", "mixed_bfloat16")
ENDS = (0.0, 0.15, 0.4)  # how probably a sentence ends at each step, in each slot


@dataclasses.dataclass(frozen=True)
class Drive:
    """The inputs of a layer in each step, and those that each beam has seen until then.

    Attributes:
        at: A list of `DecodingStep` of NumPy arrays.
        sources: Integers `(STEPS, B)`: the source of the sentence in each slot.
        inputs: Integers `(STEPS, B, W)`: a number of its own for each input.
        histories: Integers `(STEPS, B, W, L)`: the inputs of each beam, in order, then 0.
        active: Booleans `(STEPS, B)`: whether a sentence goes on. One that is done waits for its
            slot to be refilled; what is computed for it is of no interest.
    """

    at: list
    sources: np.ndarray
    inputs: np.ndarray
    histories: np.ndarray
    active: np.ndarray

    @property
    def lengths(self):
        return np.stack([at.positions for at in self.at]) + 1


class Slot:
    """A slot of the batch: the sentence in it, and its beams."""

    def __init__(self):
        self.ancestry = np.zeros((W, L, W), bool)
        self.history = np.zeros((W, L), int)
        self.position, self.source, self.waits, self.active = 0, -1, 0, False

    def take_turn(self, end_probability, take_source, generator):
        """Waits, starts a new sentence, or goes on with each beam from a random parent."""
        done = self.position == L - 1 or generator.random() < end_probability
        if self.active and done:
            self.waits = generator.integers(0, 3)
        starts = (not self.active or done) and self.waits == 0
        goes_on = self.active and not done
        self.active = starts or goes_on
        self.waits = max(0, self.waits - (not self.active))
        if starts:
            self.position, self.source = 0, take_source()
            self.ancestry, self.history = np.zeros_like(self.ancestry), self.history * 0
        elif goes_on:
            self.position += 1
            parents = generator.integers(0, W, W)
            self.ancestry, self.history = self.ancestry[parents], self.history[parents]

    def write(self, place, inputs):
        if self.active:
            self.ancestry[:, place] = np.eye(W, dtype=bool)
            self.history[:, self.position] = inputs


@functools.cache
def drive(seed=0):
    """Draws the steps."""
    generator = np.random.default_rng(seed)
    inputs = np.arange(STEPS * B * W).reshape(STEPS, B, W)
    slots, sources = [Slot() for _ in range(B)], iter(range(SOURCES))
    steps = [_draw(time, slots, inputs, sources, generator) for time in range(STEPS)]
    at, sources, histories, active = zip(*steps, strict=True)
    return Drive(list(at), *map(np.array, (sources, inputs, histories, active)))


def _draw(time, slots, inputs, sources, generator):
    place = time % L
    for b, slot in enumerate(slots):
        slot.take_turn(ENDS[b], lambda: next(sources), generator)
        slot.write(place, inputs[time, b])
    positions = np.array([slot.position for slot in slots], "int32")
    ancestry = np.stack([slot.ancestry for slot in slots])
    return (
        DecodingStep(np.int32(place), positions, positions == 0, ancestry),
        [slot.source for slot in slots],
        np.stack([slot.history for slot in slots]),
        [slot.active for slot in slots],
    )


def compiled(function):
    """Compiles a function by XLA."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def as_it_is(function):
    """Compiles nothing."""
    return function


def of_steps(row, layer, compile=as_it_is, step_class=DecodingStep):
    """Runs a layer through all steps.

    Args:
        row: The row of the layer.
        layer: The layer.
        compile: Function that compiles the step, or leaves it as it is.
        step_class: The class that describes the steps; others than `DecodingStep` make mistakes.

    Returns:
        The outputs for all sentences that go on, float32 `(N, W, ...)`, and how many times the
        step was traced, which is the number of steps if it was not compiled.
    """
    steps, traces = drive(), []

    def step(inputs, cache, memory, sources, *at):
        traces.append(at)
        outputs, cache = row.step(layer, inputs, cache, step_class(*at), rows_of(memory, sources))
        return ops.cast(outputs, "float32"), cache

    step = compile(step)
    inputs, sources = row.inputs(layer, steps.inputs), steps.sources.astype("int32")
    memory, cache, outputs = memory_of(row, layer), layer.init_cache(B, W, L), []
    for time, at in enumerate(steps.at):
        arguments = map(ops.convert_to_tensor, (sources[time], *at))
        output, cache = step(inputs[time], cache, memory, *arguments)
        outputs.append(ops.convert_to_numpy(output))
    return np.stack(outputs)[steps.active], len(traces)


def of_whole_histories(row, layer, compile=as_it_is):
    """Returns what a layer gives at the last position of each beam's history, `(N, W, ...)`.

    In the order of `of_steps`. The histories are filled up to one length, at the end, where no
    position before can see it.
    """
    steps = drive()
    histories = steps.histories[steps.active].reshape(-1, L)
    sources = np.repeat(steps.sources[steps.active], W)

    def whole(inputs, memory):
        return ops.cast(row.whole(layer, inputs, rows_of(memory, sources)), "float32")

    outputs = compile(whole)(row.inputs(layer, histories), memory_of(row, layer))
    outputs = ops.convert_to_numpy(outputs)
    last = np.repeat(steps.lengths[steps.active], W) - 1
    return outputs[np.arange(len(last)), last].reshape(-1, W, outputs.shape[-1])


@functools.cache
def memory_of(row, layer):
    """Returns what decoding steps know of each source."""
    is_jax = keras.backend.backend() == "jax"  # which would compile each operation by itself
    return compiled(functools.partial(row.memory, layer))() if is_jax else row.memory(layer)


def rows_of(memory, sources):
    """Returns the memory of some of the sources."""
    return keras.tree.map_structure(lambda x: ops.take(x, sources, axis=0), memory)


def save(folder, names, dtypes):
    """Writes steps, whole histories and the number of traces of some layers, compiled."""
    for name in names:
        row, arrays = ROWS[name], {}
        for dtype in dtypes:
            layer = row.layer(dtype)
            arrays[f"{dtype} steps"], arrays[f"{dtype} traces"] = of_steps(row, layer, compiled)
            arrays[f"{dtype} whole"] = of_whole_histories(row, layer, compiled)
        np.savez(folder / f"{list(ROWS).index(name)}.npz", **arrays)


if __name__ == "__main__":
    save(Path(sys.argv[1]), QUICK, DTYPES)
    left_out = [] if os.environ.get("KERAS_TRANSFORMER_ALL_TESTS") else STOOD_FOR
    others = [name for name in ROWS if name not in [*QUICK, *left_out]]
    save(Path(sys.argv[1]), others, ["float32"])
