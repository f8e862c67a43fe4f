"""The discretized mixture of logistics: a distribution, whose samples follow it."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transformer as kt

LEVELS, M = 5, 3


def parameters(count, size, seed=1, spread=2.0):
    return np.random.default_rng(seed).normal(0, spread, (count, size)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def probability(values, given, loss):
    """Of one pixel, by the integral of each component, in float64."""
    C, M, given = loss.channels, loss.num_mixtures, np.asarray(given, "float64")
    weights = np.exp(given[:M]) / np.exp(given[:M]).sum()
    kinds = given[M:].reshape(-1, M)
    x = [2 * value / (loss.num_levels - 1) - 1 for value in values]
    width, total = 2 / (loss.num_levels - 1), 0.0
    for m in range(M):
        means, scales = kinds[:C, m].copy(), np.exp(np.maximum(kinds[C : 2 * C, m], -7))
        if C == 3:
            c = np.tanh(kinds[6:9, m])
            means[1] += c[0] * x[0]
            means[2] += c[1] * x[0] + c[2] * x[1]
        product = weights[m]
        for value, place, mean, scale in zip(values, x, means, scales, strict=True):
            below = 0.0 if value == 0 else sigmoid((place - width / 2 - mean) / scale)
            last = value == loss.num_levels - 1
            above = 1.0 if last else sigmoid((place + width / 2 - mean) / scale)
            product *= above - below
        total += product
    return total


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_integral_of_its_components(channels):
    loss = kt.DiscretizedLogisticMixture(channels, M, LEVELS)
    given = parameters(7, loss.num_parameters)
    values = np.random.default_rng(2).integers(0, LEVELS, (7, channels))
    found = np.exp(loss.log_probs(values, given))
    wanted = [probability(v, p, loss) for v, p in zip(values, given, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("log_scale", [None, -7.0, -30.0, 3.0])
def test_all_256_intensities_add_up_to_one(log_scale):
    """Also with scales as small as can be, and with means beyond the intensities."""
    loss = kt.DiscretizedLogisticMixture(channels=1)
    given = parameters(11, loss.num_parameters)
    if log_scale is not None:
        given[:, 20:] = log_scale
    total = sum(np.exp(loss.log_probs(np.full((11, 1), v), given)) for v in range(256))
    np.testing.assert_allclose(total, 1.0, atol=1e-4)


def test_all_colours_add_up_to_one():
    loss = kt.DiscretizedLogisticMixture(3, M, LEVELS)
    given = parameters(5, loss.num_parameters)
    colours = itertools.product(range(LEVELS), repeat=3)
    total = sum(np.exp(loss.log_probs(np.array([colour] * 5), given)) for colour in colours)
    np.testing.assert_allclose(total, 1.0, atol=1e-4)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("mean", [-5.0, 0.0, 5.0])
def test_gradients_are_finite_everywhere(value, mean):
    loss = kt.DiscretizedLogisticMixture()
    given = parameters(9, loss.num_parameters, spread=1.0)
    given[:, 10:40] += mean
    given[:4, 40:70] = -9.0
    given = tf.constant(given)
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = loss.log_probs(np.full((9, 3), value), given)
    gradient = tape.gradient(found, given).numpy()
    assert np.isfinite(found.numpy()).all()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_follow_it(channels):
    loss = kt.DiscretizedLogisticMixture(channels, 2, 3)
    given, count = parameters(1, loss.num_parameters, spread=1.0), 40_000
    drawn = np.array(loss.sample(np.repeat(given, count, axis=0), seed=3))
    assert drawn.shape == (count, channels)
    for values in itertools.product(range(3), repeat=channels):
        wanted = float(np.exp(loss.log_probs(np.array([values]), given))[0])
        share = (drawn == values).all(axis=-1).mean()
        assert abs(share - wanted) < 4 * (wanted * (1 - wanted) / count) ** 0.5 + 1e-4


def test_cold_samples_are_the_means_of_the_likeliest_component():
    loss = kt.DiscretizedLogisticMixture(channels=1, num_mixtures=2)
    given = np.array([[0.0, 3.0, -0.5, 0.25, -1.0, -1.0]], "float32")
    drawn = loss.sample(np.repeat(given, 9, axis=0), seed=1, temperature=1e-3)
    assert set(np.array(drawn).ravel().tolist()) == {round(1.25 / 2 * 255)}


def test_the_loss_is_the_mean_over_intensities():
    loss = kt.DiscretizedLogisticMixture(3, M, LEVELS)
    given = parameters(8, loss.num_parameters).reshape(2, 4, -1)
    values = np.random.default_rng(4).integers(0, LEVELS, (2, 4, 3))
    log_probs = np.array(loss.log_probs(values, given))
    np.testing.assert_allclose(loss(values, given), -log_probs.mean() / 3, rtol=1e-5)
    weighted = loss(values, given, sample_weight=np.array([1.0, 0.0]))
    np.testing.assert_allclose(weighted, -log_probs[0].mean() / 3, rtol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_allclose(again(values, given), loss(values, given))


@pytest.mark.parametrize("options", [{"channels": 2}, {"num_mixtures": 0}, {"num_levels": 1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="`channels` must be 1 or 3, `num_mixtures` at least 1"):
        kt.DiscretizedLogisticMixture(**options)
