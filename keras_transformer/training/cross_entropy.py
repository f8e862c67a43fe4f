"""Cross-entropy of tokens, with smoothed labels that are never written out."""

import math

from keras import ops


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
