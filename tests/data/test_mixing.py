"""Corpora mixed by weight: shares, repetitions and order, counted over several epochs."""

import json
from collections import Counter
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import pytest

from keras_transformer.data import (
    InMemoryCorpus,
    JoinedCorpora,
    PackedBatches,
    PairFilter,
    TokenBatches,
    TokenCache,
)
from keras_transformer.data.mixing import ShuffledMembers
from tests.data.conftest import generated_pairs

SIZES = (7, 31, 101)
TOTAL = sum(SIZES)
WEIGHTS = (1, 2, 0.5)


def corpora(*sizes):
    """Corpora of generated pairs that are all different."""
    pairs, starts = generated_pairs(sum(sizes)), np.cumsum([0, *sizes])
    return [InMemoryCorpus(pairs[first:end]) for first, end in pairwise(starts)]


def build(parts, tokenizer, folder, **options):
    return TokenCache.build(JoinedCorpora(parts), tokenizer, folder, PairFilter(**options))


@pytest.fixture(scope="module")
def mixed(tokenizer, tmp_path_factory):
    """A cache of three corpora whose sizes are primes."""
    return build(corpora(*SIZES), tokenizer, tmp_path_factory.mktemp("mixed") / "cache")


def make(kind, cache, weights, seed=3):
    if kind == "padded":
        return TokenBatches(cache, 401, max_shapes=3, seed=seed, weights=weights)
    return PackedBatches(cache, 6 * 131, 131, seed=seed, batch_multiple=2, weights=weights)


def pairs_of(batch, cache):
    """The numbers of the pairs of a batch."""
    by_source = {tuple(cache.source(n).tolist()): n for n in range(len(cache))}
    inputs, _ = batch
    segments = inputs.get("source_segments", inputs["source"] != 0)
    return [
        by_source[tuple(row[numbers == number].tolist())]
        for row, numbers in zip(inputs["source"], segments.astype(int), strict=True)
        for number in range(1, numbers.max() + 1)
    ]


def counts_by_corpus(counts, sizes=SIZES):
    starts = np.cumsum([0, *sizes])
    each = [counts[n] for n in range(sum(sizes))]
    return [each[first:end] for first, end in pairwise(starts)]


def equal(one, other):
    return len(one) == len(other) and all(
        np.array_equal(one[0][name], other[0][name]) for name in one[0]
    )


