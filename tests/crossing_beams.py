"""A search without a model: beams that cross at random, and sentences that end and begin again."""

from typing import NamedTuple

import numpy as np

from keras_transformer.layers import DecodingStep

B, W, L, STEPS = 2, 3, 5, 17  # sentences, beams, places of the cache, which wraps several times


class Walk(NamedTuple):
    """The outputs of a layer's `step` along the way, and what `call` must make of them.

    `outputs[n]` is to equal what `call` returns for `histories[n]` at position `last[n]`, for a
    source in row `rows[n]`.
    """

    outputs: np.ndarray
    histories: np.ndarray
    last: np.ndarray
    rows: np.ndarray


def walk(layer, d_model, seed=5, **source):
    """Steps through sentences of 1 to L positions."""
    random = np.random.default_rng(seed)
    cache = layer.init_cache(B, W, L)
    ancestry = np.zeros((B, W, L, W), bool)
    histories = np.zeros((B, W, L, d_model), "float32")
    positions, lengths = np.zeros(B, "int32"), random.integers(1, L + 1, size=B)
    found = []
    for index in range(STEPS):
        place = index % L
        over = positions == lengths
        positions[over], lengths[over] = 0, random.integers(1, L + 1, size=over.sum())
        parents = random.integers(W, size=(B, W))
        ancestry = np.take_along_axis(ancestry, parents[:, :, None, None], axis=1)
        histories = np.take_along_axis(histories, parents[:, :, None, None], axis=1)
        ancestry[positions == 0] = histories[positions == 0] = 0
        ancestry[:, :, place] = np.eye(W, dtype=bool)
        x = random.normal(size=(B, W, d_model)).astype("float32")
        histories[np.arange(B), :, positions] = x
        at = DecodingStep(np.int32(place), positions.copy(), positions == 0, ancestry)
        outputs, _, cache = layer.step(x, cache, at, **source)
        found.append((np.array(outputs), histories, np.repeat(positions, W)))
        positions = positions + 1
    outputs, histories, last = (np.concatenate(all_steps) for all_steps in zip(*found, strict=True))
    rows = np.tile(np.repeat(np.arange(B), W), STEPS)
    return Walk(outputs.reshape(-1, d_model), histories.reshape(-1, L, d_model), last, rows)


def called(outputs, walked):
    """Returns the outputs of `call` for the histories, at their last positions."""
    return np.array(outputs)[np.arange(len(walked.last)), walked.last]
