import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer import Perplexity, TokenAccuracy, TokenCrossEntropy, smoothed_cross_entropy
from keras_transformer.training.cross_entropy import smoothed_entropy

B, T, V = 3, 5, 7


def written_out(labels, logits, eps):
    """The same in float64, with every smoothed label written out."""
    logits = np.asarray(logits, "float64")
    V = logits.shape[-1]
    log_probs = logits - logits.max(-1, keepdims=True)
    log_probs -= np.log(np.exp(log_probs).sum(-1, keepdims=True))
    wanted = np.full(logits.shape, eps / (V - 1))
    np.put_along_axis(wanted, np.asarray(labels)[..., None], 1 - eps, axis=-1)
    entropy = -(wanted * np.log(wanted + 1e-20)).sum(-1)
    return -(wanted * log_probs).sum(-1) - entropy


def gradient(function, values):
    """By automatic differentiation, where what is written by hand counts."""
    x = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = function(x)
    return tape.gradient(result, x).numpy()


@pytest.fixture
def batch():
    generator = np.random.default_rng(11)
    labels = generator.integers(1, V, (B, T)).astype("int32")
    return labels, generator.normal(0, 3, (B, T, V)).astype("float32")


def perfect_logits(label, vocabulary_size, eps):
    probabilities = np.full(vocabulary_size, eps / (vocabulary_size - 1))
    probabilities[label] = 1 - eps
    return np.log(probabilities)[None, None].astype("float32")


@pytest.mark.parametrize(
    ("vocabulary_size", "constant"),
    [(37000, 1.376948), (32000, 1.362429), (10000, 1.246107), (6, 0.486027)],
)
def test_the_constant_is_that_of_tensor2tensor(vocabulary_size, constant):
    assert smoothed_entropy(vocabulary_size, 0.1) == pytest.approx(constant, abs=5e-7)
    assert smoothed_entropy(vocabulary_size, 0.0) == 0


@pytest.mark.parametrize("vocabulary_size", [6, 37, 37003])
def test_an_untrained_model_loses_the_logarithm_of_the_vocabulary(vocabulary_size):
    uniform = np.zeros((2, 3, vocabulary_size), "float32")
    loss = smoothed_cross_entropy(np.array([[1, 2, 3], [4, 5, 1]]), uniform)
    np.testing.assert_allclose(loss, math.log(vocabulary_size), rtol=1e-6)


@pytest.mark.parametrize("vocabulary_size", [6, 37, 37003])
def test_a_perfect_model_loses_nothing(vocabulary_size):
    logits = perfect_logits(5, vocabulary_size, 0.1)
    loss = smoothed_cross_entropy(np.array([[5]]), logits, label_smoothing=0.1)
    np.testing.assert_allclose(loss, 0, atol=1e-5)


