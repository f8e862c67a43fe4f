"""Checkpoints: saved states, exact resumption, preemption and checkpoint averaging."""

from keras_transformer.checkpoints.averaging import average_checkpoints
from keras_transformer.checkpoints.preemption import NoStopSignal, Stopped, StopSignal
from keras_transformer.checkpoints.resumable_fit import SaveState, resumable_fit
from keras_transformer.checkpoints.state import SavedState, StateError, StateFolder

__all__ = [
    "NoStopSignal",
    "SaveState",
    "SavedState",
    "StateError",
    "StateFolder",
    "StopSignal",
    "Stopped",
    "average_checkpoints",
    "resumable_fit",
]
