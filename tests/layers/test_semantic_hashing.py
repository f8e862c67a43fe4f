"""Semantic hashing: bits forwards, the gradient of the saturating sigmoid backwards."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import saturating_sigmoid
from keras_transformer.layers.semantic_hashing import bits_of_code, code_of_bits
from tests.weights import random, randomize

B, M, D, N = 3, 5, 7, 11  # N bits
INPUTS = random(B, M, D, seed=1)


def hashing(**options):
    layer = kt.SemanticHashing(D, N, **{"seed": 3, **options})
    layer.build((B, M, D))
    return randomize(layer, seed=2)


def test_the_sigmoid_saturates_at_the_logarithm_of_11():
    edge = np.log(11)
    x = np.array([-9, -edge - 1e-4, -edge + 1e-2, 0, edge - 1e-2, edge + 1e-4, 9], "float32")
    values = ops.convert_to_numpy(saturating_sigmoid(x))
    assert values[[0, 1]].tolist() == [0, 0]
    assert values[[5, 6]].tolist() == [1, 1]
    assert 0 < values[2] < 0.01 < 0.99 < values[4] < 1
    assert values[3] == 0.5
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = ops.sum(saturating_sigmoid(x))
    inside = 1.2 * np.exp(-x) / (1 + np.exp(-x)) ** 2
    inside[[0, 1, 5, 6]] = 0
    np.testing.assert_allclose(tape.gradient(total, x), inside, atol=1e-6)


def test_bits_forwards_and_the_sigmoid_backwards():
    """Of an example that is discrete; the gradient for the numbers is that of the sigmoid."""
    layer, x = hashing(noise=0.0, discrete_rate=1.0), tf.constant(INPUTS)
    weights = random(B, M, N, seed=4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        bits = layer.soft_bits(x, training=True)
        total = ops.sum(bits * weights)
    found = tape.gradient(total, x)
    assert set(np.unique(bits)) == {0, 1}
    np.testing.assert_array_equal(bits, layer.soft_bits(x))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = ops.sum(saturating_sigmoid(x @ layer.hashing.kernel) * weights)
    np.testing.assert_allclose(found, tape.gradient(total, x), atol=1e-5)
    assert np.abs(found).max() > 0.1


def test_examples_are_discrete_as_often_as_the_rate_says():
    layer = kt.SemanticHashing(D, N, discrete_rate=0.25, seed=3)
    bits = ops.convert_to_numpy(layer.soft_bits(random(4001, 2, D), training=True))
    discrete = np.isin(bits, (0, 1)).all(axis=(1, 2))
    assert 0.22 < discrete.mean() < 0.28
    assert ((bits >= 0) & (bits <= 1)).all()


def test_noise_is_that_of_training():
    layer = hashing()
    np.testing.assert_array_equal(layer(INPUTS), layer(INPUTS))
    first, second = (layer.soft_bits(INPUTS, training=True) for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    quiet = hashing(noise=0.0, discrete_rate=0.0)
    expected = saturating_sigmoid(INPUTS @ ops.convert_to_numpy(quiet.hashing.kernel))
    np.testing.assert_allclose(quiet.soft_bits(INPUTS, training=True), expected, atol=1e-6)


def test_every_code_has_its_bits_and_every_bit_its_code():
    codes = np.arange(2**N)
    bits = ops.convert_to_numpy(bits_of_code(codes, N))
    assert [int("".join(map(str, row[::-1])), 2) for row in bits.tolist()] == codes.tolist()
    np.testing.assert_array_equal(code_of_bits(bits), codes)


def test_a_code_stands_for_what_is_passed_on():
    layer = hashing()
    codes = layer.codes(INPUTS)
    assert tuple(codes.shape) == (B, M)
    np.testing.assert_allclose(layer.embed(codes), layer(INPUTS), atol=1e-6)


def test_zeros_count_as_much_as_ones():
    """The two linear layers of the way back: without that of the zeros, code 0 would carry none."""
    layer = hashing()
    w = {name: ops.convert_to_numpy(getattr(layer, name).kernel)
         for name in ("ones", "zeros", "hidden", "outputs")}  # fmt: skip
    bias = {name: ops.convert_to_numpy(getattr(layer, name).bias) for name in w}
    bits = np.array([0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0], "float32")
    x = bits @ w["ones"] + bias["ones"] + (1 - bits) @ w["zeros"] + bias["zeros"]
    x = np.maximum(np.maximum(x, 0) @ w["hidden"] + bias["hidden"], 0)
    expected = x @ w["outputs"] + bias["outputs"]
    code = np.array([[int(code_of_bits(bits))]])
    np.testing.assert_allclose(layer.embed(code)[0, 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "`bits` must be at least 1 and at most 30. Received: 0"),
        ({"bits": 31}, "Received: 31"),
        ({"bits": 3, "noise": -1}, "`noise` must be at least 0"),
        ({"bits": 3, "discrete_rate": 1.5}, "discrete_rate=1.5"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kt.SemanticHashing(D, **options)


def accuracy(seed, noise, discrete_rate, sigmoid=None, symbols=256, bits=12, steps=1500):
    """Trains an autoencoder of symbols; returns the share that comes back from its bits."""
    keras.utils.set_random_seed(seed)
    embedding = keras.layers.Embedding(symbols, 64, embeddings_initializer="random_normal")
    layer = kt.SemanticHashing(64, bits, noise, discrete_rate, seed=seed)
    top = keras.layers.Dense(symbols)
    ids = tf.range(symbols)[:, None]
    optimizer = keras.optimizers.Adam(3e-3)

    def logits(training):
        if sigmoid is None or not training:
            return top(layer(embedding(ids), training=training))
        return top(layer.embed_bits(sigmoid(layer.hashing(embedding(ids)))))

    logits(False)
    weights = [*embedding.trainable_weights, *layer.trainable_weights, *top.trainable_weights]

    @tf.function(jit_compile=True)
    def step():
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(ids, logits(True), True)
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)

    optimizer.build(weights)
    for _ in range(steps):
        step()
    return float(np.mean(ops.convert_to_numpy(ops.argmax(logits(False), -1)) == ids.numpy()))


@pytest.mark.slow
def test_256_symbols_pass_through_12_bits_only_with_noise():
    """And with half of the examples discrete: what is never rounded need not be near 0 or 1."""
    assert accuracy(0, noise=1.0, discrete_rate=0.5) >= 0.995
    assert accuracy(0, noise=0.0, discrete_rate=0.0) <= 0.95
    assert accuracy(0, noise=0.0, discrete_rate=0.0, sigmoid=ops.sigmoid) <= 0.95