def test_without_weights_the_order_is_that_of_earlier_versions():
    """One permutation an epoch, from the seed, the epoch and the shape."""
    stream, members = ShuffledMembers(np.arange(11), shape=2, seed=3), np.arange(11)
    epochs = [np.random.default_rng((3, epoch, 1 + 2)).permutation(members) for epoch in range(4)]
    assert stream.members(9, 38).tolist() == np.concatenate(epochs)[9:38].tolist()
    assert stream.members(23, 24).tolist() == [epochs[2][1]]


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_shares_are_those_of_the_weights(kind, mixed):
    """By hand: of 139 pairs an epoch, 2/7, 4/7 and 1/7 are drawn from 7, 31 and 101 pairs."""
    batches = make(kind, mixed, WEIGHTS)
    drawn = [Fraction(TOTAL * part, 7) for part in (2, 4, 1)]
    epochs, counts, waiting = 14, Counter(), sum(shape.batch_size for shape in batches.shapes)
    for epoch in range(epochs):
        for batch in batches.epoch(epoch):
            counts.update(pairs_of(batch, mixed))
    slack = 12 * waiting if kind == "packed" else waiting  # pairs of rows that wait for a batch
    for expected, members in zip(drawn, counts_by_corpus(counts), strict=True):
        assert abs(sum(members) - epochs * expected) <= slack
    assert abs(counts.total() - epochs * TOTAL) <= slack


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_every_pair_of_a_corpus_is_seen_equally_often(kind, mixed):
    """An epoch has its share of each stream, to within one."""
    batches = make(kind, mixed, WEIGHTS)
    counts = [Counter(), Counter(), Counter()]
    for epoch in range(9):
        for shape, stream in enumerate(batches._streams):
            first, end = stream.before(epoch), stream.before(epoch + 1)
            counts[shape].update(stream.members(first, end).tolist())
        for stream, counter in zip(batches._streams, counts, strict=False):
            for part, rate in zip(stream._corpora, rates(), strict=True):
                if len(part):
                    seen = [counter[member] for member in part.tolist()]
                    assert max(seen) - min(seen) <= 1
                    assert min(seen) in (exact := (epoch + 1) * rate // 1, exact - 1)


def rates():
    return [Fraction(2 * TOTAL, 7 * 7), Fraction(4 * TOTAL, 7 * 31), Fraction(TOTAL, 7 * 101)]


def test_after_whole_repetitions_every_pair_was_seen_as_often_exactly(tokenizer, tmp_path):
    """7 and 31 pairs, 1 to 1: after 2 * 7 * 31 epochs of 38 pairs, 19 * 31 * 2 and 19 * 7 * 2."""
    cache = build(corpora(7, 31), tokenizer, tmp_path / "cache")
    (stream,) = TokenBatches(cache, 999, max_shapes=1, weights=(1, 1))._streams
    end = stream.before(2 * 7 * 31)
    counts = Counter(stream.members(0, end).tolist())
    small, large = counts_by_corpus(counts, (7, 31))
    assert set(small) == {19 * 31 * 2}
    assert set(large) == {19 * 7 * 2}


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_any_batch_is_found_without_those_before(kind, mixed):
    batches = make(kind, mixed, WEIGHTS)
    all_batches = [batch for epoch in range(12) for batch in batches.epoch(epoch)]
    fresh = make(kind, mixed, WEIGHTS)
    for step in (len(all_batches) - 1, 0, len(all_batches) // 2):
        assert equal(fresh.batch(*fresh.locate(step)), all_batches[step])
    resumed = make(kind, mixed, WEIGHTS).dataset(start_step=9).as_numpy_iterator()
    for batch, expected in zip(islice(resumed, 12), all_batches[9:21], strict=True):
        assert equal(batch, expected)


def test_seeds_and_weights_change_the_order(mixed):
    orders = [
        [pairs_of(batch, mixed) for batch in make("padded", mixed, weights, seed).epoch(1)]
        for weights, seed in ((WEIGHTS, 3), (WEIGHTS, 4), ((1, 1, 1), 3), (SIZES, 3), (None, 3))
    ]
    assert len({str(order) for order in orders}) == 5


def test_the_seed_chooses_which_part_of_a_large_corpus_is_seen_first(mixed):
    first = [
        set(
            TokenBatches(mixed, 999, max_shapes=1, seed=seed, weights=WEIGHTS)
            ._streams[0]
            .members(0, 139)
        )
        for seed in (3, 4)
    ]
    assert len(first[0] & set(range(38, 139))) < 30
    assert first[0] != first[1]


def test_batches_mix_the_corpora(mixed):
    batches = TokenBatches(mixed, 401, max_shapes=1, weights=(1, 1, 1))
    for batch in batches.epoch(0):
        assert len(set(np.searchsorted([7, 38], pairs_of(batch, mixed), side="right"))) > 1


def test_equal_weights_are_not_the_same_as_none(mixed):
    """Without weights every pair once; with equal ones every corpus as often."""
    for weights, expected in ((None, SIZES), ((3, 3, 3), [TOTAL / 3] * 3)):
        batches = TokenBatches(mixed, 999, max_shapes=1, weights=weights)
        members = batches._streams[0].members(0, 139)
        drawn = np.histogram(members, [0, 7, 38, 139])[0]
        assert np.abs(drawn - np.array(expected)).max() <= 2


def test_the_weight_of_one_corpus_changes_nothing(cache):
    one, other = (TokenBatches(cache, 601, weights=weights) for weights in ((0.3,), None))
    assert all(map(equal, one.epoch(1), other.epoch(1)))


def test_rows_are_packed_from_one_corpus_each(mixed):
    for batch in make("packed", mixed, WEIGHTS).epoch(0):
        for row, numbers in zip(batch[0]["source"], batch[0]["source_segments"], strict=True):
            pairs = pairs_of(({"source": row[None], "source_segments": numbers[None]}, 0), mixed)
            assert len(set(np.searchsorted([7, 38], pairs, side="right"))) == 1


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_corpora_may_be_tiny(kind, tokenizer, tmp_path):
    cache = build(corpora(1, 2, 59), tokenizer, tmp_path / "cache")
    batches = make(kind, cache, (0.01, 5, 1))
    counts = Counter(
        pair
        for epoch in range(60)
        for batch in batches.epoch(epoch)
        for pair in pairs_of(batch, cache)
    )
    one, two, many = counts_by_corpus(counts, (1, 2, 59))
    assert sum(two) > 4 * sum(many) > 0
    assert 1 <= sum(one) <= 60 * 62 * 0.01 / 6.01 + 1


def test_padding_is_that_of_the_mixture(mixed):
    batches = make("padded", mixed, (1, 1, 1000))
    tokens = positions = 0
    for inputs, _ in islice(batches.dataset().as_numpy_iterator(), 200):
        positions += inputs["source"].size + inputs["target"].size
        tokens += sum(np.count_nonzero(side) for side in inputs.values())
    assert batches.padding == pytest.approx(1 - tokens / positions, abs=0.02)
    plain = make("padded", mixed, None)
    assert batches.steps_per_epoch != 0 != plain.steps_per_epoch
    assert batches.padding != plain.padding


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((1, 2), r"one number for each corpus\. Received: 2 weights for 3 corpora\."),
        ((1, 0, 2), r"greater than 0\. Received: 0 for corpus 2\. To train without a corpus, leav"),
        ((1, -3, 2), r"greater than 0\. Received: -3"),
        ((1, 1, float("inf")), r"Received: inf for corpus 3\."),
    ],
)
@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_weights_that_do_not_fit_are_refused(kind, weights, message, mixed):
    with pytest.raises(ValueError, match=message):
        make(kind, mixed, weights)


