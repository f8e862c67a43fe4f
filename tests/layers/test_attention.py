"""Behaviour that all subclasses of `DotProductAttention` share."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import DotProductAttention

B, H, T, K = 2, 3, 7, 5
ATTENTIONS = {
    "DotProductAttention": lambda: DotProductAttention(),
    "RelativeAttention": lambda: kt.RelativeAttention(2),
    "DistanceBias": lambda: kt.DistanceBias(8, 7),
    "FusedAttention": lambda: kt.FusedAttention(),
    "GridBias": lambda: kt.GridBias((2, 4, 1), (2, 4, 1)),
    "LinearBias": lambda: kt.LinearBias(),
    "LocalAttention": lambda: kt.LocalAttention(2),
    "LocalAttention2D": lambda: kt.LocalAttention2D((3, 5), (2, 2), (1, 1)),
}


def test_no_attention_is_missing():
    classes = {
        name
        for name in dir(kt.layers)
        if isinstance(one := getattr(kt.layers, name), type)
        and issubclass(one, DotProductAttention)
    }
    assert classes == {*ATTENTIONS}


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("scores_asked_for", [False, True])
def test_what_drops_scores_is_applied_to_what_weighs_the_values(name, scores_asked_for):
    """The other half of the scores twice as large: outputs of two such halves add up to twice."""
    attention = ATTENTIONS[name]()
    q, k, v = (keras.random.normal((B, H, T, K), seed=seed) for seed in (1, 2, 3))
    half = ops.array(np.random.default_rng(4).integers(0, 2, T), "float32")
    options = {"return_attention_scores": True} if scores_asked_for else {}

    def outputs_and_scores(dropout):
        outputs = attention(q, k, v, dropout=dropout, **options)
        return outputs if scores_asked_for else (outputs, None)

    def keep_half(x):
        return x * 2 * half[: x.shape[-1]]

    def keep_others(x):
        return x * 2 * (1 - half[: x.shape[-1]])

    whole, expected = outputs_and_scores(None)
    halves = [outputs_and_scores(dropout) for dropout in (keep_half, keep_others)]
    assert np.abs(halves[0][0] - whole).max() > 1e-2
    np.testing.assert_allclose(halves[0][0] + halves[1][0], 2 * whole, atol=1e-5)
    if scores_asked_for:
        for _, scores in halves:
            np.testing.assert_array_equal(scores, expected)
