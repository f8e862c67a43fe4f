"""What the queue finds for each sentence is what `beam_search` finds for it alone.

The languages remember every token that was written, in memory that sentences use one after the
other and in turns: what one reads of another's would change what is found.
"""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer import beam_search
from keras_transformer.decoding.beam_search import SearchLimits
from keras_transformer.decoding.hypotheses import Hypotheses
from tests.decoding.languages import EOS, PAD, Language, filled, rare_ends, search_in_turns

L, V = 13, 7
NEVER = 2 * L  # as the least length of a sentence: it does not end


def limits_of(count, with_rules=True):
    """Limits, from that of no token on; some sentences with a prefix, and some without an end."""
    generator = np.random.default_rng(count)
    limits = generator.choice([0, 1, 2, 3, 5, 7, 11, L], count, p=[0.1, *[0.1] * 5, 0.2, 0.2])
    least = generator.choice([0, 2, 5, NEVER], count, p=[0.6, 0.1, 0.1, 0.2])
    prefixes = [generator.integers(3, V, generator.integers(0, 4)) for _ in range(count)]
    limits = SearchLimits(*(tensor.astype("int32") for tensor in (limits, least, filled(prefixes))))
    return limits if with_rules else SearchLimits(limits.max_lengths)


def in_numpy(found):
    return Hypotheses(*map(ops.convert_to_numpy, found))


def counted(step, taken):
    """A step that counts itself, also in a graph's loop."""

    def step_and_count(*arguments):
        taken.assign_add(1)
        return step(*arguments)

    return step_and_count


def one_by_one(language, limits, **options):
    """What is found for each sentence alone, and how many steps that takes."""
    taken = tf.Variable(0)

    @tf.function(autograph=False)
    def search(start, limits):
        taken.assign(0)
        alone = language.of([0])
        memory, _ = alone.state(language.length, options["beam_size"])
        found = beam_search(
            counted(alone.step, taken), (memory, start), length=language.length,
            bos_id=language.bos_id, eos_id=EOS, **limits._asdict(), **options,
        )  # fmt: skip
        return found, taken.read_value()

    found = []
    for n, start in enumerate(language.starts):
        asked = [part if part is None else tf.constant(part[n : n + 1]) for part in limits]
        found.append(search(tf.constant([start]), SearchLimits(*asked)))
    all_, steps = zip(*found, strict=True)
    joined = (np.concatenate(parts) for parts in zip(*all_, strict=True))
    return Hypotheses(*joined), np.array(steps)


def all_together(language, limits, slots, **options):
    """What is found in a queue, which searches came to their end, and how many steps it took."""
    taken = tf.Variable(0)

    @tf.function(autograph=False)
    def search():
        step = counted(language.turn, taken)
        return search_in_turns(language, limits, slots, step, **options)

    found, complete = search()
    return in_numpy(found), complete.numpy(), int(taken)


def assert_equal(found, wanted):
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.finished, wanted.finished)
    np.testing.assert_allclose(found.log_probs, wanted.log_probs, atol=1e-5)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def in_batches(steps, slots):
    """Steps of batches of `slots` sentences, each of which waits for its longest."""
    return sum(max(steps[n : n + slots]) for n in range(0, len(steps), slots))


# What is found


@pytest.mark.parametrize(("slots", "beam_size", "count"), [
    pytest.param(1, 3, 11, marks=pytest.mark.slow),
    (1, 1, 11), (3, 1, 29), (3, 4, 29), (8, 3, 29), (8, 3, 5), (3, 2, 1), (17, 2, 37),
])  # fmt: skip
def test_every_sentence_is_what_it_is_alone(slots, beam_size, count):
    language, limits = Language(count, count, L, V, change=rare_ends), limits_of(count)
    wanted, _ = one_by_one(language, limits, beam_size=beam_size)
    found, complete, steps = all_together(language, limits, slots, beam_size=beam_size)
    assert found.ids.shape == (count, 1, L)
    assert complete.all()
    assert_equal(found, wanted)
    if count > 2 * slots:
        assert steps > 2 * L or slots > 8  # so that places were used again and again
        assert {True, False} == set(found.finished[:, 0].tolist())
        assert (found.ids == PAD).all(axis=-1).any()


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {"top_beams": 4, "length_penalty": 0.0},
    {"top_beams": 2, "length_penalty": 2.0, "no_repeat_ngram_size": 2},
    {"top_beams": 3, "with_rules": False},
])  # fmt: skip
def test_it_has_the_options_of_beam_search(options):
    options = {"beam_size": 4, **options}
    language = Language(7, 23, L, V, change=rare_ends)
    limits = limits_of(23, options.pop("with_rules", True))
    wanted, _ = one_by_one(language, limits, **options)
    found, complete, _ = all_together(language, limits, 3, **options)
    assert found.ids.shape == (23, options["top_beams"], L)
    assert complete.all()
    assert_equal(found, wanted)