def test_a_corpus_of_which_nothing_is_left_has_no_weight(tokenizer, tmp_path):
    one, two = corpora(7, 31)
    cache = build([two, one, InMemoryCorpus(two.pairs[:3])], tokenizer, tmp_path / "cache")
    assert [report.kept for report in cache.reports] == [31, 7, 0]
    with pytest.raises(ValueError, match=r"keeps no pair of corpus 3, which .* Leave it out"):
        TokenBatches(cache, 999, weights=(1, 1, 1))
    with pytest.raises(ValueError, match="keeps no pair of corpus 3"):
        TokenBatches(cache, 999, weights=[kept**0.2 for kept in (31, 7, 0)])  # a temperature of 5


def test_a_pair_of_two_corpora_is_kept_in_the_first(tokenizer, tmp_path):
    one, two = corpora(7, 31)
    again = InMemoryCorpus([*two.pairs[:5], *one.pairs[4:6], ("only", "here"), ("", "empty")])
    cache = build([one, two, again], tokenizer, tmp_path / "cache", max_length=257)
    assert [report.kept for report in cache.reports] == [7, 31, 1]
    assert cache.reports[2].left_out == {"duplicate": 7, "empty side": 1}
    assert cache.reports[2].first_lines == {"duplicate": [1, 2, 3, 4, 5], "empty side": [9]}
    assert (cache.report.read, cache.report.kept, len(cache)) == (47, 39, 39)
    assert str(cache.report).splitlines()[-1].split() == ["duplicate", "7"]


def test_a_cache_of_before_is_one_corpus(mixed, cache):
    assert "corpora" not in json.loads((cache.folder / "cache.json").read_text())
    assert cache.reports == (cache.report,)
    assert [report.kept for report in TokenCache(mixed.folder).reports] == list(SIZES)


def test_another_order_of_corpora_is_another_text():
    one, two = corpora(7, 31)
    prints = {
        corpus.fingerprint()
        for corpus in (
            one,
            JoinedCorpora([one]),
            JoinedCorpora([one, two]),
            JoinedCorpora([two, one]),
        )
    }
    assert len(prints) == 4
    with pytest.raises(ValueError, match=r"must hold at least one corpus\. Received none\."):
        JoinedCorpora([])
