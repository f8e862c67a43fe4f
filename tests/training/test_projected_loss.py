"""The loss without logits against the loss of logits."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import keras_transformer as kt
from keras_transformer.training.projected_loss import logit_statistics, projected_cross_entropy
from tests.conftest import QUICK_TO_COMPILE, ROOT

B, V, D = 3, 11, 5


def make_batch(length):
    generator = np.random.default_rng(length)
    labels = generator.integers(0, V, (B, length)).astype("int32")
    hidden, vectors = generator.normal(0, 2, (B, length, D)), generator.normal(0, 2, (V, D))
    weights = generator.integers(0, 3, (B, length))
    return labels, *(values.astype("float32") for values in (hidden, vectors, weights))


def with_gradients(function, *values):
    """The sum that a function returns, what else it does, and the gradients of 3 times the sum."""
    values = [tf.constant(value) for value in values]
    with tf.GradientTape() as tape:
        tape.watch(values)
        total, others = function(*values)
        result = 3.0 * total
    return total, others, tape.gradient(result, values)


def from_logits(labels, weights, eps):
    def total(hidden, vectors):
        logits = tf.matmul(hidden, vectors, transpose_b=True)
        losses = kt.smoothed_cross_entropy(labels, logits, eps)
        return tf.reduce_sum(losses * weights), logit_statistics(labels, logits)

    return total


def close(one, other):
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("eps", [0.0, 0.1])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 13])
def test_it_is_the_loss_of_the_logits_with_its_gradients(length, eps):
    labels, hidden, vectors, weights = make_batch(length)

    def projected(hidden, vectors):
        return projected_cross_entropy(labels, hidden, vectors, weights, eps)

    total, statistics, gradients = with_gradients(projected, hidden, vectors)
    wanted, wanted_facts, wanted_gradients = with_gradients(
        from_logits(labels, weights, eps), hidden, vectors
    )
    close(total, wanted)
    for one, other in zip(
        (*statistics, *gradients), (*wanted_facts, *wanted_gradients), strict=True
    ):
        close(one, other)


@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_large_logits_do_not_overflow(scale):
    labels, hidden, vectors, weights = make_batch(7)

    def projected(hidden, vectors):
        return projected_cross_entropy(labels, hidden, vectors, weights, 0.1)

    total, _, gradients = with_gradients(projected, scale * hidden, vectors)
    wanted, *_ = with_gradients(from_logits(labels, weights, 0.1), scale * hidden, vectors)
    np.testing.assert_allclose(total, wanted, rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_lengths_may_be_unknown_until_it_runs(compiled):
    @tf.function(
        jit_compile=compiled,
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            tf.TensorSpec((None, None, D)),
            tf.TensorSpec((V, D)),
            tf.TensorSpec((None, None)),
        ],
    )
    def projected(*arguments):
        return projected_cross_entropy(*arguments, 0.1)

    for length in (2, 7):
        labels, hidden, vectors, weights = make_batch(length)
        total, statistics = projected(labels, hidden, vectors, weights)
        wanted, wanted_facts = from_logits(labels, weights, 0.1)(hidden, vectors)
        close(total, wanted)
        for one, other in zip(statistics, wanted_facts, strict=True):
            close(one, other)


def test_metrics_learn_the_same_from_facts_as_from_logits():
    labels, hidden, vectors, _ = make_batch(7)
    logits = hidden @ vectors.T
    for make in (kt.TokenAccuracy, kt.Perplexity):
        one, other = make(), make()
        one.update_from_statistics(labels, logit_statistics(labels, logits))
        other.update_state(labels, logits)
        assert float(one.result()) == float(other.result())


ON_JAX = """
import sys
import jax, numpy as np
import keras_transformer as kt
from keras_transformer.training.projected_loss import projected_cross_entropy

labels, hidden, vectors, weights = np.load(sys.argv[1]).values()

def projected(hidden, vectors):
    return 3.0 * projected_cross_entropy(labels, hidden, vectors, weights, 0.1)[0]

def from_logits(hidden, vectors):
    losses = kt.smoothed_cross_entropy(labels, hidden @ vectors.T, 0.1)
    return 3.0 * (losses * weights).sum()

for take in (lambda f: f, jax.jit):
    gradients = [jax.value_and_grad(f, argnums=(0, 1)) for f in (projected, from_logits)]
    found, wanted = (take(gradient)(hidden, vectors) for gradient in gradients)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
"""


@pytest.mark.slow
def test_the_same_on_jax(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed")
    np.savez(tmp_path / "batch.npz", *make_batch(7))
    subprocess.run(
        [sys.executable, "-W", "error", "-c", ON_JAX, str(tmp_path / "batch.npz")],
        cwd=ROOT,
        env={
            **{"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PATH": ""},
            "XLA_FLAGS": QUICK_TO_COMPILE,
        },
        check=True,
    )
