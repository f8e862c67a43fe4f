"""What `compile` and `fit` need: loss, metrics, schedule, averaging, callbacks."""

from keras_transformer.training.averaging import average_checkpoints
from keras_transformer.training.callbacks import BleuCallback, KeepCheckpoints, TokenRate
from keras_transformer.training.losses import TokenCrossEntropy, smoothed_cross_entropy
from keras_transformer.training.metrics import Perplexity, TokenAccuracy
from keras_transformer.training.schedule import WarmupSchedule

__all__ = [
    "BleuCallback",
    "KeepCheckpoints",
    "Perplexity",
    "TokenAccuracy",
    "TokenCrossEntropy",
    "TokenRate",
    "WarmupSchedule",
    "average_checkpoints",
    "smoothed_cross_entropy",
]
