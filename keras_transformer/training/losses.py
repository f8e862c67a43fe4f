"""Training loss: mean cross-entropy of the real tokens of a batch."""

import keras
from keras import ops

from keras_transformer.forking import RefusedAfterFork, refused_after_fork
from keras_transformer.replicas import sum_over_replicas
from keras_transformer.training.capabilities import DeclaresCapabilities
from keras_transformer.training.cross_entropy import smoothed_cross_entropy
from keras_transformer.training.projected_loss import projected_cross_entropy


def token_weights(labels, pad_id, sample_weight=None):
    """Returns the weight of each label: 0 at padding, elsewhere its sample weight or 1.

    Args:
        labels: Integer tensor of shape `(B, T)`.
        pad_id: Integer. Labels with this id are padding.
        sample_weight: Weights of sentences, shape `(B,)`, or of tokens, shape `(B, T)`.

    Returns:
        Float tensor of shape `(B, T)`.

    Raises:
        ValueError: `sample_weight` has more axes than `labels`.
    """
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")
    if sample_weight is None:
        return real
    weight = ops.cast(sample_weight, "float32")
    missing_axes = len(labels.shape) - len(weight.shape)
    if missing_axes < 0:
        raise ValueError(
            "`sample_weight` must have a weight for each sentence, (B,), or each token, (B, T). "
            f"Received: shape {tuple(weight.shape)} for labels of shape {tuple(labels.shape)}"
        )
    return real * ops.reshape(weight, (*ops.shape(weight), *[1] * missing_axes))


def mask_label_ids(labels, pad_id):
    """Replaces padding by 0, since `pad_id` may lie outside the vocabulary, such as -100."""
    return ops.where(ops.equal(labels, pad_id), ops.zeros_like(labels), labels)


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenCrossEntropy(RefusedAfterFork, DeclaresCapabilities, keras.losses.Loss):
    """Mean of `smoothed_cross_entropy` over all real tokens of a batch.

    Every real token has the same weight, however long its sentence is; padding has none. On several
    replicas of a `tf.distribute` strategy, each replica divides its sum by the number of tokens on
    all replicas, so that the losses and gradients of the replicas add up to those of the whole
    batch.

    Args:
        label_smoothing: Float, at least 0 and less than 1. Defaults to 0.1, as in the paper.
        pad_id: Integer. Labels with this id are padding.
        name: String. Name of the loss.
        dtype: As in `keras.losses.Loss`. The loss is computed in float32 in any case.

    Raises:
        ValueError: `label_smoothing` is less than 0, or not less than 1.

    Example:

    >>> loss = TokenCrossEntropy(label_smoothing=0.0)
    >>> labels, uniform = keras.ops.array([[3, 5, 0]]), keras.ops.zeros((1, 3, 6))
    >>> round(float(loss(labels, uniform)), 6)
    1.791759
    """

    rests_on = {"provides_sums": ["__call__"], "projects_loss": ["__call__", "sums"]}  # noqa: RUF012
    provides_sums = True  # `__call__` divides the sums that `sums` returns
    projects_loss = True  # `projected_sums` returns the same sums without logits

    def __init__(self, label_smoothing=0.1, pad_id=0, name="token_cross_entropy", dtype="float32"):
        super().__init__(name=name, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be at least 0 and less than 1. Received: {label_smoothing}"
            )
        self.label_smoothing = label_smoothing
        self.pad_id = pad_id

    def sums(self, y_true, y_pred, sample_weight=None):
        """Returns the sum of the token losses and the number of real tokens.

        With `sample_weight`, both sums are weighted.
        """
        real = token_weights(y_true, self.pad_id, sample_weight)
        labels, logits = mask_label_ids(y_true, self.pad_id), ops.cast(y_pred, "float32")
        losses = smoothed_cross_entropy(labels, logits, self.label_smoothing)
        return ops.sum(losses * real), ops.sum(real)

    def projected_sums(self, y_true, hidden, vectors, sample_weight=None):
        """Computes `sums` from hidden states and output vectors, without the logits of the batch.

        Args:
            y_true: Integer tensor of shape `(B, T)`.
            hidden: Float32 tensor of shape `(B, T, d_model)`.
            vectors: Float32 tensor of shape `(V, d_model)`.
            sample_weight: As in `sums`.

        Returns:
            Tuple of the sum of the token losses, the number of real tokens, and the
            `LogitStatistics` that metrics need.
        """
        real = token_weights(y_true, self.pad_id, sample_weight)
        labels = mask_label_ids(y_true, self.pad_id)
        total, statistics = projected_cross_entropy(
            labels, hidden, vectors, real, self.label_smoothing
        )
        return total, ops.sum(real), statistics

    @refused_after_fork
    def __call__(self, y_true, y_pred, sample_weight=None):
        total, count = self.sums(y_true, y_pred, sample_weight)
        return ops.divide_no_nan(total, sum_over_replicas(count))

    def get_config(self):
        return {
            "name": self.name,
            "label_smoothing": self.label_smoothing,
            "pad_id": self.pad_id,
        }
