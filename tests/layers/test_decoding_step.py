"""`DecodingStep` against loops that go from each beam to its parents."""

import itertools

import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import DecodingStep
from tests.decoding_drive import B, L, W, drive

INITIAL = -7.0
at_steps = pytest.mark.parametrize("at", [drive().at[time] for time in (0, 1, L - 1, L, 23, 39)])


def parent(at, b, w):
    """The slot in which a beam stood one step ago."""
    (slots,) = at.ancestry[b, w, (at.place - 1) % L].nonzero()
    assert len(slots) == 1
    return slots[0]


@at_steps
def test_a_beam_sees_the_entries_of_its_ancestors(at):
    visible = ops.convert_to_numpy(at.visible())
    assert visible.shape == (B, W, L * W)
    for b, w, place, slot in itertools.product(range(B), range(W), range(L), range(W)):
        assert visible[b, w, place * W + slot] == at.ancestry[b, w, place, slot]


@at_steps
def test_it_sees_one_entry_for_each_position_until_its_own(at):
    visible, positions = (ops.convert_to_numpy(x) for x in (at.visible(), at.key_positions()))
    for b, w in itertools.product(range(B), range(W)):
        if at.ancestry[b, w, at.place, w]:  # else the sentence is done
            assert sorted(positions[b, visible[b, w]]) == list(range(at.positions[b] + 1))


@at_steps
def test_an_entry_is_as_many_positions_back_as_it_was_written_steps_ago(at):
    positions = ops.convert_to_numpy(at.key_positions())
    assert positions.shape == (B, L * W)
    for b, steps_ago, slot in itertools.product(range(B), range(L), range(W)):
        entry = ((at.place - steps_ago) % L) * W + slot
        assert positions[b, entry] == at.positions[b] - steps_ago


@at_steps
def test_all_beams_of_a_sentence_are_at_its_position(at):
    expected = [[position] * W for position in at.positions]
    assert ops.convert_to_numpy(at.beam_positions()).tolist() == expected


@at_steps
@pytest.mark.parametrize("others", [(), (2,), (2, 3)])
def test_a_beam_inherits_the_state_of_its_parent(at, others):
    state = np.random.default_rng(1).normal(size=(B, W, *others)).astype("float32")
    inherited = ops.convert_to_numpy(at.inherit(state, INITIAL))
    assert inherited.shape == state.shape
    for b, w in itertools.product(range(B), range(W)):
        if at.first[b]:
            expected = np.full(others, INITIAL)
        elif at.ancestry[b, w, at.place, w]:
            expected = state[b, parent(at, b, w)]
        else:
            continue
        np.testing.assert_array_equal(inherited[b, w], expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "bool"])
def test_inherited_states_are_copied_bit_by_bit(dtype):
    """A product with the ancestry would round them on some devices."""
    at = drive().at[23]
    numbers = np.random.default_rng(1).normal(0, 1e6, size=(B, W, 2))
    state = ops.cast(numbers, dtype)
    inherited = at.inherit(state, 0)
    assert inherited.dtype == state.dtype
    inherited, state = ops.convert_to_numpy(inherited), ops.convert_to_numpy(state)
    going_on = [b for b in range(B) if not at.first[b] and at.ancestry[b, 0, at.place, 0]]
    assert going_on
    for b, w in itertools.product(going_on, range(W)):
        assert inherited[b, w].tobytes() == state[b, parent(at, b, w)].tobytes()


@pytest.mark.parametrize("shape", [(B, 1, 2), (B, W, 2), (2,), (1, 1, 1)])
def test_the_initial_state_may_differ_between_sentences_and_beams(shape):
    at = drive().at[0]
    initial = np.random.default_rng(1).normal(size=shape).astype("float32")
    inherited = at.inherit(np.zeros((B, W, 2), "float32"), initial)
    np.testing.assert_array_equal(inherited, np.broadcast_to(initial, (B, W, 2)))


def test_a_sentence_may_have_its_first_step_after_a_prompt():
    """The initial state is that of the prompt, whatever the position."""
    at = drive().at[0]._replace(positions=np.array([4, 0, 2], "int32"))
    assert at.first.tolist() == [True] * B
    inherited = at.inherit(np.zeros((B, W), "float32"), INITIAL)
    np.testing.assert_array_equal(inherited, np.full((B, W), INITIAL))


def test_a_cache_may_have_a_single_place():
    at = DecodingStep(0, np.zeros(2, "int32"), np.ones(2, bool), np.ones((2, 1, 1, 1), bool))
    assert ops.convert_to_numpy(at.key_positions()).tolist() == [[0], [0]]
    assert ops.convert_to_numpy(at.inherit(np.zeros((2, 1), "float32"), 5.0)).tolist() == [[5], [5]]


def test_positions_may_be_integers_of_numpy():
    at = drive().at[7]
    wide = at._replace(positions=at.positions.astype("int64"))
    for method in (DecodingStep.beam_positions, DecodingStep.key_positions):
        positions = ops.convert_to_numpy(method(wide))
        assert positions.dtype == "int32"
        np.testing.assert_array_equal(positions, method(at))


def test_a_cache_of_the_last_places_only():
    """Four of twelve: what is kept of a beam is what it has in all places, if that is recent."""
    B, W, L, kept, place = 2, 3, 12, 4, 14 % 12
    generator = np.random.default_rng(7)
    ancestry = generator.random((B, W, L, W)) < 0.5
    at = DecodingStep(np.int32(place), np.array([9, 2], "int32"), np.zeros(B, bool), ancestry)
    near = at.recent(kept)
    assert int(near.place) == 2
    assert near.ancestry.shape == (B, W, kept, W)
    positions = ops.convert_to_numpy(near.key_positions()).reshape(B, kept, W)
    assert positions[:, :, 0].tolist() == [[7, 8, 9, 6], [0, 1, 2, -1]]
    whole = np.zeros((B, W, L, W), bool)
    for age in range(kept):
        whole[:, :, (place - age) % L] = ancestry[:, :, (place - age) % L]
    scores = ops.cast(near.visible(), "float32")
    of_all = ops.convert_to_numpy(at.of_all_places(scores, kept))
    np.testing.assert_array_equal(of_all.reshape(B, W, L, W), whole)


def test_a_cache_of_all_places_is_the_cache():
    at = DecodingStep(0, np.zeros(2, "int32"), np.ones(2, bool), np.ones((2, 1, 3, 1), bool))
    assert at.recent(3) is at
