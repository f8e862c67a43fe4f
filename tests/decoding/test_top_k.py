"""The greatest numbers are those of a sort, with places that say where they stand."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_transformer.decoding.top_k import top_k_two_stage

# Sizes below and above that from which columns are folded, multiples of 32 or not.
SIZES = [(1, 1), (7, 7), (31, 3), (96, 1), (97, 1), (128, 1), (640, 5), (641, 5), (1009, 8)]
SIZES += [(1009, 7), (1009, 9), (1024, 8), (1025, 1), (2017, 61), (4003, 31), (4096, 32)]


def assert_greatest(x, count, found=None):
    numbers, places = map(
        ops.convert_to_numpy, found or top_k_two_stage(ops.convert_to_tensor(x), count)
    )
    assert numbers.shape == places.shape == (*x.shape[:-1], count)
    assert (numbers.dtype, places.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(numbers, -np.sort(-x, axis=-1)[..., :count])
    assert (places >= 0).all()
    assert (places < x.shape[-1]).all()
    np.testing.assert_array_equal(np.take_along_axis(x, places, axis=-1), numbers)
    assert (np.diff(np.sort(places, axis=-1), axis=-1) > 0).all()  # no place twice


def normal(*shape):
    return np.random.default_rng(5).normal(size=shape).astype("float32")


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)], ids=str)
@pytest.mark.parametrize(("size", "count"), SIZES)
def test_they_are_those_of_a_sort(size, count, batch):
    x = normal(*batch, size)
    assert_greatest(x, count)
    order = np.argsort(-x, axis=-1)[..., :count]
    np.testing.assert_array_equal(top_k_two_stage(ops.convert_to_tensor(x), count)[1], order)


@pytest.mark.parametrize(("size", "count"), SIZES)
@pytest.mark.parametrize("kinds", [1, 2, 7])
def test_of_equal_numbers_any_come_but_none_twice(size, count, kinds):
    assert_greatest(np.floor(normal(5, size) * 3) % kinds, count)


@pytest.mark.parametrize(("size", "count"), SIZES)
@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
def test_what_is_impossible_comes_last_and_has_a_place(size, count, share):
    """Also where it is all there is: what was filled up is in no place."""
    x = normal(5, size)
    x[np.random.default_rng(1).random((5, size)) < share] = -np.inf
    assert_greatest(x, count)


@pytest.mark.parametrize("where", ["one column", "one row", "the end"])
def test_they_may_stand_close_together(where):
    x = normal(3, 1009)
    places = {
        "one column": slice(5, None, 32),
        "one row": slice(7, 21),
        "the end": slice(-14, 1009),
    }
    x[:, places[where]] += 10
    assert_greatest(x, 8)


@given(st.data(), st.integers(1, 1300), st.integers(0, 9999))
@settings(max_examples=40, deadline=None)
def test_they_are_those_of_a_sort_for_any_size(data, size, seed):
    count = data.draw(st.integers(1, min(size, 40)))
    generator = np.random.default_rng(seed)
    kinds = data.draw(st.sampled_from([2, 50, 10**6]))
    assert_greatest(generator.integers(-kinds, kinds, (2, size)).astype("float32"), count)


@pytest.mark.parametrize(("size", "count"), [(31, 3), (1009, 8), (4003, 5)])
def test_xla_finds_the_same(size, count):
    compiled = tf.function(lambda x: top_k_two_stage(x, count), jit_compile=True, autograph=False)
    equal = np.floor(normal(5, size) * 3)
    hardly_any = np.where(normal(5, size) > 2.5, normal(5, size), -np.inf).astype("float32")
    for x in (normal(5, size), equal, hardly_any):
        assert_greatest(x, count, compiled(x))


def test_thousands_are_never_sorted_as_a_whole(monkeypatch):
    sizes, top_k = [], ops.top_k
    monkeypatch.setattr(ops, "top_k", lambda x, k: sizes.append(x.shape[-1]) or top_k(x, k))
    assert_greatest(normal(3, 8192), 8)
    assert sizes
    assert max(sizes) < 8192 / 16
