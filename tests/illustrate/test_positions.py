import numpy as np
import pytest

from keras_transformer.illustrate import extraction, positions_figure
from tests import reference


@pytest.fixture(scope="module")
def figure():
    small = {form: rows[:3] for form, rows in extraction.positions_of(4).items()}
    return positions_figure(extraction.positions_of(512, 20), small)


def test_20_positions_of_512_numbers_are_split_down_the_centre(figure):
    rows = figure.data["t2t"]
    assert rows.shape == (20, 512)
    assert np.abs(rows).max() <= 1
    np.testing.assert_array_equal(rows[0], [0] * 256 + [1] * 256)
    np.testing.assert_allclose((rows**2).sum(axis=1), 256, rtol=1e-5)


def test_the_paper_interweaves_the_two_signals(figure):
    np.testing.assert_array_equal(figure.data["paper"][0], [0, 1] * 256)
    assert (np.sort(figure.data["paper"][7]) != np.sort(figure.data["t2t"][7])).any()


def test_the_numbers_of_width_4_are_the_articles_and_are_printed(figure):
    expected = [[0, 0, 1, 1], [0.841471, 0.0001, 0.540302, 1], [0.909297, 0.0002, -0.416147, 1]]
    np.testing.assert_allclose(figure.data["small"]["t2t"], expected, atol=1e-6)
    np.testing.assert_allclose(
        figure.data["small"]["paper"][1], [0.841471, 0.540302, 0.01, 0.99995], atol=1e-6
    )
    for printed in ("0.8415", "0.0001", "0.5403", "0.9093", "0.0002", "−0.4161", "0.0100"):
        assert f">{printed}<" in figure.body


def test_more_positions_go_on_where_fewer_end():
    for form, rows in extraction.positions_of(512, 40).items():
        np.testing.assert_array_equal(rows[:20], extraction.positions_of(512, 20)[form])


@pytest.mark.parametrize("form", ["paper", "t2t"])
def test_they_are_what_the_loops_make(figure, form):
    expected = [reference.position(p, 512, form) for p in range(20)]
    np.testing.assert_allclose(figure.data[form], expected, atol=1e-5)


def test_its_text_has_the_pages_colour_and_nothing_of_it_is_random(figure):
    assert "currentColor" in figure.body
    assert "#123456" not in figure.body
    small = {"t2t": figure.data["small"]["t2t"]}
    assert positions_figure(small).body == positions_figure(small).body


@pytest.mark.parametrize("encodings", [{}, {"learned": np.zeros((2, 4))}])
def test_other_forms_are_refused(encodings):
    with pytest.raises(ValueError, match=r"The forms are t2t, paper. Received: "):
        positions_figure(encodings)
