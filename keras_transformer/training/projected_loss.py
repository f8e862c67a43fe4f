"""Cross-entropy fused with the output projection, without the logits of the whole batch."""

import itertools
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_transformer.training.cross_entropy import gold_logits, log_sum_exp, smoothed_entropy

# Number of chunks of positions: the logits of one chunk stay in the CPU's cache until reused.
NUM_CHUNKS = 4
# Initial value of a maximum over logits, which an empty chunk (fewer positions than chunks) needs.
LOWEST_LOGIT = -1e30


class LogitStatistics(NamedTuple):
    """Statistics of each token's logits that metrics need, tensors of shape `(B, T)`.

    Attributes:
        log_normalizer: `log(sum(exp(logits)))`.
        gold: The logit of the label.
        highest: The highest logit.
    """

    log_normalizer: object
    gold: object
    highest: object


def logit_statistics(labels, logits):
    """Returns the `LogitStatistics` of labels `(B, T)` and logits `(B, T, V)`."""
    gold, highest = gold_logits(labels, logits), ops.max(logits, axis=-1)
    return LogitStatistics(log_sum_exp(logits), gold, highest)


def projected_cross_entropy(labels, hidden, vectors, weights, label_smoothing=0.0):
    """Sums `smoothed_cross_entropy(labels, hidden @ vectors^T)` without materialising the logits.

    The logits are the largest tensor of a training step and take part in three matrix products.
    Here they are computed for a quarter of the positions at a time, and the gradients of each
    quarter are computed in the forward pass, from the same probabilities: no tensor of shape
    `(B, T, V)` is created, and `exp` is evaluated once. The gradient of `vectors` is accumulated as
    `(d_model, V)` and transposed at the end, and its `einsum` contracts sentences and positions as
    separate axes: XLA's CPU compiler runs this form fastest.

    Args:
        labels: Integer tensor of shape `(B, T)`.
        hidden: Float32 tensor of shape `(B, T, d_model)`, the input of the output projection.
        vectors: Float32 tensor of shape `(V, d_model)`, one output vector per id.
        weights: Float32 tensor of shape `(B, T)`, the weight of each token.
        label_smoothing: Float, eps.

    Returns:
        Tuple of the weighted sum of the token losses, in nats, and `LogitStatistics`. Gradients
        flow to `hidden` and `vectors` from the sum only.

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
        bounds = [T * n // NUM_CHUNKS for n in range(NUM_CHUNKS + 1)]
        chunks = [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
        results = [
            _project_chunk(labels[:, at], hidden[:, at], vectors, weights[:, at], label_smoothing)
            for at in chunks
        ]
        losses, statistics, hidden_gradients, vectors_gradients = zip(*results, strict=True)
        hidden_gradient = ops.concatenate(hidden_gradients, axis=1)
        vectors_gradient = ops.transpose(sum(vectors_gradients))

        def gradient(*upstreams, upstream=None):
            upstream = keras.tree.flatten(upstreams if upstream is None else upstream)[0]
            return upstream * hidden_gradient, upstream * vectors_gradient

        statistics = (ops.concatenate(field, axis=1) for field in zip(*statistics, strict=True))
        return (sum(losses), *statistics), gradient

    total, *statistics = project(hidden, vectors)
    entropy = smoothed_entropy(V, label_smoothing) * ops.sum(weights)
    return total - entropy, LogitStatistics(*map(ops.stop_gradient, statistics))


def _project_chunk(labels, hidden, vectors, weights, label_smoothing):
    """Computes `projected_cross_entropy` and its gradients for a chunk of positions.

    Returns:
        Tuple of the weighted sum of the losses, a list of the `LogitStatistics`, the gradient of
        `hidden`, and that of `vectors`, transposed to `(d_model, V)`.
    """
    V, D = vectors.shape
    B, T = ops.shape(labels)
    low = label_smoothing / (V - 1)  # probability of every other id
    excess = 1 - label_smoothing - low  # probability of the label, minus `low`
    labels, weights = (ops.reshape(tensor, (-1,)) for tensor in (labels, weights))
    rows = ops.reshape(hidden, (-1, D))
    logits = ops.matmul(rows, ops.transpose(vectors))
    highest = ops.max(logits, axis=-1, initial=LOWEST_LOGIT)
    exponentials = ops.exp(logits - highest[:, None])
    normalizer = ops.sum(exponentials, axis=-1)
    log_normalizer = highest + ops.log(normalizer)
    gold = gold_logits(labels, logits)
    losses = log_normalizer - excess * gold
    if low:
        losses = losses - low * ops.sum(rows * ops.sum(vectors, axis=0), axis=-1)
    is_label = ops.equal(ops.arange(V, dtype="int32"), ops.cast(labels, "int32")[:, None])
    smoothed_labels = low + ops.where(is_label, np.float32(excess), np.float32(0))
    softmax = exponentials / normalizer[:, None]
    logits_gradient = (softmax - smoothed_labels) * weights[:, None]
    hidden_gradient = ops.reshape(ops.matmul(logits_gradient, vectors), (B, T, D))
    logits_gradient = ops.reshape(logits_gradient, (B, T, V))
    vectors_gradient = ops.einsum("btd,btv->dv", hidden, logits_gradient)
    statistics = [ops.reshape(field, (B, T)) for field in (log_normalizer, gold, highest)]
    return ops.sum(losses * weights), statistics, hidden_gradient, vectors_gradient
