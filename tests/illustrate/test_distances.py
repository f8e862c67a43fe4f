import numpy as np
import pytest

from keras_transformer.illustrate.distances import (
    biases_figure,
    learned_figure,
    rotary_figure,
    vectors_figure,
)

ANGLES = np.arange(20)[:, None] * np.array([1.0, 0.1, 0.01])
VECTORS = {
    "Layer 0: added to keys": np.arange(10).reshape(5, 2) / 10,
    "Layer 0: added to values": -np.arange(10).reshape(5, 2) / 5,
}
BIASES = {"Layer 0": np.array([[-1.0, 0, 1], [0, 0.25, 0]])}


def test_angles_are_printed_in_degrees():
    figure = rotary_figure(ANGLES)
    np.testing.assert_array_equal(figure.data["angles"], ANGLES)
    for printed in ("57.30°", "114.59°", "5.73°", "0.57°", "pair 2"):
        assert f">{printed}<" in figure.body
    assert "pair 3" not in figure.body
    assert figure.body.count("<image") == 3  # two maps and the scale


def test_vectors_have_a_picture_each_and_one_scale():
    figure = vectors_figure(VECTORS)
    assert figure.body.count("<image") == 3
    assert all(title in figure.body for title in VECTORS)
    assert ">1.8<" in figure.body
    assert ">−1.8<" in figure.body
    assert "2 or more away" in figure.body
    assert "for its value" in figure.body
    assert "The query of a word" not in figure.body


def test_vectors_of_keys_alone_and_what_they_add():
    keys = {title: rows for title, rows in VECTORS.items() if "keys" in title}
    figure = vectors_figure(keys, {"Layer 0: added to scores": np.ones((3, 5))})
    assert "for its value" not in figure.body
    assert "The query of a word" in figure.body
    assert "Layer 0: added to scores" in figure.body
    assert set(figure.data) == {"vectors", "added"}


def test_biases_have_a_row_per_head():
    figure = biases_figure(BIASES)
    np.testing.assert_array_equal(figure.data["biases"]["Layer 0"], BIASES["Layer 0"])
    assert all(label in figure.body for label in ("head", "distance", "Layer 0", ">−1<"))


def test_learned_encodings_that_are_all_zero_can_be_drawn():
    figure = learned_figure(np.zeros((3, 4)))
    assert figure.data["learned"].shape == (3, 4)


@pytest.mark.parametrize(
    ("draw", "numbers"),
    [(rotary_figure, ANGLES), (vectors_figure, VECTORS), (biases_figure, BIASES)],
)
def test_their_text_has_the_pages_colour_and_nothing_of_them_is_random(draw, numbers):
    figure = draw(numbers)
    assert "currentColor" in figure.body
    assert "#123456" not in figure.body
    assert figure.body == draw(numbers).body
