"""Cross-entropy of tokens with label smoothing, computed without dense labels."""

import math

import numpy as np
from keras import ops


def log_sum_exp(logits):
    """Returns `log(sum(exp(logits)))` over the vocabulary, from `(..., V)` to `(...)`."""
    highest = ops.stop_gradient(ops.max(logits, axis=-1))
    return highest + ops.log(ops.sum(ops.exp(logits - highest[..., None]), axis=-1))


def gold_logits(labels, logits):
    """Returns the logit of each label, from `(...)` and `(..., V)` to `(...)`."""
    return ops.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]


def smoothed_entropy(vocabulary_size, label_smoothing):
    """Returns the entropy of smoothed labels in nats, the lowest possible cross-entropy.

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
    """Computes the cross-entropy of each token with label smoothing.

    The smoothed label distribution is `1 - eps` at the label and `eps / (V - 1)` at every other id:
    section 5.4 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), as implemented in
    Tensor2Tensor. The constant `smoothed_entropy` is subtracted, so that the loss of a perfect
    model is 0. The forward pass uses the sum of the logits instead of a `(B, T, V)` tensor of
    labels, and the custom gradient, `softmax - smoothed labels`, keeps none for the backward pass.

    Args:
        labels: Integer tensor of shape `(B, T)`.
        logits: Float tensor of shape `(B, T, V)`.
        label_smoothing: Float, eps.

    Returns:
        Float tensor of shape `(B, T)`, in nats.

    Example:

    >>> uniform = keras.ops.zeros((1, 1, 6))
    >>> round(float(smoothed_cross_entropy(keras.ops.array([[2]]), uniform)[0, 0]), 6)
    1.791759
    """
    V = logits.shape[-1]
    low = label_smoothing / (V - 1)  # probability of every other id
    excess = 1 - label_smoothing - low  # probability of the label, minus `low`

    @ops.custom_gradient
    def cross_entropy(logits):
        log_normalizer = log_sum_exp(logits)
        losses = log_normalizer - excess * gold_logits(labels, logits)
        if low:
            losses = losses - low * ops.sum(logits, axis=-1)

        def gradient(*args, upstream=None):
            (upstream,) = args if upstream is None else (upstream,)
            softmax = ops.exp(logits - log_normalizer[..., None])
            is_label = ops.equal(ops.arange(V, dtype="int32"), ops.cast(labels, "int32")[..., None])
            one_hot = ops.where(is_label, np.float32(excess), np.float32(0))
            return (softmax - low - one_hot) * upstream[..., None]

        return losses, gradient

    return cross_entropy(logits) - smoothed_entropy(V, label_smoothing)
