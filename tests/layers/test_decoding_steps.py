"""A decoding step gives the same as the whole sentence at once, for everything in the table of
`tests/decoding_layers.py`; and so does a sentence in a packed row.

The steps are those of `tests/decoding_drive.py`.
"""

import functools
import inspect
import itertools

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import DecodingStep
from tests.conftest import run_python
from tests.decoding_drive import (
    STEPS,
    B,
    L,
    W,
    as_it_is,
    compiled,
    drive,
    memory_of,
    of_steps,
    of_whole_histories,
    rows_of,
)
from tests.decoding_layers import (
    PROMPT_LENGTHS,
    PROMPTED,
    QUICK,
    ROWS,
    SOURCE_MASK,
    STOOD_FOR,
    Packed,
    S,
    WithPrompts,
)

# In bfloat16, whose numbers are 2^-8 apart, the same sums in another order, or with fewer roundings
# in between where XLA fuses them, differ: by 0.013 of the largest output in a stack of four blocks.
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 0.02}
QUICK_WITH_PROMPTS = [
    "attention with all parts",
    "block, previous input in both slots",
    "block, convolution for feed-forward",
    "recurrent block, LSTM, pre, attends",
    "memory-compressed attention",
    "attending convolution module",
]
OWN_WEIGHTS = [  # whose weights a step must cast by hand
    "attention by distance",
    "recurrent block, GRU",
    "recurrent block, LSTM, additive attention",
    "block, experts for feed-forward",
    "relative",
    "slicenet",
]
FAILS = 1e-2  # by how much an output is wrong, at least, where there is a mistake


some_quick = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ROWS]
)


@functools.cache
def layer_and_expected(name, dtype):
    layer = ROWS[name].layer(dtype)
    return layer, of_whole_histories(ROWS[name], layer)


def assert_same(actual, expected, dtype):
    assert np.isfinite(expected).all()
    scale = 1 if dtype == "float32" else np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


def check_steps(name, dtype, compile, times_traced):
    layer, expected = layer_and_expected(name, dtype)
    outputs, traces = of_steps(ROWS[name], layer, compile)
    assert traces == times_traced
    assert_same(outputs, expected, dtype)


