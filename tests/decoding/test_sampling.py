"""Sampling from random languages, against the probabilities of all their sentences."""

import collections
import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.decoding.hypotheses import Hypotheses
from keras_transformer.decoding.sampling import sample
from keras_transformer.decoding.token_sampling import Sampling, nucleus, uniforms
from tests import reference
from tests.decoding.languages import (
    BOS,
    EOS,
    LIMITS,
    PAD,
    Language,
    allowing,
    filled,
    forced,
    rare_ends,
    search,
    table_of,
    table_search,
)

SETTINGS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.9},
    {"top_k": 3},
    {"top_p": 0.7},
    {"temperature": 1.3, "top_k": 4, "top_p": 0.8},
]


def draw_all(language, limits, step=None, beam_size=5, **options):
    """`sample` from NumPy to NumPy."""
    found = sample(
        step or language.step, language.state(language.length, beam_size),
        np.asarray(limits, "int32"), length=language.length, bos_id=language.bos_id, eos_id=EOS,
        beam_size=beam_size, **options,
    )  # fmt: skip
    return Hypotheses(*map(ops.convert_to_numpy, found))


def sentences(found, sentence):
    """Those drawn for one source, as lists of tokens without padding."""
    rows = []
    for ids in found.ids[sentence]:
        tokens = ids[ids != PAD].tolist()
        assert ids.tolist() == tokens + [PAD] * (len(ids) - len(tokens))
        rows.append(tokens)
    return rows


def probabilities(log_probs, tokens, temperature=1.0, top_k=0, top_p=1.0, **rules):
    """Those that may be drawn after some tokens, in plain Python."""
    allowed = allowing(PAD, EOS, **rules)
    weights = {
        token: math.exp(log_prob / temperature)
        for token, log_prob in enumerate(log_probs(tokens))
        if allowed(tokens, token)
    }
    best = sorted(weights, key=weights.get, reverse=True)[: top_k or None]
    total, kept = sum(weights[token] for token in best), {}
    for token in best:
        if sum(kept.values()) < top_p * total:
            kept[token] = weights[token]
    return {token: weight / sum(kept.values()) for token, weight in kept.items()}


def every_probability(log_probs, max_length, tokens=(), **setting):
    """All sentences that may be drawn, and how often they come."""
    if len(tokens) == max_length or tokens[-1:] == (EOS,):
        return {tokens: 1.0}
    return {
        sentence: probability * after
        for token, probability in probabilities(log_probs, list(tokens), **setting).items()
        for sentence, after in every_probability(
            log_probs, max_length, (*tokens, token), **setting
        ).items()
    }


# As often as they are probable


def blunt(logits):
    logits *= 0.6


def misfit(counts, expected):
    """How far counts are from what is expected, in standard deviations of a normal variable.

    Pearson's sum has the chi-square distribution with one degree of freedom less than there are
    cells, if no cell expects fewer than 5: rarer ones are put together. Wilson and Hilferty:
    the cube root of a chi-square variable over its degrees is all but normal, with this mean and
    variance.
    """
    cells = [(counts[key], wanted) for key, wanted in expected.items() if wanted >= 5]
    rare = [(counts[key], wanted) for key, wanted in expected.items() if wanted < 5]
    if sum(wanted for _, wanted in rare) >= 5:
        cells.append(tuple(map(sum, zip(*rare, strict=True))))
    freedom = len(cells) - 1
    pearson = sum((count - wanted) ** 2 / wanted for count, wanted in cells)
    variance = 2 / (9 * freedom)
    return (math.cbrt(pearson / freedom) - (1 - variance)) / math.sqrt(variance)


