"""The article's loss function: six words, and "je suis étudiant" becomes "i am a student"."""

import re

import numpy as np
import pytest

from keras_transformer.illustrate import distributions_figure
from keras_transformer.illustrate.distributions import one_hot
from tests.illustrate.conftest import softmax
from tests.weights import random

WORDS = ["a", "am", "i", "thanks", "student", "<eos>"]
LABELS = [2, 1, 0, 4, 5]


@pytest.fixture(scope="module")
def figure():
    before, after = softmax(random(5, 6)), softmax(5.0 * np.eye(6)[LABELS] + random(5, 6))
    return distributions_figure(LABELS, WORDS, before, after)


def tables(figure):
    """The printed cells of each table: rows of texts."""
    return [
        [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall("<tr><th.*?</tr>", body)]
        for body in re.findall(r"<tbody>(.*?)</tbody>", figure.body, re.DOTALL)
    ]


def test_am_is_one_hot_at_index_1():
    assert one_hot([WORDS.index("am")], 6).tolist() == [[0, 1, 0, 0, 0, 0]]
    assert one_hot([WORDS.index("thanks")], 6).argmax() == 3


def test_the_targets_are_five_by_six(figure):
    assert figure.data["target"].shape == (5, 6)
    assert figure.data["target"].argmax(-1).tolist() == LABELS
    assert figure.data["columns"] == [*range(6)]
    assert [row.index("1.00") for row in tables(figure)[0]] == LABELS


def test_the_distributions_are_the_models_and_no_word_gets_nothing(figure):
    for name in ("before", "after"):
        np.testing.assert_allclose(figure.data[name].sum(axis=-1), 1, atol=1e-6)
        assert (figure.data[name] > 0).all()
    assert figure.data["after"].argmax(-1).tolist() == LABELS
    assert figure.data["after"][4, WORDS.index("<eos>")] > 0.9  # the end is a word like any other
    for name, table in zip(("target", "before", "after"), tables(figure), strict=True):
        for row, printed in zip(figure.data[name], table, strict=True):
            assert printed == [f"{p:.2f}" if p >= 0.005 else "" for p in row]


def test_even_chances_among_six_words_have_the_loss_ln_6():
    even = np.full((5, 6), 1 / 6)
    losses = distributions_figure(LABELS, WORDS, even, even).data["losses"]
    assert all(abs(loss - 1.791759) < 1e-6 for loss in losses.values())


@pytest.mark.parametrize(
    ("size", "loss"), [(10_000, 9.210340), (30_000, 10.308953), (50_000, 10.819778)]
)
def test_even_chances_among_many_words(size, loss):
    words, even = [str(i) for i in range(size)], np.full((1, size), 1 / size)
    figure = distributions_figure([7], words, even, even)
    assert abs(figure.data["losses"]["even"] - loss) < 1e-6
    assert f"{loss:.3f}" in figure.body


def test_training_lowers_the_loss(figure):
    losses = figure.data["losses"]
    expected = -np.log(figure.data["after"][range(5), LABELS]).mean()
    assert abs(losses["after"] - expected) < 1e-9
    assert losses["after"] < losses["before"]
    assert f"loss {losses['before']:.3f}" in figure.body


def test_of_a_large_vocabulary_the_sentences_words_and_the_likeliest_others_are_shown():
    rows = np.full((2, 17), 1 / 17)
    before, after = rows.copy(), rows.copy()
    before[0], after[1] = 0.9 * np.eye(17)[3] + 0.1 / 17, 0.9 * np.eye(17)[11] + 0.1 / 17
    figure = distributions_figure([13, 5], [f"w{i}" for i in range(17)], before, after)
    columns = figure.data["columns"]
    assert columns[:3] == [13, 5, 11]
    assert 3 in columns
    assert len(columns) == 6
    assert "has 17 words" in figure.body


def test_what_is_no_distribution_is_refused():
    with pytest.raises(ValueError, match="`after` must have a distribution of 6"):
        distributions_figure([1], WORDS, np.full((1, 6), 1 / 6), np.full((1, 6), 0.5))
