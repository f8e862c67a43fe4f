"""What `compile` and `fit` need: loss, metrics, optimizer, schedule, averaging, callbacks."""

from keras_transformer.training.adafactor import Adafactor
from keras_transformer.training.averaging import average_checkpoints
from keras_transformer.training.callbacks import BleuCallback, KeepCheckpoints, TokenRate
from keras_transformer.training.checkpoints import SavedState, StateError, StateFolder
from keras_transformer.training.cross_entropy import smoothed_cross_entropy
from keras_transformer.training.losses import TokenCrossEntropy
from keras_transformer.training.metrics import Perplexity, TokenAccuracy
from keras_transformer.training.resume import SaveState, resumable_fit
from keras_transformer.training.schedule import WarmupSchedule
from keras_transformer.training.stop_signal import NoStopSignal, Stopped, StopSignal

__all__ = [
    "Adafactor",
    "BleuCallback",
    "KeepCheckpoints",
    "NoStopSignal",
    "Perplexity",
    "SaveState",
    "SavedState",
    "StateError",
    "StateFolder",
    "StopSignal",
    "Stopped",
    "TokenAccuracy",
    "TokenCrossEntropy",
    "TokenRate",
    "WarmupSchedule",
    "average_checkpoints",
    "resumable_fit",
    "smoothed_cross_entropy",
]