@pytest.mark.parametrize("setting", SETTINGS)
def test_sentences_come_as_often_as_they_are_probable(setting):
    """Beyond 4 standard deviations, to either side, 1 run in 10,000 would be; these are fixed."""
    rows, samples = 211, 31
    language = Language(56, 1, 3, 7, change=blunt).of([0] * rows)
    found = draw_all(language, [3] * rows, beam_size=samples, **setting)
    counts = collections.Counter(
        tuple(tokens) for b in range(rows) for tokens in sentences(found, b)
    )
    for other in SETTINGS:
        law = every_probability(language.log_probs(0), 3, **other)
        expected = {sentence: rows * samples * share for sentence, share in law.items()}
        if other == setting:
            assert set(counts) <= set(expected)
            assert len(expected) > 20
            assert abs(misfit(counts, expected)) < 4
        else:  # nor could they have come from there
            assert not set(counts) <= set(expected) or misfit(counts, expected) > 9


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS[3:])
def test_what_is_filtered_out_never_comes(setting):
    language = Language(5, 13, 13, 53, change=rare_ends)
    found = draw_all(language, LIMITS, beam_size=17, **setting)
    for b in range(13):
        for tokens in sentences(found, b):
            for t, token in enumerate(tokens):
                assert token in probabilities(language.log_probs(b), tokens[:t], **setting)


@pytest.mark.parametrize("top_p", [1e-46, 1e-9, 0.11, 0.5, 0.93, 0.999999])
def test_the_nucleus_is_the_smallest_set_that_is_probable_enough(top_p):
    """Of equal ones, of which there are many here, the first."""
    logits = np.random.default_rng(3).normal(0, 3, (7, 1009))
    logits = np.round(4 * logits).astype("float32") / 4
    logits[2], logits[3, :900] = 0, -np.inf
    kept = ops.convert_to_numpy(nucleus(logits, top_p))
    for row, found in zip(logits.astype("float64"), kept, strict=True):
        order = np.argsort(-row, kind="stable")
        shares = np.exp(row[order]) / np.exp(row).sum()
        count = 1 + np.sum(np.cumsum(shares) < top_p - 1e-6)
        most = 1 + np.sum(np.cumsum(shares) < top_p + 1e-6)  # float32 may see it so
        assert count <= np.isfinite(found).sum() <= min(most, np.isfinite(row).sum())
        chosen = order[: np.isfinite(found).sum()]
        np.testing.assert_array_equal(found[chosen], row[chosen])


# As the most probable


GREEDY = [{"top_k": 1}, {"top_k": 1, "temperature": 3.0}, {"top_p": 1e-9}, {"temperature": 1e-50}]


@pytest.mark.slow
@pytest.mark.parametrize("setting", GREEDY)
def test_where_only_the_most_probable_is_left_it_is_greedy_search(setting):
    rules = {
        "no_repeat_ngram_size": 2,
        "prefix": filled([[5, 3], [6], [], [4, 4, 4], *[[3]] * 9]),
        "min_lengths": np.array([11, 0, 3, 7, 13, 2, *[5] * 7]),
    }
    language = Language(4, 13, 13, 7, change=rare_ends)
    for options in ({}, rules):
        wanted = search(language, LIMITS, beam_size=1, **options)
        found = draw_all(language, LIMITS, beam_size=3, **setting, **options)
        np.testing.assert_array_equal(found.ids, np.repeat(wanted.ids, 3, axis=1))
        np.testing.assert_array_equal(found.finished, np.repeat(wanted.finished, 3, axis=1))
        np.testing.assert_allclose(found.scores, np.repeat(wanted.scores, 3, axis=1), rtol=1e-6)
        np.testing.assert_allclose(found.log_probs[:, 0], wanted.log_probs[:, 0], rtol=1e-6)


def test_one_of_equal_tokens_is_left():
    def coarse(logits):
        logits[:] = np.round(logits / 2)

    language = Language(4, 13, 13, 7, change=coarse)
    found = draw_all(language, LIMITS, top_k=1)
    np.testing.assert_array_equal(found.ids[:, :1], search(language, LIMITS, beam_size=1).ids)


