"""Metrics over real tokens: accuracy and perplexity."""

import keras
from keras import ops

from keras_transformer.forking import RefusedAfterFork, refused_after_fork
from keras_transformer.training.capabilities import DeclaresCapabilities
from keras_transformer.training.losses import mask_label_ids, token_weights
from keras_transformer.training.projected_loss import logit_statistics


class _TokenMean(RefusedAfterFork, DeclaresCapabilities, keras.metrics.Metric):
    """Base class of metrics that average `values` over all real tokens since the last reset.

    Subclasses define `values(statistics)`, which maps `LogitStatistics` to a tensor of shape
    `(B, T)`.
    """

    rests_on = {"projects_loss": ["update_state"]}  # noqa: RUF012
    projects_loss = True  # `update_from_statistics` needs no logits

    def __init__(self, pad_id=0, name=None, dtype="float32", **kwargs):
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.pad_id = pad_id
        self.total = self.add_variable((), initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")

    @refused_after_fork
    def update_state(self, y_true, y_pred, sample_weight=None):
        statistics = logit_statistics(
            mask_label_ids(y_true, self.pad_id), ops.cast(y_pred, "float32")
        )
        self.update_from_statistics(y_true, statistics, sample_weight)

    def update_from_statistics(self, y_true, statistics, sample_weight=None):
        """Updates the metric as `update_state`, from `LogitStatistics` instead of logits."""
        real = token_weights(y_true, self.pad_id, sample_weight)
        values = self.values(statistics)
        self.total.assign_add(ops.sum(ops.cast(values, "float32") * real))
        self.count.assign_add(ops.sum(real))

    def result(self):
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self):
        return {**super().get_config(), "pad_id": self.pad_id}


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenAccuracy(_TokenMean):
    """Fraction of real tokens whose label has the highest logit (under teacher forcing).

    Args:
        pad_id: Integer. Labels with this id are padding.
        name: String. Name of the metric in the logs.

    Example:

    >>> accuracy = TokenAccuracy()
    >>> logits = keras.ops.array([[[0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [9.0, 0.0, 0.0]]])
    >>> float(accuracy(keras.ops.array([[1, 2, 0]]), logits))
    0.5
    """

    def __init__(self, pad_id=0, name="accuracy", **kwargs):
        super().__init__(pad_id, name, **kwargs)

    def values(self, statistics):
        return ops.greater_equal(statistics.gold, statistics.highest)


@keras.saving.register_keras_serializable(package="keras_transformer")
class Perplexity(_TokenMean):
    """Exponential of the mean cross-entropy of real tokens, without label smoothing.

    Args:
        pad_id: Integer. Labels with this id are padding.
        name: String. Name of the metric in the logs.

    Example:

    >>> perplexity = Perplexity()
    >>> round(float(perplexity(keras.ops.array([[1, 2, 0]]), keras.ops.zeros((1, 3, 7)))), 3)
    7.0
    """

    def __init__(self, pad_id=0, name="perplexity", **kwargs):
        super().__init__(pad_id, name, **kwargs)

    def values(self, statistics):
        return statistics.log_normalizer - statistics.gold

    def result(self):
        return ops.exp(super().result())
