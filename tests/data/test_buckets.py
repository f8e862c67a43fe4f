import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer.data.buckets import make_buckets


@given(
    st.lists(st.tuples(st.integers(2, 29), st.integers(2, 31)), min_size=1, max_size=97),
    st.integers(31, 307),
    st.integers(1, 8),
)
@settings(max_examples=100, deadline=None)
def test_every_pair_is_in_one_bucket_that_holds_it(lengths, tokens_per_batch, max_shapes):
    lengths = np.array(lengths)
    buckets = make_buckets(lengths, tokens_per_batch, max_shapes)
    assert 1 <= len(buckets) <= max_shapes
    assert sorted(np.concatenate([bucket.pairs for bucket in buckets])) == list(range(len(lengths)))
    for (size, source_length, target_length), pairs in buckets:
        assert (lengths[pairs] <= [source_length, target_length]).all()
        assert size * max(source_length, target_length) <= tokens_per_batch
        assert 1 <= size <= len(pairs)
        assert size < 8 or size % 8 == 0


def test_batches_use_their_budget():
    lengths = np.array([[5, 7]] * 103 + [[11, 13]] * 101)
    sizes = [shape.batch_size for shape, _ in make_buckets(lengths, 300, 2)]
    assert sizes == [300 // 7 // 8 * 8, 300 // 13 // 8 * 8]
    sizes = [shape.batch_size for shape, _ in make_buckets(lengths, 300, 2, batch_multiple=1)]
    assert sizes == [300 // 7, 300 // 13]


def test_a_rare_long_pair_shares_its_batch_with_the_longest_others():
    lengths = np.array([[2, 3]] * 201 + [[5, 7]] * 101 + [[31, 37]])
    buckets = make_buckets(lengths, 300, 3)
    assert [tuple(bucket.shape) for bucket in buckets] == [(96, 2, 3), (40, 5, 7), (8, 31, 37)]
    assert [len(bucket.pairs) for bucket in buckets] == [201, 94, 8]
    assert buckets[2].pairs.tolist() == [*range(201, 208), 302]


@given(
    st.lists(st.tuples(st.integers(2, 29), st.integers(2, 31)), min_size=1, max_size=97),
    st.integers(31, 307),
    st.integers(1, 8),
    st.integers(1, 6),
)
@settings(max_examples=100, deadline=None)
def test_every_batch_splits_into_equal_parts(lengths, budget, max_shapes, parts):
    lengths = np.array(lengths)
    if lengths.max() * parts > budget:
        with pytest.raises(ValueError, match="must hold"):
            make_buckets(lengths, budget, max_shapes, parts=parts)
        return
    buckets = make_buckets(lengths, budget, max_shapes, parts=parts)
    assert sorted(np.concatenate([bucket.pairs for bucket in buckets])) == list(range(len(lengths)))
    for (size, source_length, target_length), _ in buckets:
        assert size % parts == 0
        assert size * max(source_length, target_length) <= budget


def test_parts_that_the_budget_cannot_hold_are_an_error():
    with pytest.raises(
        ValueError, match=r"split into 3 equal parts\. Received: 158\. Raise it to 159,"
    ):
        make_buckets(np.array([[7, 53]]), 158, 8, parts=3)
    assert make_buckets(np.array([[7, 53]]), 159, 8, parts=3)[0].shape == (3, 7, 53)


@pytest.mark.parametrize("name", ["batch_multiple", "parts"])
def test_batches_of_no_rows_are_refused(name):
    with pytest.raises(ValueError, match=f"must be at least 1. Received: .*{name}=0"):
        make_buckets(np.array([[7, 5]]), 100, 2, **{name: 0})


def test_few_pairs_make_small_batches():
    buckets = make_buckets(np.array([[2, 3], [5, 7], [3, 2]]), 4096, 8)
    assert [(tuple(shape), pairs.tolist()) for shape, pairs in buckets] == [((3, 5, 7), [0, 1, 2])]


def test_a_sentence_beyond_the_budget_is_an_error():
    with pytest.raises(
        ValueError, match=r"^`tokens_per_batch` must hold the longest sentence, 53 p"
    ):
        make_buckets(np.array([[7, 53]]), 52, 8)