@pytest.mark.slow
@pytest.mark.parametrize("warmth", [0.05, 0.3, 1.0])
def test_the_colder_the_greedier(warmth):
    """The share of greedy sentences is what it should be, within 4 standard deviations."""
    language = Language(2, 13, 13, 11, change=rare_ends)
    best = search(language, LIMITS, beam_size=1)
    found = draw_all(language, LIMITS, beam_size=23, temperature=warmth)
    shares = []
    for b in range(13):
        [tokens] = sentences(best, b)
        shares.append(
            math.prod(
                probabilities(language.log_probs(b), tokens[:t], warmth)[token]
                for t, token in enumerate(tokens)
            )
        )
    count = (found.ids == best.ids).all(axis=-1).sum()
    deviation = math.sqrt(sum(23 * share * (1 - share) for share in shares))
    assert abs(count - 23 * sum(shares)) < 4 * deviation
    assert (np.mean(shares) > 0.7) == (warmth < 0.1)


# What is told of them


@pytest.mark.parametrize("setting", [*SETTINGS, {"length_penalty": 2.0}])
def test_scores_are_those_of_the_model_and_the_best_comes_first(setting):
    penalty = setting.get("length_penalty", 0.6)
    language = Language(1, 13, 13, 7, change=rare_ends)
    found = draw_all(language, LIMITS, **setting)
    assert found.ids.shape == (13, 5, 13)
    assert found.ids.dtype == np.int32
    assert {True, False} == set(found.finished.ravel().tolist())
    assert (np.diff(found.scores) <= 0).all()
    assert (np.diff(found.log_probs) > 0).any()
    for b, limit in enumerate(LIMITS):
        for tokens, log_prob, score, finished in zip(
            sentences(found, b), *(numbers[b] for numbers in found[1:]), strict=True
        ):
            assert finished == (tokens[-1] == EOS)
            assert EOS not in tokens[:-1]
            assert finished or len(tokens) == limit
            assert log_prob == pytest.approx(forced(language.log_probs(b), tokens), abs=2e-5)
            normalizer = reference.length_normalizer(len(tokens), penalty)
            assert score == pytest.approx(log_prob / normalizer, rel=1e-5)


def test_scores_are_float32_whatever_the_logits_are():
    def rounded(logits):
        logits[:] = ops.convert_to_numpy(ops.cast(ops.cast(logits, "bfloat16"), "float32"))

    language = Language(2, 13, 13, 11, change=rounded)

    def step(*arguments):
        logits, state = language.step(*arguments)
        return ops.cast(logits, "bfloat16"), state

    found, wanted = draw_all(language, LIMITS, step), draw_all(language, LIMITS)
    assert found.scores.dtype == found.log_probs.dtype == np.float32
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_sentence_has_its_own_limit():
    table = table_of(_1={3: 0.7, 4: 0.3}, _3={3: 1}, _4={4: 1})
    limits, steps = [2, 0, 5, 3, 7], []
    found = table_search(table, limits, steps, beam_size=3, find=sample)
    assert (found.ids != PAD).sum(axis=-1).tolist() == [[limit] * 3 for limit in limits]
    assert not found.finished.any()
    assert (found.scores[1] == 0).all()
    assert steps == [*range(7)]


def test_it_stops_when_all_samples_are_over():
    table, steps = table_of(_1={3: 0.9, EOS: 0.1}, _3={EOS: 1}), []
    found = table_search(table, [11, 11, 7], steps, beam_size=5, find=sample)
    assert steps == [0, 1]
    assert found.finished.all()
    steps.clear()
    table_search(table, [0, 0], steps, find=sample)
    assert steps == []


def test_what_is_over_stays_as_it_is():
    """After the end this language says anything."""
    table = table_of(_1={EOS: 0.5, 3: 0.5}, _2={4: 1}, _3={3: 1})
    found = table_search(table, [11], beam_size=13, find=sample)
    ended = [tokens for tokens in sentences(found, 0) if tokens[0] == EOS]
    assert sorted(sentences(found, 0)) == sorted(
        [*[[EOS]] * len(ended), *[[3] * 11] * (13 - len(ended))]
    )
    assert 0 < len(ended) < 13
    np.testing.assert_allclose(found.log_probs, math.log(0.5), rtol=1e-5)


# LogitsRules


