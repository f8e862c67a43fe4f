import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import AdditiveAttention, AttentionMask
from tests.weights import array, random, randomize

B, T, S, D, UNITS = 2, 5, 7, 6, 11
QUERY, VALUE = random(B, T, D, seed=1), random(B, S, D, seed=2)
MASK = np.arange(S)[None] < np.array([[7], [3]])


def make(units=UNITS, **options):
    attention = AdditiveAttention(D, units, **options)
    attention.build(QUERY.shape, VALUE.shape)
    return randomize(attention)


def in_loops(attention, query, value, mask):
    """The formula of the paper, one query and one key at a time."""
    w, u, v, out = (array(w).astype("float64") for w in attention.weights)
    outputs, scores = np.zeros(query.shape), np.zeros((*query.shape[:2], value.shape[1]))
    for b, t in np.ndindex(*query.shape[:2]):
        energies = [(np.tanh(query[b, t] @ w + key @ u) @ v).item() for key in value[b]]
        weights = np.where(mask[b], np.exp(energies), 0)
        scores[b, t] = weights / weights.sum()
        outputs[b, t] = scores[b, t] @ value[b] @ out
    return outputs, scores


def test_it_is_the_formula_of_the_paper():
    attention = make()
    assert [tuple(w.shape) for w in attention.weights] == [(6, 11), (6, 11), (11, 1), (6, 6)]
    outputs, scores = attention(
        QUERY, VALUE, attention_mask=MASK[:, None], return_attention_scores=True
    )
    expected, expected_scores = in_loops(attention, QUERY, VALUE, MASK)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(scores[:, 0], expected_scores, atol=1e-5)


def test_the_scores_are_those_of_keras_own_layer():
    """It projects nothing, so that it gets what is projected."""
    attention, theirs = make(), keras.layers.AdditiveAttention()
    query, key = attention.query_projection(QUERY), attention.key_projection(VALUE)
    theirs.build([query.shape, VALUE.shape, key.shape])
    theirs.scale.assign(array(attention.logit_projection.kernel)[:, 0])
    mask = ops.convert_to_tensor(MASK)
    context, expected = theirs(
        [query, ops.convert_to_tensor(VALUE), key],
        mask=[None, mask],
        return_attention_scores=True,
    )
    outputs, scores = attention(
        QUERY, VALUE, attention_mask=AttentionMask(MASK), return_attention_scores=True
    )
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(outputs, attention.output_projection(context), atol=1e-5)


def test_projected_keys_and_values_give_the_same_for_beams_too():
    attention = make(units=None)
    assert attention.units == D
    key_value = attention.project_key_value(VALUE, positions=np.arange(S)[None])
    assert [tuple(one.shape) for one in key_value] == [(B, 1, S, D)] * 2
    options = {"attention_mask": MASK[:, None], "key_positions": np.arange(S)[None]}
    expected = np.array(attention(QUERY, VALUE, attention_mask=MASK[:, None]))
    np.testing.assert_array_equal(attention(QUERY, key_value=key_value, **options), expected)
    beams = attention(QUERY[:, :3], key_value=key_value, positions=np.full((B, 3), 9), **options)
    np.testing.assert_allclose(beams, expected[:, :3], atol=1e-6)


def test_it_attends_to_the_queries_themselves_without_a_value():
    attention = make()
    expected, _ = in_loops(attention, QUERY, QUERY, np.ones((B, T), bool))
    np.testing.assert_allclose(attention(QUERY), expected, atol=1e-5)


def test_scores_are_float32_and_sum_to_1_in_bfloat16():
    attention = make(dtype="mixed_bfloat16")
    query, value = (ops.cast(x, "bfloat16") for x in (QUERY, VALUE))
    options = {"attention_mask": MASK[:, None], "return_attention_scores": True}
    outputs, scores = attention(query, value, **options)
    assert (outputs.dtype.name, scores.dtype.name) == ("bfloat16", "float32")
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1, atol=1e-6)
    assert not np.array(scores)[1, 0, :, 3:].any()
    np.testing.assert_allclose(scores, make()(QUERY, VALUE, **options)[1], atol=0.05)


@pytest.mark.parametrize("block", ["recurrent", "decoder"])
def test_it_is_the_cross_attention_of_blocks(block):
    attention = AdditiveAttention(D, UNITS)
    made = {
        "recurrent": lambda: kt.RecurrentBlock(keras.layers.GRUCell(D), attention),
        "decoder": lambda: kt.DecoderBlock(D, 2, 13, cross_attention=attention),
    }[block]()
    outputs, scores = made(QUERY, VALUE, memory_mask=MASK, return_attention_scores=True)
    assert tuple(outputs.shape) == (B, T, D)
    assert tuple(scores["cross"].shape) == (B, 1, T, S)
    assert not np.array(scores["cross"])[1, 0, :, 3:].any()
    again = type(made).from_config(made.get_config())
    again.build(QUERY.shape, VALUE.shape)
    assert again.cross_attention.units == UNITS
    again.set_weights(made.get_weights())
    np.testing.assert_array_equal(again(QUERY, VALUE, memory_mask=MASK), outputs)


REFUSED = {
    "no width": (lambda: AdditiveAttention(0), "at least 1. Received: d_model=0, units=0"),
    "no units": (lambda: AdditiveAttention(D, 0), "at least 1. Received: d_model=6, units=0"),
    "a padding mask": (
        lambda: make()(QUERY, VALUE, attention_mask=MASK),
        r"must have three axes.*Received: shape \(2, 7\)",
    ),
    "an additive mask": (
        lambda: make()(QUERY, VALUE, attention_mask=np.zeros((B, T, S), "float32")),
        "must be boolean, True = may be attended to.*Received: dtype float32",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case):
    function, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        function()
