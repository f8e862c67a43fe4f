"""The loss: the mean cross-entropy of all real tokens of a batch."""

import keras
from keras import ops

from keras_transformer.replicas import sum_over_replicas
from keras_transformer.training.capabilities import DeclaresCapabilities
from keras_transformer.training.cross_entropy import smoothed_cross_entropy
from keras_transformer.training.projected_loss import projected_cross_entropy


def token_weights(labels, pad_id, sample_weight=None):
    """How much each label counts: 1 or its weight, 0 at padding.

    Args:
        labels: Integer tensor of shape `(B, T)`.
        pad_id: Integer.
        sample_weight: A weight for each sentence, `(B,)`, or for each token, `(B, T)`.

    Returns:
        Float tensor of the labels' shape.

    Raises:
        ValueError: The weights have more axes than the labels.
    """
    real = ops.cast(ops.not_equal(labels, pad_id), "float32")
    if sample_weight is None:
        return real
    weight = ops.cast(sample_weight, "float32")
    missing = len(labels.shape) - len(weight.shape)
    if missing < 0:
        raise ValueError(
            "`sample_weight` must have a weight for each sentence, (B,), or each token, (B, T). "
            f"Received: shape {tuple(weight.shape)} for labels of shape {tuple(labels.shape)}"
        )
    return real * ops.reshape(weight, (*ops.shape(weight), *[1] * missing))


def mask_label_ids(labels, pad_id):
    """The labels, with 0 for padding: `pad_id` may be no id at all, such as -100."""
    return ops.where(ops.equal(labels, pad_id), ops.zeros_like(labels), labels)


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenCrossEntropy(DeclaresCapabilities, keras.losses.Loss):
    """The mean of `smoothed_cross_entropy` over all real tokens of a batch.

    Not a mean of sentences' means: every token weighs the same, padding nothing. On several
    replicas of `tf.distribute` each divides its sum by the tokens of all, so that their losses and
    gradients, added up, are those of the whole batch.

    Args:
        label_smoothing: Float, at least 0 and less than 1. The paper's is 0.1.
        pad_id: Integer. Labels with this id are padding.
        name: String. What the loss is called.
        dtype: As in `keras.losses.Loss`; the loss is computed in float32 all the same.

    Raises:
        ValueError: `label_smoothing` is less than 0, or not less than 1.

    Example:

    >>> loss = TokenCrossEntropy(label_smoothing=0.0)
    >>> labels, uniform = keras.ops.array([[3, 5, 0]]), keras.ops.zeros((1, 3, 6))
    >>> round(float(loss(labels, uniform)), 6)
    1.791759
    """

    rests_on = {"provides_sums": ["__call__"], "projects_loss": ["__call__", "sums"]}  # noqa: RUF012
    provides_sums = True  # `sums` returns what `__call__` divides
    projects_loss = True  # `projected_sums` returns the same without logits

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
        real = token_weights(y_true, self.pad_id, sample_weight)
        labels, logits = mask_label_ids(y_true, self.pad_id), ops.cast(y_pred, "float32")
        losses = smoothed_cross_entropy(labels, logits, self.label_smoothing)
        return ops.sum(losses * real), ops.sum(real)

    def projected_sums(self, y_true, hidden, vectors):
        """Returns `sums`, computed without logits, and the `LogitStatistics` of each token."""
        real = token_weights(y_true, self.pad_id)
        labels = mask_label_ids(y_true, self.pad_id)
        total, statistics = projected_cross_entropy(
            labels, hidden, vectors, real, self.label_smoothing
        )
        return total, ops.sum(real), statistics

    def __call__(self, y_true, y_pred, sample_weight=None):
        total, count = self.sums(y_true, y_pred, sample_weight)
        return ops.divide_no_nan(total, sum_over_replicas(count))

    def get_config(self):
        return {
            "name": self.name,
            "label_smoothing": self.label_smoothing,
            "pad_id": self.pad_id,
        }