def test_rules_are_obeyed():
    language = Language(8, 13, 13, 7)
    prefixes = [[5, 3], [6], [], [4, 4, 4], [4, EOS], *[[3]] * 8]
    least = [11, 0, 3, 7, 13, 2, *[5] * 7]
    options = {"temperature": 2.0, "no_repeat_ngram_size": 2, "prefix": filled(prefixes)}
    found = draw_all(language, [13] * 13, min_lengths=np.array(least), **options)
    for b, (prefix, fewest) in enumerate(zip(prefixes, least, strict=True)):
        obeys = allowing(PAD, EOS, prefix=prefix, min_length=fewest, no_repeat_ngram_size=2)
        assert len(set(map(tuple, sentences(found, b)))) > 1 or EOS in prefix
        for tokens, log_prob in zip(sentences(found, b), found.log_probs[b], strict=True):
            assert len(tokens) >= min(fewest, 13) or EOS in prefix
            assert all(obeys(tokens[:t], token) for t, token in enumerate(tokens))
            assert log_prob == pytest.approx(forced(language.log_probs(b), tokens), abs=2e-5)


def test_forbidden_tokens_take_no_place_among_the_most_probable():
    """Padding and, too early, EOS: 3 and 4 are the two best of the rest."""
    table = np.tile([0.4, 0, 0.3, 0.15, 0.1, 0.05], (6, 1))
    for setting in ({"top_k": 2}, {"top_p": 0.8}):
        found = table_search(
            table, [7] * 3, beam_size=11, min_lengths=np.array([7] * 3), **setting, find=sample
        )
        assert set(found.ids[..., :6].ravel().tolist()) == {3, 4}


def test_padding_is_never_drawn_and_keeps_its_probability():
    table = np.tile([0.9, 0, 0.05, 0.05], (4, 1))
    found = table_search(table, [3], beam_size=13, find=sample)
    assert (found.ids[0, :, 0] != PAD).all()
    lengths = (found.ids != PAD).sum(axis=-1)
    np.testing.assert_allclose(found.log_probs, lengths * math.log(0.05), rtol=1e-5)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_sample_that_nothing_may_follow_does_not_exist(setting):
    """5 is a blind alley: only padding would follow it. Nor does what follows NaN exist."""
    table = table_of(_1={5: 0.5, 3: 0.5}, _3={EOS: 1}, _5={PAD: 1})
    for dead in (table[5], [0, 0, math.nan, 0.5, 0.5, 0, 0]):
        table[5] = dead
        found, steps = table_search(table, [7], beam_size=17, **setting, find=sample), []
        alive = int((found.ids[0, :, 0] == 3).sum())
        assert 0 < alive < 17
        assert sentences(found, 0) == [[3, EOS]] * alive + [[]] * (17 - alive)
        assert found.finished[0].tolist() == [True] * alive + [False] * (17 - alive)
        np.testing.assert_allclose(found.log_probs[0, :alive], math.log(0.5), rtol=1e-5)
        assert (found.scores[0, alive:] == -np.inf).all()
        assert (found.log_probs[0, alive:] == -np.inf).all()
        table_search(table, [7], steps, prefix=filled([[5]]), **setting, find=sample)
        assert steps == [0, 1]


def test_the_step_is_told_tokens_places_slots_and_its_state():
    table, told = table_of(_1={3: 1}, _3={4: 1}, _4={EOS: 1}), []

    def step(tokens, index, ancestry, state):
        own = np.arange(11) <= int(index)
        own = own[:, None] & np.eye(3, dtype=bool)[:, None]
        assert (ops.convert_to_numpy(ancestry) == np.tile(own, (2, 1, 1, 1))).all()
        assert ancestry.shape == (2, 3, 11, 3)
        assert int(state["calls"][0]) == 41 + int(index)
        told.append((int(index), ops.convert_to_numpy(tokens).tolist()))
        with np.errstate(divide="ignore"):
            logits = ops.take(np.log(table).astype("float32"), tokens, axis=0)
        return logits, {"calls": (state["calls"][0] + 1,)}

    state = {"calls": (ops.convert_to_tensor(41),)}
    sample(step, state, np.array([11, 7]), length=11, bos_id=BOS, eos_id=EOS, beam_size=3)
    assert told == [(0, [[BOS] * 3] * 2), (1, [[3] * 3] * 2), (2, [[4] * 3] * 2)]