@some_quick
def test_steps_compiled_once_by_xla_equal_the_whole(name):
    check_steps(name, "float32", compiled, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", dict.fromkeys([*QUICK, *QUICK_WITH_PROMPTS, *OWN_WEIGHTS]))
def test_steps_compiled_once_by_xla_equal_the_whole_in_bfloat16(name):
    check_steps(name, "mixed_bfloat16", compiled, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_eager_steps_equal_the_whole(name):
    check_steps(name, "float32", as_it_is, STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_eager_steps_equal_the_whole_in_bfloat16(name):
    check_steps(name, "mixed_bfloat16", as_it_is, STEPS)


# Prompts


def check_prompts(name, dtype, compile=as_it_is):
    row, (layer, _) = WithPrompts(ROWS[name]), layer_and_expected(name, dtype)
    outputs, traces = of_steps(row, layer, compile)
    assert traces == (1 if compile is compiled else STEPS)
    assert_same(outputs, of_whole_histories(row, layer), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK_WITH_PROMPTS)
def test_steps_after_a_prompt_equal_the_whole(name):
    check_prompts(name, "float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *itertools.product(PROMPTED, ["float32"]),
        *itertools.product(QUICK_WITH_PROMPTS, ["mixed_bfloat16"]),
    ],
)
def test_steps_after_a_prompt_compiled_by_xla_equal_the_whole(name, dtype):
    check_prompts(name, dtype, compiled)


def test_prompts_of_all_lengths_are_tried():
    steps = drive()
    starts = np.stack([at.first for at in steps.at]) & steps.active
    lengths = PROMPT_LENGTHS[steps.sources[starts]]
    assert 0 in lengths
    assert len(set(lengths)) > 5


# JAX; its quick rows are in `tests/test_on_jax.py`, beside the process that they share.


def check_saved(folder, name, dtype):
    saved = np.load(folder / f"{list(ROWS).index(name)}.npz")
    assert saved[f"{dtype} traces"] == 1
    assert_same(saved[f"{dtype} steps"], saved[f"{dtype} whole"], dtype)


@pytest.fixture(scope="module")
def all_on_jax(tmp_path_factory):
    """The folder that a process on JAX has written, with everything of the table."""
    folder = tmp_path_factory.mktemp("decoding_on_jax")
    run_python("-m", "tests.decoding_drive", str(folder), KERAS_BACKEND="jax")
    return folder


def on_jax(name, dtype):
    marks = [pytest.mark.stood_for("another row")] if name in STOOD_FOR else []
    return pytest.param(name, dtype, marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *(on_jax(name, "float32") for name in ROWS),
        *(on_jax(name, "mixed_bfloat16") for name in QUICK),
    ],
)
def test_all_steps_on_jax_equal_the_whole(name, dtype, all_on_jax):
    check_saved(all_on_jax, name, dtype)


# Packed rows


LENGTHS = np.array([[5, 1, 3], [2, 6, 4]])  # of the sentences in two rows; padding follows
SOURCE_LENGTHS = np.array([[2, 6, 3], [4, 1, 8]])
T = 19  # width of the packed rows


def numbered(lengths, width):
    """The segments and positions of packed rows of sentences, `(rows, width)`; 0 in padding."""
    segments, positions = np.zeros((2, len(lengths), width), "int32")
    for row, of_row in enumerate(lengths):
        start = 0
        for number, length in enumerate(of_row, start=1):
            segments[row, start : start + length] = number
            positions[row, start : start + length] = np.arange(length)
            start += length
    return segments, positions


PACKED = Packed(*numbered(LENGTHS, T), *numbered(SOURCE_LENGTHS, S))


def sources_to_pack():
    """A source of each length, as numbers of rows of the table's sources, `(2, 3)`."""
    of_length = [np.flatnonzero(SOURCE_MASK.sum(1) == length) for length in range(S + 1)]
    return np.array([[of_length[length][0] for length in row] for row in SOURCE_LENGTHS])


@pytest.mark.parametrize("name", ROWS)
def test_a_sentence_in_a_packed_row_equals_the_sentence_alone(name):
    row, (layer, _) = ROWS[name], layer_and_expected(name, "float32")
    numbers, sources = np.arange(2 * T).reshape(2, T), sources_to_pack()
    sentences = np.maximum(PACKED.source_segments, 1) - 1
    source_places = np.take_along_axis(sources, sentences, axis=1) * S + PACKED.source_positions
    inputs = row.inputs(layer, numbers)
    outputs = ops.convert_to_numpy(row.in_packed_rows(layer, inputs, PACKED, source_places))
    memory = memory_of(row, layer)
    for r in range(2):
        own = [PACKED.segments[r] == n + 1 for n in range(3)]
        alone = np.full((3, T), numbers.max())  # filled up where the sentence does not see it
        for n in range(3):
            alone[n, : LENGTHS[r, n]] = numbers[r, own[n]]
        expected = row.alone(layer, row.inputs(layer, alone), rows_of(memory, sources[r]))
        for n, of_sentence in enumerate(ops.convert_to_numpy(expected)):
            assert_same(outputs[r, own[n]], of_sentence[: LENGTHS[r, n]], "float32")


# What the table and the steps hold


@pytest.mark.slow
@pytest.mark.parametrize("home", ["layers", "models"])
def test_everything_with_decoding_steps_is_in_the_table(home):
    public = [getattr(getattr(kt, home), name) for name in getattr(kt, home).__all__]
    methods = {"step", "init_cache", "decode_step"}
    classes = {c for c in public if inspect.isclass(c) and methods & set(dir(c))}
    assert classes
    assert classes <= {type(row.make(dtype="float32")) for row in ROWS.values()}


def test_the_steps_hold_all_that_a_search_does():
    steps, others = drive(), ~np.eye(W, dtype=bool)
    starts = np.stack([at.first for at in steps.at]) & steps.active
    parents = np.stack([at.ancestry[:, :, (at.place - 1) % L] for at in steps.at])
    assert (parents[steps.active & ~starts] & others).any(axis=(1, 2)).all()  # beams cross
    assert (steps.active & (steps.lengths == L)).any()  # a sentence fills the cache
    assert STEPS > 3 * L  # whose places are used again
    assert (starts.sum(axis=0) > 2).all()  # each slot is refilled
    assert starts.sum(axis=0).max() > STEPS / L + 1  # also before a sentence fills the cache
    assert starts[1:].sum(axis=1).max() < B  # not all at once
    assert (~steps.active).sum() > 3  # some are done and wait
    assert len(np.unique(steps.sources[starts])) == starts.sum()  # each sentence has its source


# Mistakes, which must be seen


class StatesStay(DecodingStep):
    """A state stays in its slot; it does not follow the beam."""

    def inherit(self, state, initial):
        first = ops.reshape(self.first, (-1, *[1] * (len(state.shape) - 1)))
        return ops.where(first, ops.cast(initial, state.dtype), state)


class StatesOfOthers(DecodingStep):
    """A sentence begins with the state that the one before left."""

    def inherit(self, state, initial):
        at = DecodingStep(self.place, self.positions, np.zeros(B, bool), self.ancestry)
        return at.inherit(state, initial)


class ParentsAtPlace(DecodingStep):
    """Parents are looked up at the place of this step."""

    def inherit(self, state, initial):
        at = DecodingStep(self.place + 1, *self[1:])
        return at.inherit(state, initial)


class ParentsOfParents(DecodingStep):
    """Parents are looked up one place too early."""

    def inherit(self, state, initial):
        at = DecodingStep(self.place - 1, *self[1:])
        return at.inherit(state, initial)


class PlacesForPositions(DecodingStep):
    """The places of the cache are taken for the positions in the sentence."""

    def beam_positions(self):
        return ops.broadcast_to(self.place, (B, W))

    def key_positions(self):
        kept = self.ancestry.shape[2]
        places = ops.repeat(ops.arange(kept, dtype="int32"), W)
        return ops.broadcast_to(places, (B, kept * W))


class AllBeamsVisible(DecodingStep):
    """A beam sees what the others of its sentence have written."""

    def visible(self):
        by_any = np.any(self.ancestry, axis=(1, 3), keepdims=True)
        return np.broadcast_to(by_any, (B, W, L, W)).reshape(B, W, L * W)


WITH_STATE = ["convolution", "recurrent block, LSTM", "memory-compressed attention"]
WITH_POSITIONS = [
    "attention with rotated keys",
    "attention by distance",
    "attention in blocks",
    "local attention",
    "local attention in two dimensions",
    "memory-compressed attention",
]


@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        *itertools.product([StatesStay, ParentsAtPlace, ParentsOfParents], WITH_STATE),
        *itertools.product([PlacesForPositions], WITH_POSITIONS),
        (StatesOfOthers, "previous input"),
        (AllBeamsVisible, "attention"),
    ],
)
def test_a_mistake_in_the_steps_is_seen(mistake, name):
    layer, expected = layer_and_expected(name, "float32")
    outputs, _ = of_steps(ROWS[name], layer, step_class=mistake)
    assert np.abs(outputs - expected).max() > FAILS
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same(outputs, expected, "float32")