def test_being_too_sure_is_worse_than_perfect():
    sure = np.full((1, 1, V), -9.0, "float32")
    sure[..., 5] = 9.0
    assert float(smoothed_cross_entropy(np.array([[5]]), sure, 0.1)[0, 0]) > 0.5


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.3])
def test_it_equals_the_smoothed_labels_written_out(batch, eps):
    labels, logits = batch
    loss = smoothed_cross_entropy(labels, logits, eps)
    np.testing.assert_allclose(loss, written_out(labels, logits, eps), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pad_id", [-100, V])
def test_padding_need_be_no_id_of_the_vocabulary(batch, pad_id):
    """As other libraries mark it in labels."""
    labels, logits = batch
    labels[1:, 2:] = 0
    marked = np.where(labels == 0, pad_id, labels)
    loss, wanted = TokenCrossEntropy(0.1, pad_id), TokenCrossEntropy(0.1)
    assert float(loss(marked, logits)) == float(wanted(labels, logits))
    vectors = np.eye(V, dtype="float32")
    (total, count, _), found = (
        one.projected_sums(ids, ops.convert_to_tensor(logits), vectors)
        for one, ids in ((wanted, labels), (loss, marked))
    )
    assert (float(found[0]), float(found[1])) == (float(total), float(count))
    for kind in (TokenAccuracy, Perplexity):
        assert float(kind(pad_id)(marked, logits)) == float(kind()(labels, logits))


def test_it_is_not_the_smoothing_of_keras(batch):
    labels, logits = batch
    theirs = keras.losses.categorical_crossentropy(
        ops.one_hot(labels, V), logits, from_logits=True, label_smoothing=0.1
    )
    ours = smoothed_cross_entropy(labels, logits, 0.1) + smoothed_entropy(V, 0.1)
    assert np.abs(np.asarray(theirs) - np.asarray(ours)).min() > 1e-3


def test_very_large_logits_are_no_problem():
    logits = np.array([[[1e4, -1e4, 0.0]]], "float32")
    loss = smoothed_cross_entropy(np.array([[1]]), logits, 0.1)
    np.testing.assert_allclose(loss, written_out([[1]], logits, 0.1), rtol=1e-6)


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_the_gradient_given_by_hand_is_that_of_the_loss(batch, eps):
    labels, logits = batch
    weights = np.random.default_rng(2).normal(0, 1, (B, T)).astype("float32")

    def by_hand(x):
        return ops.sum(weights * smoothed_cross_entropy(labels, x, eps))

    def by_tensorflow(x):
        wanted = ops.one_hot(labels, V) * (1 - eps - eps / (V - 1)) + eps / (V - 1)
        return -ops.sum(weights * ops.sum(wanted * ops.log_softmax(x), axis=-1))

    np.testing.assert_allclose(
        gradient(by_hand, logits), gradient(by_tensorflow, logits), rtol=1e-4, atol=1e-6
    )


def test_the_gradient_is_the_slope(batch):
    labels, logits = batch
    found = gradient(lambda x: ops.sum(smoothed_cross_entropy(labels, x, 0.1)), logits)
    step = 1e-4
    for place in [(0, 0, 0), (1, 3, int(labels[1, 3])), (2, 4, 6)]:
        up, down = logits.astype("float64"), logits.astype("float64")
        up[place] += step
        down[place] -= step
        slope = written_out(labels, up, 0.1).sum() - written_out(labels, down, 0.1).sum()
        assert found[place] == pytest.approx(slope / (2 * step), abs=1e-5)


def test_every_real_token_weighs_the_same(batch):
    labels, logits = batch
    labels[0, 1:] = 0  # one token in the first sentence, five in each other
    losses = written_out(labels, logits, 0.1)
    by_token = losses[labels != 0].mean()
    by_sentence = np.mean([row[real != 0].mean() for row, real in zip(losses, labels, strict=True)])
    assert float(TokenCrossEntropy()(labels, logits)) == pytest.approx(by_token, rel=1e-5)
    assert abs(by_token - by_sentence) > 0.01


def test_padding_weighs_nothing(batch):
    labels, logits = batch
    longer = np.pad(labels, ((0, 2), (0, 6)))
    filled = np.random.default_rng(5).normal(0, 9, (B + 2, T + 6, V)).astype("float32")
    filled[:B, :T] = logits
    loss = TokenCrossEntropy()
    assert float(loss(longer, filled)) == pytest.approx(float(loss(labels, logits)), rel=1e-6)


def test_padding_has_no_gradient(batch):
    labels, logits = batch
    labels[1, 3:] = 0
    found = gradient(lambda x: TokenCrossEntropy()(labels, x), logits)
    assert (found[1, 3:] == 0).all()
    assert (found[1, :3] != 0).all()


def test_a_batch_of_padding_alone_loses_nothing():
    logits, nothing = np.ones((B, T, V), "float32"), np.zeros((B, T), "int32")
    assert float(TokenCrossEntropy()(nothing, logits)) == 0
    assert not gradient(lambda x: TokenCrossEntropy()(nothing, x), logits).any()


def test_another_id_may_be_padding(batch):
    labels, logits = batch
    labels[2] = 4
    loss = TokenCrossEntropy(label_smoothing=0.0, pad_id=4)
    wanted = written_out(labels, logits, 0.0)[labels != 4].mean()
    assert float(loss(labels, logits)) == pytest.approx(wanted, rel=1e-5)


def test_half_precision_logits_are_counted_in_full(batch):
    labels, logits = batch
    half = ops.cast(logits, "bfloat16")
    loss = TokenCrossEntropy()(labels, half)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    full = ops.convert_to_numpy(ops.cast(half, "float32"))
    assert float(loss) == pytest.approx(written_out(labels, full, 0.1).mean(), rel=1e-5)


@pytest.mark.parametrize("eps", [-0.1, 1.0])
def test_smoothing_has_limits(eps):
    with pytest.raises(ValueError, match=rf"less than 1\. Received: {eps}$"):
        TokenCrossEntropy(label_smoothing=eps)


def test_it_comes_back_from_its_configuration():
    loss = TokenCrossEntropy(label_smoothing=0.3, pad_id=5, name="other")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()


def test_a_sentence_and_a_token_may_have_a_weight(batch):
    labels, logits = batch
    of_sentences = np.linspace(0.5, 2, len(labels)).astype("float32")
    of_tokens = np.repeat(of_sentences[:, None], labels.shape[1], axis=1)
    loss = TokenCrossEntropy(0.1)
    real = (np.asarray(labels) != 0) * of_tokens
    losses = np.asarray(smoothed_cross_entropy(labels, logits, 0.1))
    expected = (losses * real).sum() / real.sum()
    assert float(loss(labels, logits, of_sentences)) == pytest.approx(expected, abs=1e-5)
    assert float(loss(labels, logits, of_tokens)) == pytest.approx(expected, abs=1e-5)
    assert float(loss(labels, logits)) != pytest.approx(expected, abs=1e-3)


def test_one_label_a_row_may_have_a_weight_each():
    """Labels without positions, as a classifier's."""
    logits = np.random.default_rng(5).normal(size=(B, V)).astype("float32")
    labels, weights = np.array([1, 4, 2]), np.array([1.0, 2.0, 5.0])
    each = written_out(labels[:, None], logits[:, None], 0.0)[:, 0]
    found = TokenCrossEntropy(0.0)(labels, ops.convert_to_tensor(logits), weights)
    assert float(found) == pytest.approx((each * weights).sum() / weights.sum(), rel=1e-5)


def test_weights_with_more_axes_than_the_labels_are_refused():
    logits = ops.zeros((B, B, V))
    with pytest.raises(ValueError, match=r"Received: shape \(3, 3, 1\) for labels of shape \(3, 3"):
        TokenCrossEntropy()(np.ones((B, B), "int32"), logits, np.ones((B, B, 1)))
