import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transformer.translation.batch_shapes import (
    BATCHES,
    EXTRA_LENGTH,
    LENGTHS,
    POSITIONS,
    batch_sizes,
    decode_lengths,
    make_batches,
    pad_rows,
    padded_length,
)

lengths = st.integers(1, 700)


@given(lengths)
def test_a_length_is_padded_as_little_as_possible(tokens):
    multiples = range(LENGTHS[-1], 1025, LENGTHS[-1])
    assert padded_length(tokens) == min(n for n in {*LENGTHS, *multiples} if n >= tokens)
    assert padded_length(tokens, (7,)) - tokens in range(7)


@given(st.sampled_from([*LENGTHS, 512]), st.integers(1, 900))
def test_the_last_room_holds_the_longest_result(length, most):
    sizes = decode_lengths(length, most)
    assert sizes == sorted(set(sizes))
    assert len(sizes) in (1, 2)
    assert sizes[-1] >= most
    assert sizes[-1] <= max(most + 31, length + EXTRA_LENGTH)  # not much more than is needed


@pytest.mark.parametrize("length", [*LENGTHS, 512])
def test_sources_of_one_padded_length_have_the_same_rooms(length):
    """With the usual limit; else every batch might be compiled anew."""
    tokens = [n for n in range(1, length + 1) if padded_length(n) == length]
    assert len({tuple(decode_lengths(length, n + EXTRA_LENGTH)) for n in tokens}) == 1


limits, workers = st.sampled_from([None, 1, 8, 32]), st.sampled_from([1, 2, 3])


@given(st.integers(1, 700), st.sampled_from([*LENGTHS, 512]), limits, workers, st.booleans())
def test_batches_have_room_for_all_and_none_is_for_nothing(sentences, length, limit, workers, many):
    sizes = batch_sizes(sentences, length, limit, workers, many)
    assert len(set(sizes)) == 1
    size = sizes[0]
    assert size in BATCHES
    assert size <= (limit or size)
    assert size * length <= POSITIONS or size == 1
    assert sum(sizes) - size < sentences <= sum(sizes)


@given(st.integers(17, 64), st.sampled_from(LENGTHS[:-1]), st.sampled_from([2, 3]))
def test_a_few_dozen_sentences_are_shared_out(sentences, length, workers):
    sizes = batch_sizes(sentences, length, None, workers)
    assert 2 <= len(sizes) <= workers
    assert max(sizes) < 2 * -(-sentences // workers)  # the next size is at most twice the share


@given(st.lists(lengths, max_size=300), limits, workers)
def test_every_sentence_is_in_one_batch_that_holds_it(lengths, limit, workers):
    batches = make_batches(lengths, limit, workers)
    assert sorted(place for *_, places in batches for place in places) == list(range(len(lengths)))
    for size, length, places in batches:
        assert 1 <= len(places) <= size <= (limit or size)
        assert size in BATCHES
        assert all(padded_length(lengths[place]) == length for place in places)
        assert size * length <= POSITIONS or size == 1
    in_order = [lengths[place] for *_, places in batches for place in places]
    assert in_order == sorted(lengths, reverse=True)


def test_few_shapes_are_ever_made():
    shapes = {
        (size, length)
        for count in range(1, 301, 7)
        for size, length, _ in make_batches([1 + 7 * n % 256 for n in range(count)], workers=2)
    }
    assert len(shapes) <= 5 * len(BATCHES)


def test_calls_of_many_sentences_have_at_most_three_sizes_for_a_length():
    shapes = {
        (size, length)
        for count in range(1, 1301, 7)
        for size, length, _ in make_batches([1 + n % 256 for n in range(count)], None, 2, True)
    }
    sizes = {length: sum(other == length for _, other in shapes) for length in LENGTHS}
    assert set(sizes.values()) <= {2, 3}


def test_rows_are_filled_up_to_a_shape():
    array = pad_rows([[5, 6, 7], [], [8]], (5, 3), pad_id=4)
    assert array.dtype == np.int32
    assert array.tolist() == [[5, 6, 7], [4, 4, 4], [8, 4, 4], [4, 4, 4], [4, 4, 4]]
