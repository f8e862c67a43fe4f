"""Noisy top-k gates, beside NumPy and chances that are counted."""

import numpy as np
import pytest
from keras import ops

from keras_transformer.layers.expert_gates import (
    chances,
    dense_gates,
    squared_variation,
    top_k_gates,
)

N, E = 13, 7
LOGITS = np.random.default_rng(3).normal(size=(N, E)).astype("float32")


def gates_of(logits, k):
    return ops.convert_to_numpy(dense_gates(*top_k_gates(ops.array(logits), k), E))


@pytest.mark.parametrize("k", [1, 2, 5, E])
def test_a_softmax_over_the_k_largest_alone(k):
    gates = gates_of(LOGITS, k)
    assert ((gates > 0).sum(axis=1) == k).all()
    np.testing.assert_allclose(gates.sum(axis=1), 1, atol=1e-6)
    for row, logits in zip(gates, LOGITS, strict=True):
        chosen = np.argsort(-logits)[:k]
        expected = np.exp(logits[chosen]) / np.exp(logits[chosen]).sum()
        np.testing.assert_allclose(row[chosen], expected, atol=1e-6)


def test_equal_logits_still_choose_k():
    assert ((gates_of(np.zeros((N, E), "float32"), 3) > 0).sum(axis=1) == 3).all()


@pytest.mark.parametrize("k", [1, 3, E])
def test_chances_are_those_of_noise_drawn_anew(k):
    """For each expert with the noise of the others as it is."""
    generator = np.random.default_rng(5)
    deviations = generator.uniform(0.2, 1.5, size=(1, E))
    noisy = LOGITS[:1] + deviations * generator.normal(size=(1, E))
    found = ops.convert_to_numpy(
        chances(*(ops.array(a.astype("float32")) for a in (LOGITS[:1], noisy, deviations)), k)
    )[0]
    draws = 20_000
    for expert in range(E):
        anew = np.repeat(noisy, draws, axis=0)
        noise = deviations[0, expert] * generator.normal(size=draws)
        anew[:, expert] = LOGITS[0, expert] + noise
        chosen = (np.argsort(-anew, axis=1)[:, :k] == expert).any(axis=1)
        assert chosen.mean() == pytest.approx(found[expert], abs=0.02)


def test_squared_variation():
    loads = np.array([2.0, 3.0, 7.0, 11.0], "float32")
    expected = (loads.std() / loads.mean()) ** 2
    assert float(squared_variation(ops.array(loads))) == pytest.approx(expected, rel=1e-5)
    assert float(squared_variation(ops.zeros(5))) == 0
