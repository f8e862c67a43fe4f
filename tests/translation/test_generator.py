"""Batches of sentences through one search: its plumbing on a stand-in, its results on a model."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import Hypotheses, Sampling
from keras_transformer.translation import batch_shapes
from keras_transformer.translation import generator as searcher_module
from keras_transformer.translation.generator import Request, SequenceGenerator
from tests import reference
from tests.translation.conftest import forced, make_model

SETTINGS = {"beam_size": 4, "top_beams": 3, "length_penalty": 0.6, "no_repeat_ngram_size": 0}
EOS = 2


def echo(model, source, max_lengths, min_lengths, prefix, *, length, slots, top_beams, **options):
    """Stands in for a search: a sentence's result is its prefix and itself, three times.

    Only so many hypotheses exist as the sentence's first id says.
    """
    rows = tf.concat([prefix, source], axis=1)
    order = tf.argsort(tf.cast(rows == 0, "int32"), axis=1, stable=True)
    rows = tf.gather(rows, order, axis=1, batch_dims=1)
    sizes = tf.reduce_sum(tf.cast(rows != 0, "int32"), axis=1)
    ids = tf.gather(
        rows, tf.range(length)[None] % tf.maximum(sizes, 1)[:, None], axis=1, batch_dims=1
    )
    wanted = tf.minimum(3 * sizes, max_lengths)
    ids = tf.where(tf.range(length) < wanted[:, None], ids, 0)
    exists = tf.range(top_beams) < source[:, :1] % (top_beams + 1)
    scores = tf.where(exists, -tf.cast(tf.range(top_beams), "float32")[None], -np.inf)
    every = tf.repeat(ids[:, None], top_beams, axis=1)
    found = Hypotheses(tf.where(exists[..., None], every, 0), scores * 2, scores, exists)
    return found, wanted <= length


@pytest.fixture
def echoing(monkeypatch):
    """A `SequenceGenerator` of the stand-in, and the shapes that were compiled."""
    shapes_compiled = []

    def watched(model, source, *arrays, length, slots, **options):
        shapes_compiled.append((*source.shape, length, slots))
        return echo(model, source, *arrays, length=length, slots=slots, **options)

    monkeypatch.setattr(searcher_module, "generate_all", watched)
    return SequenceGenerator(make_model(5), 1, EOS), shapes_compiled


def requests_of(count, seed, longest=64, prefixes=()):
    generator = np.random.default_rng(seed)
    for n in range(count):
        source = [*generator.integers(3, 1009, generator.integers(0, longest)).tolist(), EOS]
        prefix = prefixes[n % len(prefixes)] if prefixes else []
        yield Request(source, max_length=len(source) + 50, prefix=prefix)


def assert_echoes(found, requests):
    for some, request in zip(found, requests, strict=True):
        assert [one.score for one in some] == [0, -1, -2][: request.source[0] % 4]
        for one in some:
            assert one.ids == ([*request.prefix, *request.source] * 3)[: request.max_length]
            assert one.log_prob == 2 * one.score
            assert one.finished


@pytest.mark.slow
def test_hundreds_of_sentences_are_answered_each_its_own_in_few_shapes(echoing):
    searcher, compiled = echoing
    for count in (2, 11, 23, 53, 101, 211, 743):  # beside many that are short
        requests = [*requests_of(257, seed=1, longest=16), *requests_of(count, seed=count)]
        assert_echoes(searcher.search(requests, **SETTINGS), requests)
    decode_lengths = {(length, max_decode_len) for _, length, max_decode_len, _ in compiled}
    assert decode_lengths == {(16, 32), (16, 66), (32, 48), (32, 82), (64, 80), (64, 114)}
    assert len(compiled) == len(set(compiled))
    for shape in decode_lengths:
        sizes = [size for size, *others, _ in compiled if tuple(others) == shape]
        assert len(sizes) <= 3  # of the seven that there are
    assert all(slots == min(size, batch_shapes.SLOTS) for size, *_, slots in compiled)


def test_a_few_sentences_that_need_a_second_search_have_a_small_batch(echoing):
    searcher, compiled = echoing
    short, long = [5, EOS], [7] * 15 + [EOS]  # the results of a long one are three times as long
    requests = [Request(short, max_length=50)] * 297 + [Request(long, max_length=66)] * 3
    assert_echoes(searcher.search(requests, **SETTINGS), requests)
    assert compiled == [(256, 16, 32, batch_shapes.SLOTS), (8, 16, 66, 8)]


@pytest.mark.slow
def test_new_shapes_are_nothing_to_warn_of(echoing, caplog):
    """TensorFlow suspects a mistake where a function is compiled for a few shapes."""
    searcher, compiled = echoing
    for tokens in (11, 23, 47, 97, 193):
        request = Request([*range(3, 2 + tokens), EOS], max_length=tokens)
        assert_echoes(searcher.search([request], **SETTINGS), [request])
    assert len(compiled) >= 5
    assert not caplog.records


def test_prefixes_come_with_their_sentences(echoing):
    searcher, compiled = echoing
    requests = list(requests_of(37, 4, longest=16, prefixes=[[], [7], [], list(range(5, 24))]))
    assert_echoes(searcher.search(requests, **SETTINGS), requests)
    assert len(compiled) == 2


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(echoing, monkeypatch, workers):
    searcher, _ = echoing
    monkeypatch.setattr(searcher_module, "WORKERS", workers)
    monkeypatch.setattr(batch_shapes, "BATCHES", (8,))
    threads, run = set(), searcher._run_search
    meeting = threading.Barrier(workers, timeout=60)

    def watched(*arguments):
        if len(threads) < workers:
            threads.add(threading.get_ident())
            meeting.wait()  # so many are at work at a time
        return run(*arguments)

    monkeypatch.setattr(searcher, "_run_search", watched)
    requests = list(requests_of(43, 5, longest=13))
    assert_echoes(searcher.search(requests, **SETTINGS), requests)
    assert len(threads) == workers


def test_a_lone_batch_starts_no_thread(echoing, monkeypatch):
    searcher, _ = echoing
    monkeypatch.setattr(searcher_module, "ThreadPoolExecutor", None)
    requests = list(requests_of(7, 8, longest=9))
    assert_echoes(searcher.search(requests, **SETTINGS), requests)


@pytest.mark.parametrize(
    ("workers", "device", "size"), [(2, "cpu:0", 16), (1, "cpu:0", 32), (2, "gpu:0", 32)]
)
def test_a_few_dozen_sentences_are_shared_out_to_processors(
    echoing, monkeypatch, workers, device, size
):
    searcher, compiled = echoing
    monkeypatch.setattr(searcher_module, "WORKERS", workers)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: [device])
    requests = list(requests_of(29, 9, longest=9))
    assert_echoes(searcher.search(requests, **SETTINGS), requests)
    assert compiled == [(size, 16, 32, 16)]


def test_progress_counts_the_requests_that_are_answered(echoing, monkeypatch):
    """Those that are done again count when they are done."""
    searcher, _ = echoing
    monkeypatch.setattr(batch_shapes, "BATCHES", (8,))
    requests, told = list(requests_of(43, 6, longest=16)), []
    searcher.search(requests, told.append, **SETTINGS)
    assert told == sorted(told)
    assert len(told) > 6
    assert told[5] < told[-1] == 43
    assert searcher.search([], told.append, **SETTINGS) == []


def test_an_error_in_a_worker_is_not_lost(echoing, monkeypatch):
    searcher, _ = echoing

    def fail(*arguments, **options):
        raise OSError("no memory")

    monkeypatch.setattr(searcher, "_search", fail)
    with pytest.raises(OSError, match="no memory"):
        searcher.search(list(requests_of(7, 1)), **SETTINGS)


@pytest.fixture(scope="module")
def searcher(translator, one_size):
    return translator._generator


@pytest.fixture(scope="module")
def requests(translator, texts):
    rows = [ids[:12] for ids in translator.tokenizer.tokenize(texts)]
    return [Request([*ids, EOS], max_length=29, seed=11 * n) for n, ids in enumerate(rows)]


@pytest.fixture(scope="module")
def found(searcher, requests):
    return searcher.search(requests, **SETTINGS)


@pytest.fixture(scope="module")
def sampled(searcher, requests):
    return searcher.search(requests, sampling=Sampling(temperature=0.7), **SETTINGS)


def assert_same(some, others):
    for found, wanted in zip(some, others, strict=True):
        for one, other in zip(found, wanted, strict=True):
            assert one.ids == other.ids
            assert one.finished == other.finished
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_results_are_of_all_kinds(found, sampled):
    for results in (found, sampled):
        flat = [one for some in results for one in some]
        assert {one.finished for one in flat} == {True, False}
        assert len({len(one.ids) for one in flat}) > 7
        assert len({tuple(some[0].ids) for some in results}) > 11
    assert {len(some) for some in found} > {3}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["found", "sampled"])
def test_what_is_said_of_a_hypothesis_is_true(searcher, requests, how, request):
    results = request.getfixturevalue(how)
    flat = [(asked, one) for asked, some in zip(requests, results, strict=True) for one in some]
    log_probs = searcher.log_probs(
        [asked.source for asked, _ in flat], [one.ids for _, one in flat]
    )
    for (asked, one), row in zip(flat, log_probs, strict=True):
        wanted = forced(searcher.model, asked.source, one.ids)
        assert row == pytest.approx(wanted, abs=1e-4)
        assert one.log_prob == pytest.approx(sum(wanted), abs=1e-3)
        assert one.log_prob == pytest.approx(sum(row), abs=1e-4)
        normalizer = reference.length_normalizer(len(one.ids), 0.6)
        assert one.score == pytest.approx(one.log_prob / normalizer, rel=1e-5)
        assert one.finished == (one.ids[-1] == EOS)
        assert EOS not in one.ids[:-1]
        assert 0 not in one.ids
        assert len(one.ids) <= 29 if one.finished else len(one.ids) == 29
    for some in results:
        scores = [one.score for one in some]
        assert scores == sorted(scores, reverse=True)
        assert 1 <= len(some) <= 3
        assert len({one.finished for one in some}) == 1 or how == "sampled"
        assert len({tuple(one.ids) for one in some}) == len(some) or how == "sampled"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["found", "sampled"])
def test_results_do_not_depend_on_company(searcher, requests, how, request):
    """Nor on order, on the batch, on how many are at work: equal in all but the last digits."""
    results = request.getfixturevalue(how)
    sampling = Sampling(temperature=0.7) if how == "sampled" else None

    def search(some):
        return searcher.search(some, sampling=sampling, **SETTINGS)

    order = np.random.default_rng(4).permutation(len(requests))
    assert_same(search([requests[n] for n in order]), [results[n] for n in order])
    assert_same([search([one])[0] for one in requests[:5]], results[:5])
    assert_same(search(requests * 5)[38:57], results)


@pytest.mark.slow
def test_alone_in_a_batch_of_one_is_the_same(searcher, requests, found, monkeypatch):
    monkeypatch.setattr(batch_shapes, "BATCHES", (1,))
    for one, some in zip(requests, found, strict=True):
        assert_same(searcher.search([one], **SETTINGS), [some])


def test_another_thread_finds_the_same(searcher, requests, found):
    results = {}

    def work(name):
        results[name] = searcher.search(requests, **SETTINGS)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in range(3):
        assert_same(results[name], found)


def test_seeds_make_samples(searcher, requests, sampled):
    def search(seed, temperature=0.7):
        asked = [Request(one.source, one.max_length, seed=seed) for one in requests]
        return searcher.search(asked, sampling=Sampling(temperature), **SETTINGS)

    assert_same(search(0)[:1], sampled[:1])  # the first one's seed is 0
    once, again, others = search(5), search(5), search(6)
    assert_same(once, again)
    ids, other_ids = ([[one.ids for one in some] for some in all_] for all_ in (once, others))
    assert sum(map(list.__eq__, ids, other_ids)) < len(ids) / 2
    distinct = [len({tuple(one.ids) for one in some}) for some in once]
    assert sum(count > 1 for count in distinct) > len(distinct) / 2
