import keras
import numpy as np
import pytest

from keras_transformer import Perplexity, TokenAccuracy, TokenCrossEntropy

V = 11


@pytest.fixture
def batches():
    """Batches of different shapes and shares of padding."""
    generator = np.random.default_rng(3)
    made = []
    for B, T, real in [(2, 3, 3), (5, 7, 4), (1, 13, 2)]:
        labels = generator.integers(1, V, (B, T)).astype("int32")
        labels[:, real:] = 0
        made.append((labels, generator.normal(0, 2, (B, T, V)).astype("float32")))
    return made


def flat(batches):
    """Labels and log-probabilities of all real tokens."""
    labels = np.concatenate([labels[labels != 0] for labels, _ in batches])
    logits = np.concatenate([logits[labels != 0] for labels, logits in batches]).astype("float64")
    return labels, logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def after(metric, batches):
    for labels, logits in batches:
        metric.update_state(labels, logits)
    return float(metric.result())


def test_accuracy_is_over_all_real_tokens_of_all_batches(batches):
    labels, log_probs = flat(batches)
    accuracy = after(TokenAccuracy(), batches)
    assert accuracy == pytest.approx((log_probs.argmax(-1) == labels).mean(), abs=1e-6)
    assert 0 < accuracy < 1


def test_perplexity_is_over_all_real_tokens_of_all_batches(batches):
    labels, log_probs = flat(batches)
    mean = -np.take_along_axis(log_probs, labels[:, None], axis=-1).mean()
    assert after(Perplexity(), batches) == pytest.approx(np.exp(mean), rel=1e-5)


def test_perplexity_knows_no_smoothing(batches):
    plain = float(TokenCrossEntropy(label_smoothing=0.0)(*batches[1]))
    smoothed = float(TokenCrossEntropy(label_smoothing=0.1)(*batches[1]))
    assert after(Perplexity(), batches[1:2]) == pytest.approx(np.exp(plain), rel=1e-5)
    assert abs(plain - smoothed) > 0.01


@pytest.mark.parametrize("metric", [TokenAccuracy(), Perplexity()], ids=lambda m: m.name)
def test_padding_counts_for_nothing(metric, batches):
    metric.reset_state()
    without = after(metric, batches)
    nothing = np.zeros((3, 5), "int32"), np.full((3, 5, V), 9.0, "float32")
    assert after(metric, [nothing]) == without
    assert float(metric.count) == 6 + 20 + 2


def test_a_reset_forgets(batches):
    metric = Perplexity()
    after(metric, batches[:2])
    metric.reset_state()
    assert after(metric, batches[2:]) == after(Perplexity(), batches[2:])


@pytest.mark.parametrize("metric", [TokenAccuracy(pad_id=3), Perplexity(pad_id=3)])
def test_it_comes_back_from_its_configuration(metric):
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.pad_id == 3
    assert again.name == metric.name


def test_a_sentence_may_have_a_weight():
    logits = np.log(np.array([[[0.1, 0.8, 0.1]], [[0.1, 0.1, 0.8]]], "float32"))
    accuracy = TokenAccuracy()
    accuracy.update_state(np.array([[1], [1]]), logits, sample_weight=np.array([3.0, 1.0]))
    assert float(accuracy.result()) == pytest.approx(0.75)
