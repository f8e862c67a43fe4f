import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_transformer.decoding.hypotheses import Hypotheses, length_normalizer, take_rows, where
from tests import reference

B, N, L = 3, 5, 7


def made(first):
    """Hypotheses of which every number is another."""
    numbers = np.arange(first, first + B * N * L, dtype="float32")
    ids = numbers.reshape(B, N, L).astype("int32")
    return Hypotheses(ids, *(numbers[i * 15 : i * 15 + 15].reshape(B, N) for i in (1, 2, 3)))


@pytest.mark.parametrize(
    ("n", "normalizer"), [(1, 1.0), (5, 1.358655), (10, 1.732862), (20, 2.354362), (50, 3.778565)]
)
def test_the_normalizers_of_the_papers_penalty(n, normalizer):
    assert float(length_normalizer(n, 0.6)) == pytest.approx(normalizer, abs=1e-6)


@given(st.lists(st.integers(0, 500), min_size=1), st.floats(0, 3))
def test_the_normalizer_is_its_formula(lengths, penalty):
    found = ops.convert_to_numpy(length_normalizer(np.array(lengths), penalty))
    assert found.dtype == np.float32
    wanted = [reference.length_normalizer(n, penalty) for n in lengths]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_without_a_penalty_nothing_is_normalized():
    np.testing.assert_array_equal(length_normalizer(np.arange(97), 0), 1)


@pytest.mark.parametrize("count", [1, 2, 5, 11])
def test_rows_are_taken_within_their_sentence(count):
    rows, order = made(7), np.random.default_rng(3).integers(0, N, (B, count)).astype("int32")
    taken = take_rows(rows, ops.convert_to_tensor(order))
    assert type(taken) is Hypotheses
    assert tuple(taken.ids.shape) == (B, count, L)
    for one, other in zip(taken, rows, strict=True):
        for b in range(B):
            for m in range(count):
                np.testing.assert_array_equal(one[b, m], other[b, order[b, m]])


@pytest.mark.parametrize("condition", [[True, False, True], [False] * 3, [True] * 3])
def test_each_sentence_has_the_one_or_the_other(condition):
    rows, others = made(7), made(211)
    chosen = where(ops.convert_to_tensor(condition), rows, others)
    assert type(chosen) is Hypotheses
    for found, one, other in zip(chosen, rows, others, strict=True):
        for b in range(B):
            np.testing.assert_array_equal(found[b], one[b] if condition[b] else other[b])