@pytest.mark.slow
def test_the_first_token_and_padding_may_be_any():
    language, limits = Language(2, 11, L, V, bos_id=5), SearchLimits(limits_of(11).max_lengths)
    wanted, _ = one_by_one(language, limits, beam_size=2, pad_id=6)
    found, _, _ = all_together(language, limits, 3, beam_size=2, pad_id=6)
    assert_equal(found, wanted)
    assert (found.ids == 6).any()


@pytest.mark.slow
def test_a_language_without_an_end_gives_its_best_beginnings():
    def endless(logits):
        logits[:, EOS] = -np.inf

    language, limits = (
        Language(6, 11, L, V, change=endless),
        SearchLimits(limits_of(11).max_lengths),
    )
    wanted, steps = one_by_one(language, limits, beam_size=3)
    found, complete, _ = all_together(language, limits, 3, beam_size=3)
    assert complete.all()
    assert_equal(found, wanted)
    np.testing.assert_array_equal(steps, limits.max_lengths)
    np.testing.assert_array_equal((found.ids[:, 0] != PAD).sum(axis=-1), limits.max_lengths)


def test_sentences_of_no_token_take_no_step():
    language, limits = Language(1, 11, L, V), SearchLimits(np.zeros(11, "int32"))
    found, complete, steps = all_together(language, limits, 3, beam_size=2)
    assert steps == 0
    assert complete.all()
    assert (found.ids == PAD).all()
    assert (found.scores == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["eager", "compiled by XLA"])
def test_eager_and_compiled_it_finds_the_same(how):
    language, limits = Language(4, 7, L, V, change=rare_ends), limits_of(7)
    wanted, _, _ = all_together(language, limits, 2, beam_size=3, top_beams=2)

    def search():
        return search_in_turns(language, limits, 2, beam_size=3, top_beams=2)

    if how != "eager":
        search = tf.function(search, jit_compile=True, autograph=False)
    found, complete = search()
    assert ops.convert_to_numpy(complete).all()
    assert_equal(in_numpy(found), wanted)


# Room


@pytest.mark.slow
@pytest.mark.parametrize("room", [1, 7, 12])
@pytest.mark.parametrize("beam_size", [1, 3])
def test_those_that_need_more_room_are_given_up_and_no_others(room, beam_size):
    language, limits = Language(9, 29, L, V, change=rare_ends), limits_of(29)
    wanted, steps = one_by_one(language, limits, beam_size=beam_size)
    found, complete, _ = all_together(language, limits, 3, length=room, beam_size=beam_size)
    np.testing.assert_array_equal(complete, steps <= room)
    assert {True, False} == set(complete.tolist())
    cut = wanted._replace(ids=wanted.ids[..., :room])
    assert_equal(*(Hypotheses(*(part[complete] for part in all_)) for all_ in (found, cut)))
    assert (wanted.ids[complete][..., room:] == PAD).all()


@pytest.mark.slow
def test_more_room_than_any_needs_changes_nothing():
    language, limits = Language(9, 17, L, V, change=rare_ends), limits_of(17)
    found, _, _ = all_together(language, limits, 3, beam_size=3)
    with_room, complete, _ = all_together(language, limits, 3, beam_size=3, length=29)
    assert complete.all()
    assert (with_room.ids[..., L:] == PAD).all()
    assert_equal(with_room._replace(ids=with_room.ids[..., :L]), found)


# Steps


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 3, 7])
def test_a_sentence_begins_as_soon_as_a_slot_is_free(slots):
    language, limits = Language(3, 41, L, V, change=rare_ends), limits_of(41)
    _, needed = one_by_one(language, limits, beam_size=2)
    _, _, steps = all_together(language, limits, slots, beam_size=2)
    free_from = [0] * slots
    for of_sentence in needed:
        free_from.remove(first := min(free_from))
        free_from.append(first + of_sentence)
    assert steps == max(free_from)
    assert steps < 0.9 * in_batches(needed, slots) or slots == 1


@pytest.mark.slow
def test_of_many_slots_a_few_wait_for_each_other():
    """No more than an eighth; even so it is quicker than batches."""
    language, limits = Language(5, 97, L, V, change=rare_ends), limits_of(97)
    _, needed = one_by_one(language, limits, beam_size=2)
    _, complete, steps = all_together(language, limits, 24, beam_size=2)
    assert complete.all()
    assert steps <= sum(needed) / (24 - 3 + 1) + max(needed)
    assert steps < 0.8 * in_batches(needed, 24)
