import itertools

import numpy as np
import pytest

from keras_transformer.data.buckets import choose_corners, first_fit


def positions(corners, lengths) -> int:
    """Positions that the pairs take, each in the smallest corner that holds it, by plain loops."""
    total = 0
    for pair in lengths.tolist():
        total += min(sum(c) for c in corners if c[0] >= pair[0] and c[1] >= pair[1])
    return total


def random_lengths(count: int, longest: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    source = np.minimum(2 + generator.poisson(9, count), longest)
    target = np.clip(source + generator.integers(-2, 5, count), 2, longest)
    return np.stack([source, target], axis=1)


@pytest.mark.parametrize("max_shapes", [1, 2, 5, 8])
def test_every_pair_fits_one_of_few_shapes(max_shapes):
    lengths = random_lengths(1009, 41)
    corners = choose_corners(lengths, max_shapes)
    assert 1 <= len(corners) <= max_shapes
    assert (first_fit(corners, lengths) >= 0).all()
    assert (np.diff(corners.sum(axis=1)) >= 0).all()


def test_one_shape_is_the_longest_of_both_sides():
    assert choose_corners(np.array([[3, 11], [7, 5]]), 1).tolist() == [[7, 11]]


def test_few_distinct_lengths_need_no_padding():
    lengths = np.array([[3, 5], [7, 11], [3, 5], [13, 17]])
    assert choose_corners(lengths, 8).tolist() == [[3, 5], [7, 11], [13, 17]]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_near_the_best_of_all_choices(seed):
    lengths = random_lengths(101, 7, seed)
    sides = [sorted(set(side.tolist())) for side in lengths.T]
    largest = lengths.max(axis=0).tolist()
    candidates = list(itertools.product(*sides))
    best = min(
        positions([*some, largest], lengths) for some in itertools.combinations(candidates, 2)
    )
    found = positions(choose_corners(lengths, 3).tolist(), lengths)
    assert best <= found <= 1.03 * best


def test_first_fit_is_the_first_that_holds_both_sides():
    corners = np.array([[3, 5], [7, 5], [7, 11]])
    lengths = np.array([[3, 5], [4, 5], [3, 6], [1, 1], [8, 1]])
    assert first_fit(corners, lengths).tolist() == [0, 1, 2, 0, -1]


@pytest.mark.parametrize("max_shapes", [0, 65])
def test_the_number_of_shapes_is_checked(max_shapes):
    with pytest.raises(ValueError, match=rf"^`max_shapes` must be .* Received: {max_shapes}$"):
        choose_corners(np.array([[2, 3]]), max_shapes)
