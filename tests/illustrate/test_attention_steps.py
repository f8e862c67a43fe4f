import math
import re

import numpy as np
import pytest

from keras_transformer import dot_product_attention
from keras_transformer.illustrate import attention_steps_figure, six_steps
from tests import reference
from tests.weights import array, random

WORDS = ["Thinking", "Machines"]
# The article's: q1 . k1 = 112 and q1 . k2 = 96, with 64 numbers each.
QUERIES = np.array([[2.0] * 64, [1.0] * 64])
KEYS = np.array([[0.875] * 64, [0.75] * 64])
VALUES = random(2, 64).astype("float64")


@pytest.fixture(scope="module")
def thinking():
    return attention_steps_figure(WORDS, QUERIES, KEYS, VALUES, token=0)


def text_of(figure):
    return " ".join(re.sub("<[^>]*>", " ", figure.body).split())


def test_the_scores_are_112_and_96_divided_by_8_14_and_12(thinking):
    assert thinking.data["scores"].tolist() == [112, 96]
    assert thinking.data["scaled"].tolist() == [14, 12]
    assert len(thinking.data["query"]) == 64
    assert "divided by 8" in text_of(thinking)


def test_the_softmax_is_088_and_012_and_adds_up_to_1(thinking):
    np.testing.assert_allclose(thinking.data["softmax"], [0.880797, 0.119203], atol=1e-6)
    assert abs(thinking.data["softmax"].sum() - 1) < 1e-12


def test_the_output_is_088_of_one_value_and_012_of_the_other(thinking):
    expected = 0.8807970779778823 * VALUES[0] + 0.1192029220221176 * VALUES[1]
    np.testing.assert_allclose(thinking.data["output"], expected, rtol=1e-12)
    np.testing.assert_allclose(thinking.data["weighted"].sum(axis=0), expected, rtol=1e-12)


def test_a_word_that_does_not_matter_is_drowned():
    steps = six_steps(QUERIES[0], np.vstack([KEYS, np.zeros(64)]), random(3, 64))
    assert steps["softmax"][2] < 0.001
    assert np.abs(steps["weighted"][2]).max() < 0.001


def test_the_numbers_are_printed(thinking):
    text = text_of(thinking)
    for row in ("Thinking", "Machines"):
        assert row in text
    for printed in ("112.00 14.00 0.88", "96.00 12.00 0.12"):
        assert printed in text


def test_rows_of_the_matrices_are_what_the_steps_give_word_by_word():
    """Equal to the loops, and X of 2 x 4 times 4 x 3 gives Q, K and V of 2 x 3."""
    X = random(2, 4)
    Q, K, V = (X @ random(4, 3, seed=seed) for seed in (1, 2, 3))
    data = attention_steps_figure(WORDS, Q, K, V, token=1, inputs=X).data
    assert data["X"].shape == (2, 4)
    assert data["Q"].shape == data["K"].shape == data["V"].shape == data["Z"].shape == (2, 3)
    Z, weights = reference.attention(Q, K, V)
    np.testing.assert_allclose(data["Z"], Z, atol=1e-6)
    np.testing.assert_allclose(data["weights"], weights, atol=1e-6)
    np.testing.assert_array_equal(data["Z"][1], data["output"])
    np.testing.assert_allclose(data["scaled"] * math.sqrt(3), data["scores"])  # 3 wide: not 8


def test_a_sentence_starts_with_a_capital_whatever_is_shown():
    rows = np.eye(3, 5)
    bodies = [
        attention_steps_figure("abc", rows, rows, rows, 0, inputs).body for inputs in (None, rows)
    ]
    assert "with one row per word. Row by row," in bodies[0]
    assert "gives Q, K and V; row by row," in bodies[1]


def test_it_is_the_layers_attention():
    Q, K, V = (random(1, 1, 5, 7, seed=seed) for seed in (1, 2, 3))
    output, scores = dot_product_attention(Q, K, V)
    steps = six_steps(Q[0, 0, 2], K[0, 0], V[0, 0])
    np.testing.assert_allclose(steps["softmax"], array(scores)[0, 0, 2], atol=1e-6)
    np.testing.assert_allclose(steps["output"], array(output)[0, 0, 2], atol=1e-6)


@pytest.mark.parametrize("token", [-1, 2])
def test_a_token_that_is_not_there_is_refused(token):
    with pytest.raises(ValueError, match=f"index of one of the 2 tokens.*token={token}"):
        attention_steps_figure(WORDS, QUERIES, KEYS, VALUES, token)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"Received: \(64,\), \(2, 63\) and \(2, 64\)"):
        six_steps(QUERIES[0], KEYS[:, :63], VALUES)
