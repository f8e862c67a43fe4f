from hypothesis import given
from hypothesis import strategies as st

from keras_transformer.decoding.shapes import BATCHES, POSITIONS, make_batches, source_length


@given(st.lists(st.integers(1, 700), max_size=300))
def test_every_sentence_is_in_one_batch_that_holds_it(lengths):
    batches = make_batches(lengths)
    assert sorted(place for *_, places in batches for place in places) == list(range(len(lengths)))
    for size, length, places in batches:
        assert 1 <= len(places) <= size
        assert size in BATCHES
        assert all(source_length(lengths[place]) == length >= lengths[place] for place in places)
        assert size * length <= POSITIONS or size == 1


def test_few_shapes_are_ever_made():
    shapes = {
        (size, length)
        for count in range(1, 301, 7)
        for size, length, _ in make_batches([1 + 7 * n % 256 for n in range(count)])
    }
    assert len(shapes) <= 5 * len(BATCHES)
