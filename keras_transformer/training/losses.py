"""Cross-entropy over real tokens, with smoothed labels that are never written out."""

import math

import keras
from keras import ops

from keras_transformer.replicas import sum_over_replicas


def log_sum_exp(logits):
    """`log(sum(exp(logits)))` over the vocabulary: `(..., V)` to `(...)`."""
    highest = ops.stop_gradient(ops.max(logits, axis=-1))
    return highest + ops.log(ops.sum(ops.exp(logits - highest[..., None]), axis=-1))


def gold_logits(labels, logits):
    """The logit of each label: `(...)` and `(..., V)` to `(...)`."""
    return ops.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]


def smoothed_entropy(vocabulary_size, label_smoothing):
    """The cross-entropy that a perfect model would have against smoothed labels, in nats.

    Example:

    >>> round(smoothed_entropy(37000, 0.1), 6)
    1.376948
    """
    if not label_smoothing:
        return 0.0
    low = label_smoothing / (vocabulary_size - 1)
    high = 1 - label_smoothing
    return -(high * math.log(high) + label_smoothing * math.log(low + 1e-20))


def smoothed_cross_entropy(labels, logits, label_smoothing=0.0):
    """Cross-entropy of each token against `1 - eps` on its label and `eps / (V - 1)` elsewhere.

    The smoothing of section 5.4 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762) as
    Tensor2Tensor has it: the constant `smoothed_entropy` is subtracted, so that a perfect model
    scores 0. Written with the logits' sum, it needs no `(B, T, V)` tensor of labels; its
    gradient, `softmax - smoothed labels`, is given by hand so that none is kept either.

    Args:
        labels: Integer tensor of shape `(B, T)`.
        logits: Float tensor of shape `(B, T, V)`.
        label_smoothing: Float, eps.

    Returns:
        Tensor of shape `(B, T)`, in nats.

    Example:

    >>> uniform = keras.ops.zeros((1, 1, 6))
    >>> round(float(smoothed_cross_entropy(keras.ops.array([[2]]), uniform)[0, 0]), 6)
    1.791759
    """
    V = logits.shape[-1]
    low = label_smoothing / (V - 1)  # u, the share of every other id
    gold = 1 - label_smoothing - low  # what the label has beyond u

    @ops.custom_gradient
    def cross_entropy(logits):
        log_normalizer = log_sum_exp(logits)
        losses = log_normalizer - gold * gold_logits(labels, logits)
        if low:
            losses = losses - low * ops.sum(logits, axis=-1)

        def gradient(*args, upstream=None):
            (upstream,) = args if upstream is None else (upstream,)
            softmax = ops.exp(logits - log_normalizer[..., None])
            is_label = ops.equal(ops.arange(V, dtype="int32"), ops.cast(labels, "int32")[..., None])
            return (softmax - low - ops.where(is_label, gold, 0.0)) * upstream[..., None]

        return losses, gradient

    return cross_entropy(logits) - smoothed_entropy(V, label_smoothing)


def weights_of(labels, pad_id, sample_weight=None):
    """How much each label counts: 1 or its weight, 0 at padding.

    Args:
        labels: Integer tensor of shape `(B, T)`.
        pad_id: Integer.
        sample_weight: A weight for each sentence, `(B,)`, or for each token, `(B, T)`.

    Returns:
        Float tensor of shape `(B, T)`.
    """
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")
    if sample_weight is None:
        return real
    weight = ops.cast(sample_weight, "float32")
    return real * (weight[:, None] if len(weight.shape) == 1 else weight)


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenCrossEntropy(keras.losses.Loss):
    """The mean of `smoothed_cross_entropy` over all real tokens of a batch.

    Not a mean of sentences' means: every token weighs the same, padding nothing. On several
    replicas of `tf.distribute` each divides its sum by the tokens of all, so that their losses and
    gradients, added up, are those of the whole batch.

    Args:
        label_smoothing: Float, at least 0 and less than 1. The paper's is 0.1.
        pad_id: Integer. Labels with this id are padding.

    Example:

    >>> loss = TokenCrossEntropy(label_smoothing=0.0)
    >>> labels, uniform = keras.ops.array([[3, 5, 0]]), keras.ops.zeros((1, 3, 6))
    >>> round(float(loss(labels, uniform)), 6)
    1.791759
    """

    def __init__(self, label_smoothing=0.1, pad_id=0, name="token_cross_entropy", dtype=None):
        super().__init__(name=name, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be at least 0 and less than 1. Received: {label_smoothing}"
            )
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id

    def sums(self, y_true, y_pred, sample_weight=None):
        """The sum of all losses, and of the weights, that is, how many real tokens there are."""
        real = weights_of(y_true, self.pad_id, sample_weight)
        losses = smoothed_cross_entropy(y_true, ops.cast(y_pred, "float32"), self.label_smoothing)
        return ops.sum(losses * real), ops.sum(real)

    def projected_sums(self, y_true, hidden, vectors):
        """As `sums`, from what is multiplied with the vectors to be logits; and `TokenFacts`."""
        from keras_transformer.training.projected_loss import projected_cross_entropy

        real = weights_of(y_true, self.pad_id)
        total, facts = projected_cross_entropy(y_true, hidden, vectors, real, self.label_smoothing)
        return total, ops.sum(real), facts

    def __call__(self, y_true, y_pred, sample_weight=None):
        total, count = self.sums(y_true, y_pred, sample_weight)
        return ops.divide_no_nan(total, sum_over_replicas(count))

    def get_config(self):
        return {
            "name": self.name,
            "label_smoothing": self.label_smoothing,
            "pad_id": self.pad_id,
        }
