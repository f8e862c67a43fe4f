"""Cross-entropy from what comes before the output layer, without keeping the logits."""

from typing import NamedTuple

import keras
from keras import ops

from keras_transformer.training.cross_entropy import gold_logits, log_sum_exp, smoothed_entropy

PARTS = 4  # the logits of one are still in the cache of the processor when needed again
LOWEST = -1e30  # any logit is higher; a part of few positions may be empty, and has no highest


class LogitStatistics(NamedTuple):
    """What metrics need to know of the logits of each token, tensors of shape `(B, T)`.

    Attributes:
        log_normalizer: `log(sum(exp(logits)))`.
        gold: The logit of the label.
        highest: The highest logit.
    """

    log_normalizer: object
    gold: object
    highest: object


def logit_statistics(labels, logits):
    """The statistics of logits that are at hand, `(B, T, V)`."""
    gold, highest = gold_logits(labels, logits), ops.max(logits, axis=-1)
    return LogitStatistics(log_sum_exp(logits), gold, highest)


def projected_cross_entropy(labels, hidden, vectors, weights, label_smoothing=0.0):
    """Sums `smoothed_cross_entropy(labels, hidden @ vectors^T)` without materialising the logits.

    The logits are the largest tensor of a training step and take part in three products. Here they
    are made a quarter of the positions at a time, and each part's gradient is made at once, while
    its probabilities are at hand: no tensor of shape `(B, T, V)` is made, and `exp` is taken once.
    The gradient of the vectors is added up as `(d_model, V)` and turned round at the end, and its
    product says that it sums over sentences and positions: so XLA's CPU compiler does it best.

    Args:
        labels: Integer tensor of shape `(B, T)`.
        hidden: Float32 tensor of shape `(B, T, d_model)`.
        vectors: Float32 tensor of shape `(V, d_model)`.
        weights: Float32 tensor of shape `(B, T)`: how much each token counts.
        label_smoothing: Float, eps.

    Returns:
        The sum over all tokens of loss times weight, in nats, and `LogitStatistics`. Gradients flow
        from the sum alone, to `hidden` and `vectors`.

    Example:

    >>> labels, hidden = keras.ops.array([[2]]), keras.ops.zeros((1, 1, 3))
    >>> total, statistics = projected_cross_entropy(
    ...     labels, hidden, keras.ops.ones((6, 3)), keras.ops.ones((1, 1))
    ... )
    >>> round(float(total), 6), statistics.gold.shape
    (1.791759, TensorShape([1, 1]))
    """
    V, _ = vectors.shape

    @ops.custom_gradient
    def project(hidden, vectors):
        T = ops.shape(hidden)[1]
        places = [slice(T * n // PARTS, T * (n + 1) // PARTS) for n in range(PARTS)]
        parts = [
            _one_part(labels[:, at], hidden[:, at], vectors, weights[:, at], label_smoothing)
            for at in places
        ]
        losses, statistics, to_hidden, to_vectors = zip(*parts, strict=True)
        to_hidden = ops.concatenate(to_hidden, axis=1)
        to_vectors = ops.transpose(sum(to_vectors))

        def gradient(*upstreams, upstream=None):
            upstream = keras.tree.flatten(upstreams if upstream is None else upstream)[0]
            return upstream * to_hidden, upstream * to_vectors

        statistics = (ops.concatenate(fact, axis=1) for fact in zip(*statistics, strict=True))
        return (sum(losses), *statistics), gradient

    total, *statistics = project(hidden, vectors)
    entropy = smoothed_entropy(V, label_smoothing) * ops.sum(weights)
    return total - entropy, LogitStatistics(*map(ops.stop_gradient, statistics))


def _one_part(labels, hidden, vectors, weights, label_smoothing):
    """Loss, statistics and both gradients, that of the vectors as `(d_model, V)`."""
    V, D = vectors.shape
    B, T = ops.shape(labels)
    low = label_smoothing / (V - 1)  # u, the share of every other id
    above = 1 - label_smoothing - low  # what the label has beyond u
    labels, weights = (ops.reshape(each, (-1,)) for each in (labels, weights))
    rows = ops.reshape(hidden, (-1, D))
    logits = ops.matmul(rows, ops.transpose(vectors))
    highest = ops.max(logits, axis=-1, initial=LOWEST)
    powers = ops.exp(logits - highest[:, None])
    normalizer = ops.sum(powers, axis=-1)
    log_normalizer = highest + ops.log(normalizer)
    gold = gold_logits(labels, logits)
    losses = log_normalizer - above * gold
    if low:
        losses = losses - low * ops.sum(rows * ops.sum(vectors, axis=0), axis=-1)
    is_label = ops.equal(ops.arange(V, dtype="int32"), ops.cast(labels, "int32")[:, None])
    wanted = low + ops.where(is_label, above, 0.0)
    to_logits = (powers / normalizer[:, None] - wanted) * weights[:, None]
    to_hidden = ops.reshape(ops.matmul(to_logits, vectors), (B, T, D))
    to_vectors = ops.einsum("btd,btv->dv", hidden, ops.reshape(to_logits, (B, T, V)))
    statistics = [ops.reshape(fact, (B, T)) for fact in (log_normalizer, gold, highest)]
    return ops.sum(losses * weights), statistics, to_hidden, to_vectors
