"""A service compiles at start all that its requests can need."""

import itertools

import numpy as np
import pytest

from keras_transformer.translation.batch_shapes import decode_lengths, make_batches
from keras_transformer.translation.compilation import compilations
from keras_transformer.translation.preparation import pair_programs, search_programs
from tests.translation.conftest import LIMIT, one_size, sentences

__all__ = ["one_size"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("longest", [13, 48, 256])
def test_every_batch_of_searches_is_foreseen_and_no_other(workers, longest):
    texts, met = 64, set()
    generator = np.random.default_rng(1)
    for count in range(1, texts + 1):
        for long in (2, 16, 17, 32, 33, 64, 128, longest, longest):
            lengths = generator.integers(1, min(long, longest) + 1, count).tolist()
            lengths[0] = min(long, longest)
            met |= {(size, length) for size, length, _ in make_batches(lengths, None, workers)}
            same = make_batches([min(long, longest)] * count, None, workers)
            met |= {(size, length) for size, length, _ in same}
    programs = search_programs(texts, longest, None, decode_lengths, workers)
    assert {(one.size, one.length) for one in programs} == met
    for one in programs:
        assert one.decode_length in decode_lengths(one.length, one.length + 50)
    assert len(programs) == 2 * len(met)


def test_a_short_limit_needs_no_second_search():
    programs = search_programs(3, 16, 32, decode_lengths, 2)
    assert [tuple(one) for one in programs] == [("search", 1, 16, 32), ("search", 8, 16, 32)]
    longer = search_programs(3, 16, 200, decode_lengths, 2)
    assert {one.decode_length for one in longer} == {32, 224}


def test_pairs_are_as_long_as_the_longer_side_and_the_positions_allow():
    programs = pair_programs("log_probs", 9, 100, max_positions=100)
    assert {(one.size, one.length) for one in programs} == set(
        itertools.product([1, 8, 16], [16, 32, 64, 100])
    )


@pytest.mark.slow
@pytest.mark.usefixtures("one_size", "without_xla")
def test_nothing_is_compiled_after_the_preparation(translator):
    translator.model = translator.model  # a new generator
    options = {"beam_size": 2, "top_beams": 2, "max_length": 9}
    reports = []
    found = translator.prepare(
        5, attention=2, pairs=3, progress=lambda *counts: reports.append(counts), **options
    )
    assert reports == [(number, found) for number in range(1, found + 1)]
    before = compilations()
    assert before >= found == 3
    texts = sentences(4, seed=3, longest=LIMIT - 3)
    translator.translate(texts, **options)
    translator.translate(texts[:1], return_attention=True, **options)
    translator.score(texts[:3], texts[1:4])
    assert compilations() == before


def test_settings_are_refused_before_anything_is_compiled(translator):
    before = compilations()
    with pytest.raises(ValueError, match="`top_beams` is the number"):
        translator.prepare(1, beam_size=2, top_beams=3)
    assert compilations() == before