# Random numbers


def hashed(*numbers):
    """`uniforms` in plain Python."""

    def mix(x):
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        return x ^ x >> 16

    seed, place, position, token = numbers
    key = mix(mix(mix(seed % 2**32 ^ 0x9E3779B9) ^ place) ^ position)
    return ((mix(key ^ mix(token ^ 0x9E3779B9)) >> 9) + 0.5) / 2**23


def test_the_random_numbers_are_those_of_plain_python():
    """Bit for bit, so on every backend."""
    generator = np.random.default_rng(5)
    seeds, others = generator.integers(-(2**31), 2**31, 997), generator.integers(0, 40009, (3, 997))
    numbers = ops.convert_to_numpy(uniforms(seeds.astype("int32"), *others.astype("int32")))
    assert numbers.dtype == np.float32
    assert numbers.tolist() == [hashed(*map(int, row)) for row in zip(seeds, *others, strict=True)]


def test_the_random_numbers_are_uniform_and_know_nothing_of_one_another():
    """All limits are 5 standard deviations."""
    sizes = (13, 11, 17, 211)
    places = [
        np.arange(n).reshape([-1 if i == j else 1 for j in range(4)]) for i, n in enumerate(sizes)
    ]
    numbers = ops.convert_to_numpy(uniforms(*places)).astype("float64")
    assert numbers.shape == sizes
    count = numbers.size
    halves = numbers * 2**24  # odd integers: neither 0 nor 2 ** 24, so that both logarithms exist
    assert (halves % 2 == 1).all()
    assert 0 < numbers.min() < 5e-5
    assert 1 - 5e-5 < numbers.max() < 1
    shares = np.histogram(numbers, 101, (0, 1))[0] / count
    assert np.abs(shares - 1 / 101).max() < 5 / math.sqrt(101 * count)
    centred = (numbers - 0.5) * math.sqrt(12)
    assert abs(centred.mean()) < 5 / math.sqrt(count)
    for axis in range(4):
        first, second = np.delete(centred, 0, axis), np.delete(centred, -1, axis)
        assert abs((first * second).mean()) < 5 / math.sqrt(first.size)
    for one in range(4):
        for other in range(one):
            square = np.swapaxes(centred, one, other)
            n = min(sizes[one], sizes[other])
            cut = tuple(slice(n) if i in (one, other) else slice(None) for i in range(4))
            both = (centred[cut] * square[cut]).sum() - (
                centred[cut] ** 2 * same(n, one, other)
            ).sum()
            assert abs(both) < 5 * math.sqrt(2 * centred[cut].size)
    assert len(np.unique(halves)) > count - 5 - count**2 / 2**23  # else they would repeat


def same(n, one, other):
    """1 where two axes of four have the same index."""
    shape = [1] * 4
    shape[one] = shape[other] = n
    return np.eye(n).reshape(shape)


def test_the_same_seed_draws_the_same_and_another_another():
    language = Language(3, 1, 13, 11, change=rare_ends).of([0] * 7)
    seeds = np.array([5, 6, 5, -5, 2**31 - 1, 0, 5])
    found = draw_all(language, [13] * 7, seeds=seeds)
    again = draw_all(language, [13] * 7, seeds=seeds)
    np.testing.assert_array_equal(found.ids, again.ids)
    for other in (2, 6):
        np.testing.assert_array_equal(found.ids[0], found.ids[other])
        np.testing.assert_array_equal(found.scores[0], found.scores[other])
    drawn = {str(sentences(found, b)) for b in range(7)}
    assert len(drawn) == 5
    assert len({str(tokens) for b in (0, 1, 3, 4, 5) for tokens in sentences(found, b)}) > 20


