"""The fused attention is the plain one: outputs and gradients, of masks in any form."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import AttentionMask, DotProductAttention, FusedAttention
from tests.weights import random

B, H, T, S, K = 2, 6, 9, 11, 3
SEGMENTS = np.array([[1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 0], [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2]])
MASKS = {
    "none": None,
    "padding": np.arange(S) < np.array([[4], [11]]),
    "all hidden": np.zeros((B, S), "bool"),
    "rows": random(B, T, S, seed=8) > 0.3,
    "rows of all": random(1, T, S, seed=9) > 0.3,
    "packed": AttentionMask(None, SEGMENTS[:, :T], SEGMENTS),
    "causal": AttentionMask(causal=True),
}


def inputs(heads=H, keys=S):
    return random(B, H, T, K), random(B, heads, keys, K, seed=2), random(B, heads, keys, K, seed=3)


@pytest.mark.parametrize("heads", [H, 2, 1])
@pytest.mark.parametrize("mask", MASKS)
def test_outputs_are_those_of_the_plain_one(mask, heads):
    given = inputs(heads, T if mask == "causal" else S)
    plain, fused = (
        layer()(*given, attention_mask=MASKS[mask])
        for layer in (DotProductAttention, FusedAttention)
    )
    np.testing.assert_allclose(fused, plain, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses tf.GradientTape")
def test_gradients_are_those_of_the_plain_one():
    import tensorflow as tf

    found = []
    for layer in (DotProductAttention, FusedAttention):
        given = [ops.convert_to_tensor(one) for one in inputs(heads=2)]
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = ops.sum(layer()(*given, attention_mask=MASKS["rows"]) ** 3)
        found.append(tape.gradient(loss, given))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_scores_and_dropout_are_those_of_the_plain_one():
    given, drop = inputs(), lambda scores: scores * ops.cast(scores > 0.15, scores.dtype)
    for options in ({"return_attention_scores": True}, {"dropout": drop}):
        results = [
            layer()(*given, attention_mask=MASKS["padding"], **options)
            for layer in (DotProductAttention, FusedAttention)
        ]
        for one, other in zip(*map(keras.tree.flatten, results), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("backend", "device", "keys", "asked"),
    [
        ("jax", "gpu:0", 10, [None]),
        ("jax", "cuda:0", 10, [None]),
        ("jax", "gpu:0", S, [False]),  # an odd number
        ("jax", "cpu:0", 10, [False]),
        ("jax", "tpu:0", 10, [False]),
        ("tensorflow", "gpu:0", 10, [False]),
    ],
)
def test_the_kernel_is_chosen_where_it_is(monkeypatch, backend, device, keys, asked):
    found = []

    def record(query, key, value, mask, flash_attention):
        found.append(flash_attention)
        return query

    query, key, value = random(B, H, 8, K), random(B, H, keys, K), random(B, H, keys, K)
    layer = FusedAttention()
    monkeypatch.setattr(ops, "dot_product_attention", record)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: [device])
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    layer.call(query, key, value)
    assert found == asked


def test_few_queries_are_attended_to_as_usual(monkeypatch):
    monkeypatch.setattr(ops, "dot_product_attention", None)
    query, key, value = random(B, H, 7, K), random(B, H, S, K), random(B, H, S, K)
    expected = DotProductAttention()(query, key, value)
    np.testing.assert_array_equal(FusedAttention()(query, key, value), expected)
