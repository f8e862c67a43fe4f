import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer.data.packing import pack_pairs, ranges


def packed(lengths, length, seed=0) -> list[list[int]]:
    rows = pack_pairs(np.array(lengths, np.int32), length, seed)
    return [part.tolist() for part in np.split(rows.pairs, rows.starts[1:-1])]


def one_row_at_a_time(lengths: list[tuple[int, int]], length: int) -> list[list[tuple[int, int]]]:
    """The rule once more, pair by pair: the lengths of the pairs in each row."""
    left, rows = sorted(lengths), []
    while left:
        room, row = [length, length], []
        while fitting := [pair for pair in left if pair[0] <= room[0] and pair[1] <= room[1]]:
            pair = max(fitting, key=lambda pair: pair[0] * room[0] + pair[1] * room[1])
            row.append(pair)
            left.remove(pair)
            room = [room[0] - pair[0], room[1] - pair[1]]
        rows.append(row)
    return rows


LENGTH = 7  # so few kinds of pairs that many are equal
LENGTHS = st.lists(
    st.tuples(st.integers(1, LENGTH), st.integers(1, LENGTH)), min_size=1, max_size=60
)


@given(lengths=LENGTHS, seed=st.integers(0, 5))
@settings(deadline=None)
def test_every_pair_is_in_one_row_and_no_row_overflows(lengths, seed):
    rows = packed(lengths, LENGTH, seed)
    assert sorted(pair for row in rows for pair in row) == list(range(len(lengths)))
    for row in rows:
        assert row
        assert all(sum(lengths[pair][side] for pair in row) <= LENGTH for side in (0, 1))


@given(lengths=LENGTHS)
@settings(deadline=None)
def test_rows_made_at_once_are_those_made_one_by_one(lengths):
    rows = [[lengths[pair] for pair in row] for row in packed(lengths, LENGTH)]
    assert rows == one_row_at_a_time(lengths, LENGTH)


def test_a_pair_goes_where_its_long_side_has_room():
    """After (8, 2) there is room for (3, 9): (3, 5) is the longer pair, (1, 6) the fitter one."""
    assert packed([(8, 2), (3, 5), (1, 6), (2, 3)], length=11) == [[0, 2, 3], [1]]


def test_both_sides_fill_up():
    """Lengths of which both sides could be full."""
    generator = np.random.default_rng(5)
    source = np.clip(generator.lognormal(2.9, 0.5, 20011), 3, 127).astype(int)
    target = np.clip(source + generator.normal(0, 3, len(source)), 1, 127).astype(int)
    lengths = np.stack([source, target], axis=1)
    rows = pack_pairs(lengths, 127)
    sums = np.add.reduceat(lengths[rows.pairs], rows.starts[:-1])
    assert sums.max() <= 127
    assert sums.mean() > 0.97 * 127


@pytest.mark.parametrize("length", [17, 257])
def test_kinds_of_every_length_are_told_apart(length):
    """Also where their numbers no longer fit into one byte, or two."""
    assert packed([(length, length), (length - 7, 1)], length) == [[0], [1]]


def test_the_seed_draws_among_pairs_of_equal_lengths():
    lengths = np.repeat([[5, 7], [11, 2], [3, 3]], 41, axis=0)
    one, same, other = (pack_pairs(lengths, 23, seed) for seed in (3, 3, 4))
    assert np.array_equal(one.pairs, same.pairs)
    assert not np.array_equal(one.pairs, other.pairs)
    assert np.array_equal(lengths[one.pairs], lengths[other.pairs])
    assert np.array_equal(one.starts, other.starts)
    assert any((np.diff(one.pairs[lengths[one.pairs, 0] == 5]) < 0).tolist())


def test_rows_are_selected_in_any_order():
    rows = pack_pairs(np.array([[2, 3], [7, 5], [1, 1], [5, 5], [3, 2]]), 7)
    for chosen in ([2, 0], [1, 1, 0], [0]):
        pairs, counts = rows.select(np.array(chosen))
        parts = [rows.pairs[rows.starts[row] : rows.starts[row + 1]] for row in chosen]
        assert np.array_equal(pairs, np.concatenate(parts))
        assert counts.tolist() == [len(part) for part in parts]


def test_ranges_may_be_empty():
    assert ranges(np.array([3, 11, 0]), np.array([2, 0, 1])).tolist() == [3, 4, 0]


def test_pairs_that_no_row_holds_are_refused():
    lengths = np.array([[3, 12], [11, 11], [17, 2], [4, 4]])
    with pytest.raises(
        ValueError,
        match=r"^Rows of 11 positions must hold every pair\. Received: 2 of 4 pairs that are "
        r"longer, up to 17 positions\. Filter with `max_length=11`, or raise `length`\.$",
    ):
        pack_pairs(lengths, 11)
    assert len(pack_pairs(lengths, 17)) == 3
