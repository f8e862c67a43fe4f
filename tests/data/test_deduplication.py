import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from keras_transformer.data.deduplication import HashSet, pair_hashes


@given(st.lists(st.lists(st.integers(0, 23), max_size=13), max_size=17))
def test_it_is_a_set(chunks):
    seen, reference = HashSet(), set()
    for chunk in chunks:
        expected = []
        for number in chunk:
            expected.append(number not in reference)
            reference.add(number)
        assert seen.add(np.array(chunk, np.uint64)).tolist() == expected


def test_it_holds_few_arrays_and_eight_bytes_a_hash():
    seen = HashSet()
    generator = np.random.default_rng(0)
    for _ in range(211):
        assert seen.add(generator.integers(0, 2**64, 101, np.uint64)).all()
    assert len(seen._arrays) <= 16
    assert sum(array.nbytes for array in seen._arrays) == 8 * 211 * 101


def test_pairs_that_differ_have_different_hashes():
    pairs = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", ""), ("1 a", "b"), ("a\ud800", "")]
    hashes = pair_hashes(pairs)
    assert hashes.dtype == np.uint64
    assert len(set(hashes.tolist())) == len(pairs)
    assert pair_hashes(pairs[2:3])[0] == hashes[2]
