"""What `compile` and `fit` need: loss, metrics, schedule, averaging, callbacks."""

from keras_transformer.training.losses import TokenCrossEntropy, smoothed_cross_entropy
from keras_transformer.training.metrics import Perplexity, TokenAccuracy
from keras_transformer.training.schedule import WarmupSchedule

__all__ = [
    "Perplexity",
    "TokenAccuracy",
    "TokenCrossEntropy",
    "WarmupSchedule",
    "smoothed_cross_entropy",
]
