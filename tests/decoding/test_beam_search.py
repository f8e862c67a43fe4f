"""Beam search over random languages, against all their sentences and against plain Python."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_transformer import beam_search
from tests import reference
from tests.decoding.languages import (
    BOS,
    EOS,
    LIMITS,
    PAD,
    PENALTIES,
    WIDE,
    Language,
    allowing,
    assert_same,
    chain,
    filled,
    forced,
    hypotheses,
    rare_ends,
    search,
    small_languages,
    table_of,
    table_search,
)

# Against all sentences


@pytest.mark.slow
@given(small_languages(), st.integers(1, WIDE))
@settings(max_examples=20, deadline=None)
def test_a_beam_as_wide_as_the_language_finds_the_best_sentences_in_order(case, top_beams):
    language, pad_id, eos_id, limits, penalty = case
    found = search(
        language, limits, beam_size=WIDE, top_beams=top_beams, eos_id=eos_id, pad_id=pad_id,
        length_penalty=penalty,
    )  # fmt: skip
    for b, limit in enumerate(limits):
        wanted = reference.every_sentence(
            language.log_probs(b), limit, eos_id, penalty, allowing(pad_id, eos_id)
        )
        assert_same(hypotheses(found, b, pad_id), wanted[:top_beams], same_ids=False)
        for _, log_prob, tokens, finished in hypotheses(found, b, pad_id):
            assert log_prob == pytest.approx(forced(language.log_probs(b), tokens), abs=2e-5)
            assert tokens[-1] == eos_id
            assert finished


@pytest.mark.slow
@given(small_languages())
@settings(max_examples=5, deadline=None)
def test_no_beam_finds_better_than_the_widest(case):
    language, pad_id, eos_id, limits, penalty = case
    options = {"eos_id": eos_id, "pad_id": pad_id, "length_penalty": penalty}
    widest = search(language, limits, beam_size=WIDE, **options)
    for beam_size in (1, 2, 3, 5, 11):
        found = search(language, limits, beam_size=beam_size, top_beams=beam_size, **options)
        some = found.scores[:, 0][found.finished[:, 0]]
        assert (some <= widest.scores[:, 0][found.finished[:, 0]] + 2e-5).all()
        for b in range(len(limits)):
            for score, log_prob, tokens, _ in hypotheses(found, b, pad_id):
                total = forced(language.log_probs(b), tokens)
                normalizer = reference.length_normalizer(len(tokens), penalty)
                assert log_prob == pytest.approx(total, abs=2e-5)
                assert score == pytest.approx(total / normalizer, abs=2e-5)


# Against the search in plain Python


@pytest.mark.slow
@pytest.mark.parametrize("beam_size", [1, 2, 3, 4, 5, 17])
def test_it_is_the_search_in_plain_python(beam_size):
    """For every `top_beams`: the search that stops later, or never, finds the same."""
    language = Language(beam_size, 13, 13, 11, change=rare_ends)
    tops = range(1, beam_size + 1) if beam_size < 6 else (1, 7, 17)
    for top_beams, penalty in zip(tops, itertools.cycle(PENALTIES), strict=False):
        found = search(
            language, LIMITS, beam_size=beam_size, top_beams=top_beams, length_penalty=penalty
        )
        assert found.ids.shape == (13, top_beams, 13)
        for b, limit in enumerate(LIMITS):
            wanted = reference.beam_search(
                language.log_probs(b), limit, EOS, beam_size, penalty, top_beams,
                allowing(PAD, EOS),
            )  # fmt: skip
            assert_same(hypotheses(found, b), wanted)


def test_beams_do_cross():
    """Else nothing here would say anything about the ancestry."""
    language, moved = Language(3, 5, 11, 7, change=rare_ends), []

    def step(tokens, index, ancestry, state):
        stood = ops.convert_to_numpy(ancestry)
        elsewhere = stood & ~np.eye(4, dtype=bool)[:, None]
        moved.append(elsewhere.sum() / stood.sum())
        return language.step(tokens, index, ancestry, state)

    search(language, [11] * 5, step)
    assert moved[0] == 0
    assert max(moved) > 0.3


# Worked examples


def test_more_beams_find_what_is_more_probable_in_the_end():
    """3 is the more probable beginning, 4 the more probable sentence."""
    table = table_of(8, _1={3: 0.6, 4: 0.4}, _3={5: 0.5, 6: 0.3, 7: 0.2}, _4={5: 0.9, 6: 0.1},
                     _5={EOS: 1}, _6={EOS: 1}, _7={EOS: 1})  # fmt: skip
    found = table_search(table, [11], beam_size=2, top_beams=2)
    wanted = [(-0.8597, math.log(0.36), [4, 5, EOS], True)]
    wanted += [(-1.0131, math.log(0.3), [3, 5, EOS], True)]
    for one, other in zip(hypotheses(found, 0), wanted, strict=True):
        assert one[:2] == pytest.approx(other[:2], abs=5e-5)
        assert one[2:] == other[2:]
    greedy = table_search(table, [11], beam_size=1)
    assert greedy.scores[0, 0] == pytest.approx(-1.0131, abs=5e-5)


@pytest.mark.parametrize("penalty", [0.0, 0.6])
@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_what_has_ended_pays_for_nothing_more(beam_size, penalty):
    """After the end this language says anything; 3 .. 6 is a sure but less probable sentence."""
    table = table_of(8, _1={7: 0.6, 3: 0.4}, _7={EOS: 0.9, PAD: 0.06, 7: 0.04}, _3={4: 1},
                     _4={5: 1}, _5={6: 1}, _6={EOS: 1}) + 1e-9  # fmt: skip
    table[EOS] = 1 / 8
    table /= table.sum(axis=-1, keepdims=True)
    limits, prefixes = [10, 10, 10, 2, 4], [[], [3], [3, 4, 6], [], [3]]
    found = table_search(
        table, limits, beam_size=beam_size, top_beams=beam_size, length_penalty=penalty,
        prefix=filled(prefixes),
    )  # fmt: skip
    best = hypotheses(found, 0)[0]
    assert best[1:] == (pytest.approx(-0.616, abs=1e-3), [7, EOS], True)
    assert hypotheses(found, 1)[0][1:] == (pytest.approx(-0.916, abs=1e-3), [*range(3, 7), 2], True)
    for b, limit in enumerate(limits):
        wanted = reference.beam_search(
            lambda tokens: np.log(table[[BOS, *tokens][-1]]).tolist(), limit, EOS, beam_size,
            penalty, beam_size, allowing(PAD, EOS, prefix=prefixes[b]),
        )  # fmt: skip
        assert_same(hypotheses(found, b), wanted, same_ids=False)
        assert hypotheses(found, b)[0][2] == wanted[0][2]


# One beam


def greedy(log_probs, limit):
    tokens, total = [], 0.0
    while len(tokens) < limit and tokens[-1:] != [EOS]:
        choice = {token: p for token, p in enumerate(log_probs(tokens)) if token != PAD}
        tokens.append(max(choice, key=choice.get))
        total += choice[tokens[-1]]
    return total, tokens, tokens[-1:] == [EOS]


def test_one_beam_writes_the_most_probable_token_each_time():
    language = Language(1, 13, 13, 7)
    found = search(language, LIMITS, beam_size=1)
    for b, limit in enumerate(LIMITS):
        total, tokens, finished = greedy(language.log_probs(b), limit)
        score = total / reference.length_normalizer(len(tokens), 0.6)
        assert_same(hypotheses(found, b), [(score, total, tokens, finished)])
    assert {True, False} == set(found.finished[:, 0].tolist())


@pytest.mark.parametrize("beam_size", [1, 3])
def test_it_writes_the_most_probable_sentence_and_stops_at_eos(beam_size):
    found = table_search(chain(BOS, 4, 6, 3, EOS), [11], beam_size=beam_size)
    assert found.ids.tolist() == [[[4, 6, 3, EOS] + [0] * 7]]
    assert found.finished.tolist() == [[True]]
    assert found.log_probs[0, 0] == pytest.approx(4 * math.log(0.94), abs=1e-5)
    assert found.scores[0, 0] == pytest.approx(4 * math.log(0.94) / 1.5**0.6, abs=1e-5)


def test_every_sentence_has_its_own_limit():
    found = table_search(chain(BOS, 4, 6, 3, EOS), [2, 0, 4, 3, 11], beam_size=1)
    rows = [[4, 6], [], [4, 6, 3, EOS], [4, 6, 3], [4, 6, 3, EOS]]
    assert found.ids[:, 0].tolist() == [row + [0] * (11 - len(row)) for row in rows]
    assert found.finished[:, 0].tolist() == [False, False, True, False, True]
    assert found.log_probs[1, 0] == found.scores[1, 0] == 0
    assert found.scores[2, 0] == found.scores[4, 0]


# What the step is told


@pytest.mark.parametrize("beam_size", [1, 3])
def test_the_step_is_told_tokens_places_and_its_state(beam_size):
    told = []

    def step(tokens, index, ancestry, state):
        assert tuple(tokens.shape) == (2, beam_size)
        assert tuple(ancestry.shape) == (2, beam_size, 11, beam_size)
        stood, known = ops.convert_to_numpy(ancestry), np.arange(11) <= int(index)
        assert stood.dtype == bool
        assert (stood.sum(axis=-1) == known).all()
        assert (stood[:, :, int(index)] == np.eye(beam_size)).all()
        assert int(state["calls"][0]) == 41 + int(index)
        told.append((int(index), ops.convert_to_numpy(tokens)[:, 0].tolist()))
        logits = ops.take(np.log(chain(BOS, 4, 6, EOS)).astype("float32"), tokens, axis=0)
        return logits, {"calls": (state["calls"][0] + 1,)}

    state = {"calls": (ops.convert_to_tensor(41),)}
    limits = ops.convert_to_tensor([11, 3])
    options = {"length": 11, "bos_id": BOS, "eos_id": EOS, "beam_size": beam_size}
    beam_search(step, state, limits, **options)
    assert told == [(0, [BOS, BOS]), (1, [4, 4]), (2, [6, 6])]


@pytest.mark.slow
def test_scores_are_float32_whatever_the_logits_are():
    def rounded(logits):
        logits[:] = tf.cast(tf.cast(logits, "bfloat16"), "float32").numpy()

    language = Language(2, 13, 13, 11, change=rounded)

    def step(*arguments):
        logits, state = language.step(*arguments)
        return ops.cast(logits, "bfloat16"), state

    found, wanted = search(language, LIMITS, step), search(language, LIMITS)
    assert found.scores.dtype == found.log_probs.dtype == np.float32
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


# Batches and compilers


@pytest.mark.slow
@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_sentence_does_not_depend_on_its_batch(beam_size):
    language, limits = Language(8, 13, 13, 7, change=rare_ends), np.array([*LIMITS[:12], 0])
    options = {"beam_size": beam_size, "top_beams": beam_size}
    together = search(language, limits, **options)
    order = np.random.default_rng(1).permutation(13)
    groups = [order, order[:5], [0], [1], [6], [12]]
    for group in groups:
        found = search(language.of(group), limits[group], **options)
        np.testing.assert_array_equal(found.ids, together.ids[group])
        np.testing.assert_array_equal(found.finished, together.finished[group])
        np.testing.assert_allclose(found.scores, together.scores[group], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("beam_size", "with_rules"), [(1, False), (3, False), (3, True)])
def test_a_graph_and_xla_write_the_same(beam_size, with_rules):
    language = Language(4, 13, 13, 7, change=rare_ends)
    rules = {}
    if with_rules:
        rules["no_repeat_ngram_size"] = 2
        rules["prefix"] = tf.constant(filled([[5, 3], [6], [], [4, 4, 4], *[[3]] * 9]))
        rules["min_lengths"] = tf.constant([11, 0, 3, 7, 13, 2, *[5] * 7])
    options = {"beam_size": beam_size, "top_beams": beam_size, "length": 13}

    def run(limits):
        state = language.state(13, beam_size)
        return beam_search(language.step, state, limits, bos_id=BOS, eos_id=EOS, **options, **rules)

    limits = tf.constant(LIMITS)
    eager = run(limits)
    for compiled in (tf.function(run), tf.function(run, jit_compile=True, autograph=False)):
        found = compiled(limits)
        np.testing.assert_array_equal(found.ids, eager.ids)
        np.testing.assert_array_equal(found.finished, eager.finished)
        np.testing.assert_allclose(found.scores, eager.scores, rtol=1e-5)
        np.testing.assert_allclose(found.log_probs, eager.log_probs, rtol=1e-5)


# When it stops


@pytest.mark.parametrize("beam_size", [1, 3])
def test_it_takes_no_more_steps_than_the_longest_sentence_needs(beam_size):
    steps = []
    table_search(chain(BOS, 4, EOS), [11, 11, 3], steps, beam_size=beam_size)
    assert steps == [0, 1]


@pytest.mark.parametrize(("limits", "taken"), [([0, 0], 0), ([2, 3], 3), ([7, 5], 7)])
def test_it_takes_no_step_after_the_greatest_limit(limits, taken):
    steps = []
    table_search(table_of(_1={4: 0.7, 5: 0.3}, _4={4: 1}, _5={4: 1}), limits, steps, beam_size=2)
    assert steps == [*range(taken)]


@pytest.mark.parametrize(("top_beams", "taken"), [(1, 1), (2, 2), (3, 4)])
def test_it_goes_on_until_all_that_were_asked_for_are_sure(top_beams, taken):
    """EOS has .9; 3 EOS .08 and 4 5 6 EOS .02 follow."""
    table = table_of(_1={EOS: 0.9, 3: 0.08, 4: 0.02}, _3={EOS: 1}, _4={5: 1}, _5={6: 1},
                     _6={EOS: 1})  # fmt: skip
    steps = []
    options = {"beam_size": 3, "top_beams": top_beams, "length_penalty": 0.6}
    found = table_search(table, [4], steps, **options)
    tokens = [tokens for _, _, tokens, _ in hypotheses(found, 0)]
    assert tokens == [[EOS], [3, EOS], [4, 5, 6, EOS]][:top_beams]
    assert steps == [*range(taken)]


def test_a_longer_sentence_may_still_come_to_a_better_score():
    """After one token EOS has the better score of the two, and the other sentence in the end."""
    table = table_of(_1={EOS: 0.6, 3: 0.4}, _3={4: 1}, _4={5: 1}, _5={6: 1}, _6={EOS: 1})
    steps = []
    found = table_search(table, [11, 4], steps, beam_size=2, length_penalty=2.0)
    assert hypotheses(found, 0)[0][2] == [3, 4, 5, 6, EOS]
    assert hypotheses(found, 1)[0][2] == [EOS]
    assert found.scores[0, 0] == pytest.approx(math.log(0.4) / (10 / 6) ** 2, abs=1e-5)
    assert len(steps) == 5


# What there is not


def test_a_model_that_never_ends_gets_its_best_beginnings():
    def endless(logits):
        logits[:, EOS] = -np.inf

    language = Language(6, 13, 13, 7, change=endless)
    found = search(language, LIMITS, beam_size=3, top_beams=3, length_penalty=1.0)
    assert not found.finished.any()
    for b, limit in enumerate(LIMITS):
        wanted = reference.beam_search(
            language.log_probs(b), limit, EOS, 3, 1.0, 3, allowing(PAD, EOS)
        )
        assert_same(hypotheses(found, b), wanted)
        score, log_prob, tokens, _ = hypotheses(found, b)[0]
        assert len(tokens) == limit
        assert score == pytest.approx(log_prob / ((5 + limit) / 6))


def test_what_ended_is_returned_even_if_a_beginning_is_more_probable():
    """And it alone, where fewer ended than were asked for."""
    table = table_of(_1={3: 0.9, EOS: 0.1}, _3={3: 1})
    found = table_search(table, [5], beam_size=3, top_beams=3)
    assert hypotheses(found, 0) == [(pytest.approx(math.log(0.1)),) * 2 + ([EOS], True)]


@pytest.mark.parametrize("top_beams", [1, 2, 3])
def test_a_sentence_of_no_token_is_empty(top_beams):
    found = table_search(chain(BOS, 4, EOS), [0, 2], beam_size=3, top_beams=top_beams)
    assert hypotheses(found, 0) == [(0, 0, [], False)]
    assert hypotheses(found, 1)[0][2] == [4, EOS]


def test_where_nothing_may_come_next_there_is_nothing():
    """5 is a blind alley: only padding would follow it."""
    table = table_of(_1={5: 0.9, 3: 0.1}, _3={EOS: 1}, _5={PAD: 1})
    found = table_search(table, [5], beam_size=2, top_beams=2)
    assert hypotheses(found, 0) == [(pytest.approx(math.log(0.1) / (7 / 6) ** 0.6),
                                     pytest.approx(math.log(0.1)), [3, EOS], True)]  # fmt: skip
    assert hypotheses(table_search(table, [5], beam_size=1), 0) == []


def test_tokens_without_probability_are_never_written():
    def holes(logits):
        hidden = np.random.default_rng(3).random(logits.shape) < 0.4
        hidden[:, PAD] = False
        logits[hidden] = -np.inf

    language = Language(9, 13, 13, 7, change=holes)
    for beam_size in (2, 5):
        found = search(language, LIMITS, beam_size=beam_size, top_beams=beam_size)
        for b, limit in enumerate(LIMITS):
            wanted = reference.beam_search(
                language.log_probs(b), limit, EOS, beam_size, 0.6, beam_size, allowing(PAD, EOS)
            )
            assert_same(hypotheses(found, b), wanted)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_padding_is_never_written_and_keeps_its_probability(beam_size):
    def much_padding(logits):
        logits[:, PAD] += 10

    language = Language(7, 13, 13, 7, change=much_padding)
    found = search(language, LIMITS, beam_size=beam_size)
    for b, limit in enumerate(LIMITS):
        wanted = reference.beam_search(
            language.log_probs(b), limit, EOS, beam_size, 0.6, 1, allowing(PAD, EOS)
        )
        assert_same(hypotheses(found, b), wanted)


@pytest.mark.parametrize(("options", "message"), [
    ({"beam_size": 0}, "`beam_size` must be at least 1. Received: 0"),
    ({"beam_size": 3, "top_beams": 5}, "`top_beams` is .* Received: top_beams=5, beam_size=3"),
    ({"top_beams": 0}, "at least 1, at most `beam_size`. Received: top_beams=0, beam_size=4"),
    ({"length_penalty": -0.5}, "`length_penalty` must be at least 0.* Received: -0.5"),
    ({"length_penalty": math.nan}, "`length_penalty` must be at least 0.* Received: nan"),
    ({"length_penalty": math.inf}, "`length_penalty` must be at least 0.* Received: inf"),
])  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        table_search(chain(BOS, EOS), [5], **options)
