"""The rules of the logits processor, token by token and in the results of a search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_transformer.decoding.logits_processor import LogitsRules, mask_logits
from tests import reference
from tests.decoding.languages import (
    BOS,
    EOS,
    LIMITS,
    PAD,
    WIDE,
    Language,
    allowing,
    assert_same,
    filled,
    forced,
    hypotheses,
    rare_ends,
    search,
    small_languages,
    table_search,
)

B, W, L, V = 5, 3, 11, 7
PREFIXES = [[], [4], [3, 3], [5, 6, 4], [EOS]]
LEAST = [0, 1, 3, 7, 11]


def written(seed):
    """What the beams have written; few different tokens, or one, so that much is repeated."""
    ids = np.random.default_rng(seed).integers(3, V, (B, W, L)).astype("int32")
    ids[1, 2] = 6
    return ids


def assert_forbidden(index, ids, rules, of_sentence=lambda b: {}):
    """`mask_logits` leaves the tokens that plain Python allows, with their logits unchanged."""
    logits = np.random.default_rng(1).normal(size=(B, W, V)).astype("float32")
    left = ops.convert_to_numpy(mask_logits(ops.convert_to_tensor(logits), index, ids, rules))
    assert left.dtype == np.float32
    n = rules.no_repeat_ngram_size
    for b in range(B):
        allowed = allowing(rules.pad_id, rules.eos_id, no_repeat_ngram_size=n, **of_sentence(b))
        for w in range(W):
            may = [allowed(ids[b, w, :index].tolist(), token) for token in range(V)]
            np.testing.assert_array_equal(left[b, w], np.where(may, logits[b, w], -np.inf))


# What is forbidden


@pytest.mark.parametrize("pad_id", [0, 5, -1])
def test_padding_is_forbidden_and_nothing_else(pad_id):
    for index in (0, 4, L - 1):
        assert_forbidden(index, written(2), LogitsRules(EOS, pad_id))


@pytest.mark.parametrize("n", [1, 2, 3, 5, L - 1, L, L + 2, 29])
@pytest.mark.parametrize("pad_id", [PAD, -1])
def test_a_token_that_would_repeat_n_tokens_is_forbidden(n, pad_id):
    """Also where a sentence has no room for n tokens, or no token is padding."""
    for index in range(L):
        assert_forbidden(index, written(3), LogitsRules(EOS, pad_id, no_repeat_ngram_size=n))


def test_places_that_are_not_written_yet_do_not_count():
    ids = written(4)
    later = ids.copy()
    later[..., 5:] = PAD
    for rows in (ids, later):
        assert_forbidden(5, rows, LogitsRules(EOS, PAD, no_repeat_ngram_size=2))


@pytest.mark.parametrize(("eos_id", "pad_id"), [(EOS, PAD), (4, 6)])
def test_eos_is_forbidden_until_a_sentence_is_long_enough(eos_id, pad_id):
    def of_sentence(b):
        return {"min_length": LEAST[b]}

    for index in range(L):
        assert_forbidden(
            index, written(5), LogitsRules(eos_id, pad_id, np.array(LEAST)), of_sentence
        )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_the_prefix_comes_whatever_else_is_forbidden(n):
    """Too early an end and repeated tokens included."""
    ids = written(6)
    for b, prefix in enumerate(PREFIXES):
        ids[b, :, : len(prefix)] = prefix

    def of_sentence(b):
        return {"prefix": PREFIXES[b], "min_length": LEAST[b]}

    rules = LogitsRules(EOS, PAD, np.array(LEAST), filled(PREFIXES), n)
    for index in range(7):
        assert_forbidden(index, ids, rules, of_sentence)


def test_a_prefix_of_no_token_says_nothing():
    for prefix in (np.zeros((B, 0), "int32"), np.full((B, 2), PAD, "int32")):
        for index in (0, 1, 2, 5):
            assert_forbidden(index, written(7), LogitsRules(EOS, PAD, prefix=prefix))


# What is found


@pytest.mark.slow
@given(small_languages(), st.integers(0, 3), st.data())
@settings(max_examples=15, deadline=None)
def test_with_rules_it_finds_the_best_sentences_that_obey(case, no_repeat_ngram_size, data):
    language, pad_id, eos_id, limits, penalty = case
    tokens = [id for id in range(language.numbers.shape[1]) if id not in (pad_id, eos_id)]
    prefixes = [data.draw(st.lists(st.sampled_from(tokens), max_size=3)) for _ in limits]
    least = data.draw(st.lists(st.integers(0, 5), min_size=7, max_size=7))
    found = search(
        language, limits, beam_size=WIDE, top_beams=11, eos_id=eos_id, pad_id=pad_id,
        length_penalty=penalty, min_lengths=np.array(least), prefix=filled(prefixes, pad_id),
        no_repeat_ngram_size=no_repeat_ngram_size,
    )  # fmt: skip
    for b, limit in enumerate(limits):
        rules = {"min_length": least[b], "prefix": prefixes[b]}
        allowed = allowing(pad_id, eos_id, no_repeat_ngram_size=no_repeat_ngram_size, **rules)
        wanted = reference.every_sentence(
            language.log_probs(b), limit, eos_id, penalty, allowed
        ) or reference.beam_search(language.log_probs(b), limit, eos_id, WIDE, penalty, 11, allowed)
        assert_same(hypotheses(found, b, pad_id), wanted[:11], same_ids=False)
        for _, _, tokens, _ in hypotheses(found, b, pad_id):
            assert all(allowed(tokens[:t], token) for t, token in enumerate(tokens))


@pytest.mark.parametrize("no_repeat_ngram_size", [1, 2, 3])
def test_with_rules_it_is_the_search_in_plain_python(no_repeat_ngram_size):
    language = Language(5, 13, 13, 7, change=rare_ends)
    prefixes = [[], [4], [5, 3, 6], [3, 3, 3, 3, 3], [], [6, 5], [4, 4, 4], [1, 3], [5], [], [3]]
    prefixes += [[4, 5, 4, 5], [6]]
    least = [0, 1, 5, 13, 3, 9, 7, 2, 5, 9, 11, 1, 17]
    found = search(
        language, LIMITS, beam_size=3, top_beams=2, prefix=filled(prefixes), min_lengths=least,
        no_repeat_ngram_size=no_repeat_ngram_size,
    )  # fmt: skip
    for b, limit in enumerate(LIMITS):
        rules = {"prefix": prefixes[b], "min_length": least[b]}
        allowed = allowing(PAD, EOS, no_repeat_ngram_size=no_repeat_ngram_size, **rules)
        wanted = reference.beam_search(language.log_probs(b), limit, EOS, 3, 0.6, 2, allowed)
        assert_same(hypotheses(found, b), wanted)
        for _, _, tokens, _ in hypotheses(found, b):
            assert tokens[: len(prefixes[b])] == prefixes[b][:limit]


def test_it_starts_with_the_prefix_and_counts_it():
    language = Language(11, 5, 13, 7)
    prefixes = [[3], [], [6, 6, 5], [4, 1, 3, 5, 4], [5, 4]]
    limits = [13, 13, 13, 3, 13]
    found = search(language, limits, prefix=filled(prefixes))
    for b, prefix in enumerate(prefixes):
        _, log_prob, tokens, _ = hypotheses(found, b)[0]
        assert tokens[: len(prefix)] == prefix[: limits[b]]
        assert log_prob == pytest.approx(forced(language.log_probs(b), tokens), abs=2e-5)
    free = search(language, limits)
    assert hypotheses(found, 1) == hypotheses(free, 1)


def test_what_the_prefix_repeats_is_allowed():
    language = Language(11, 3, 13, 7)
    prefixes = [[3, 3], [5, 5, 5, 5], [4, 3, 4, 3]]
    found = search(language, [13] * 3, prefix=filled(prefixes), no_repeat_ngram_size=1)
    for b, prefix in enumerate(prefixes):
        tokens = hypotheses(found, b)[0][2]
        assert tokens[: len(prefix)] == prefix
        rest = tokens[len(prefix) :]
        assert len(set(rest)) == len(rest)
        assert not set(rest) & set(prefix)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_no_sentence_is_shorter_than_its_least_length(beam_size):
    language, least = Language(12, 7, 13, 7), [0, 1, 2, 5, 7, 11, 13]
    found = search(language, [13] * 7, beam_size=beam_size, min_lengths=least)
    free = search(language, [13] * 7, beam_size=beam_size)
    lengths = [len(hypotheses(found, b)[0][2]) for b in range(7)]
    assert all(length >= shortest for length, shortest in zip(lengths, least, strict=True))
    for b in range(7):
        if len(hypotheses(free, b)[0][2]) >= least[b]:
            continue
        allowed = allowing(PAD, EOS, min_length=least[b])
        wanted = reference.beam_search(language.log_probs(b), 13, EOS, beam_size, 0.6, 1, allowed)
        assert_same(hypotheses(found, b), wanted)


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_no_n_tokens_in_a_row_occur_twice(n):
    """Not even where the language would repeat itself for ever; 17 never fit."""
    table = np.full((7, 7), 0.001)
    for one, other in [(BOS, 3), (3, 4), (4, 3)]:
        table[one, other] = 0.9
    found = table_search(table, [11, 7], beam_size=2, top_beams=2, no_repeat_ngram_size=n)
    for b in range(2):
        for _, _, tokens, _ in hypotheses(found, b):
            runs = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
            assert len(set(runs)) == len(runs)
