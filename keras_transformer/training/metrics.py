"""What is counted over real tokens: how many are right, and how surprised the model is."""

import keras
from keras import ops

from keras_transformer.training.losses import ids_of, weights_of
from keras_transformer.training.projected_loss import facts_of


class _TokenMean(keras.metrics.Metric):
    """A mean over all real tokens seen since the last reset; `values` says of what."""

    def __init__(self, pad_id=0, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.pad_id = pad_id
        self.total = self.add_variable((), initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        facts = facts_of(ids_of(y_true, self.pad_id), ops.cast(y_pred, "float32"))
        self.update_facts(y_true, facts, sample_weight)

    def update_facts(self, y_true, facts, sample_weight=None):
        """As `update_state`, from the `TokenFacts` of the logits."""
        real = weights_of(y_true, self.pad_id, sample_weight)
        values = self.values(facts)
        self.total.assign_add(ops.sum(ops.cast(values, "float32") * real))
        self.count.assign_add(ops.sum(real))

    def result(self):
        return ops.divide_no_nan(self.total, self.count)

    def get_config(self):
        return {**super().get_config(), "pad_id": self.pad_id}


@keras.saving.register_keras_serializable(package="keras_transformer")
class TokenAccuracy(_TokenMean):
    """The share of real tokens whose label has the highest logit, given the ones before.

    Args:
        pad_id: Integer. Labels with this id are padding.
        name: String. What the metric is called in the logs.

    Example:

    >>> accuracy = TokenAccuracy()
    >>> logits = keras.ops.array([[[0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [9.0, 0.0, 0.0]]])
    >>> float(accuracy(keras.ops.array([[1, 2, 0]]), logits))
    0.5
    """

    def __init__(self, pad_id=0, name="accuracy", **kwargs):
        super().__init__(pad_id, name, **kwargs)

    def values(self, facts):
        return ops.greater_equal(facts.gold, facts.highest)


@keras.saving.register_keras_serializable(package="keras_transformer")
class Perplexity(_TokenMean):
    """`exp` of the mean cross-entropy of real tokens, against unsmoothed labels.

    Args:
        pad_id: Integer. Labels with this id are padding.
        name: String. What the metric is called in the logs.

    Example:

    >>> perplexity = Perplexity()
    >>> round(float(perplexity(keras.ops.array([[1, 2, 0]]), keras.ops.zeros((1, 3, 7)))), 3)
    7.0
    """

    def __init__(self, pad_id=0, name="perplexity", **kwargs):
        super().__init__(pad_id, name, **kwargs)

    def values(self, facts):
        return facts.log_normalizer - facts.gold

    def result(self):
        return ops.exp(super().result())