def test_without_seeds_places_are_the_seeds():
    language = Language(3, 1, 13, 11).of([0] * 7)
    found, wanted = draw_all(language, [13] * 7), draw_all(language, [13] * 7, seeds=np.arange(7))
    np.testing.assert_array_equal(found.ids, wanted.ids)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_sentence_does_not_depend_on_its_batch(setting):
    language, limits = Language(8, 13, 13, 7, change=rare_ends), np.array([*LIMITS[:12], 0])
    seeds = np.random.default_rng(2).integers(0, 9999, 13)
    together = draw_all(language, limits, seeds=seeds, **setting)
    order = np.random.default_rng(1).permutation(13)
    for group in (order, order[:5], [0], [1], [6], [12]):
        found = draw_all(language.of(group), limits[group], seeds=seeds[group], **setting)
        np.testing.assert_array_equal(found.ids, together.ids[group])
        np.testing.assert_array_equal(found.finished, together.finished[group])
        np.testing.assert_allclose(found.scores, together.scores[group], rtol=1e-6)


def test_nor_on_how_many_others_are_drawn_for_its_source():
    language = Language(8, 13, 13, 7, change=rare_ends)
    few, many = (draw_all(language, LIMITS, beam_size=samples) for samples in (3, 7))
    for b in range(13):
        few_counts, many_counts = (
            collections.Counter(map(tuple, sentences(found, b))) for found in (few, many)
        )
        assert few_counts <= many_counts


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "with_rules"), [({}, False), (SETTINGS[-1], True)])
def test_a_graph_and_xla_draw_the_same(setting, with_rules):
    language = Language(4, 13, 13, 7, change=rare_ends)
    rules = {}
    if with_rules:
        rules["no_repeat_ngram_size"] = 2
        rules["prefix"] = tf.constant(filled([[5, 3], [6], [], [4, 4, 4], *[[3]] * 9]))
        rules["min_lengths"] = tf.constant([11, 0, 3, 7, 13, 2, *[5] * 7])

    def run(limits, seeds):
        return sample(
            language.step, language.state(13, 3), limits, seeds=seeds, length=13, bos_id=BOS,
            eos_id=EOS, beam_size=3, **setting, **rules,
        )  # fmt: skip

    inputs = tf.constant(LIMITS), tf.constant([*range(7, 20)])
    eager = run(*inputs)
    for compiled in (tf.function(run), tf.function(run, jit_compile=True, autograph=False)):
        found = compiled(*inputs)
        np.testing.assert_array_equal(found.ids, eager.ids)
        np.testing.assert_array_equal(found.finished, eager.finished)
        np.testing.assert_allclose(found.scores, eager.scores, rtol=1e-5)
        np.testing.assert_allclose(found.log_probs, eager.log_probs, rtol=1e-5)


# Numbers that mean nothing


@pytest.mark.parametrize(("options", "message"), [
    ({"temperature": 0.0}, "`temperature` .* must be greater than 0.* Received: 0.0"),
    ({"temperature": -1}, "`temperature` .* must be greater than 0.* Received: -1"),
    ({"temperature": math.nan}, "`temperature` .* must be greater than 0.* Received: nan"),
    ({"top_k": -1}, "`top_k` .* at least 1, or 0 for all. Received: -1"),
    ({"top_p": 0.0}, "`top_p` .* greater than 0, at most 1, .* Received: 0.0"),
    ({"top_p": 1.5}, "`top_p` .* greater than 0, at most 1, .* Received: 1.5"),
    ({"top_p": math.nan}, "`top_p` .* greater than 0, at most 1, .* Received: nan"),
])  # fmt: skip
def test_what_cannot_be_drawn_from_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)
    with pytest.raises(ValueError, match=message):
        table_search(table_of(_1={EOS: 1}), [5], **options, find=sample)


@pytest.mark.parametrize(("options", "message"), [
    ({"beam_size": 0}, "`beam_size` must be at least 1. Received: 0"),
    ({"length_penalty": -0.5}, "`length_penalty` must be at least 0.* Received: -0.5"),
    ({"no_repeat_ngram_size": -1}, "`no_repeat_ngram_size` must be at least 0.* Received: -1"),
])  # fmt: skip
def test_what_no_search_takes_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        table_search(table_of(_1={EOS: 1}), [5], **options, find=sample)


def test_a_sampling_does_not_change():
    assert Sampling() == Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=0)
    with pytest.raises(AttributeError):
        Sampling().seed = 3
