"""Checkpoints: saved states, exact resumption, preemption, averaging and low-rank adapters."""

from keras_transformer.checkpoints.adapter import (
    AdapterError,
    add_adapter,
    base_fingerprint,
    load_adapter,
    merge_adapter,
    save_adapter,
)
from keras_transformer.checkpoints.averaging import average_checkpoints
from keras_transformer.checkpoints.preemption import NoStopSignal, Stopped, StopSignal
from keras_transformer.checkpoints.resumable_fit import SaveState, resumable_fit
from keras_transformer.checkpoints.state import SavedState, StateError, StateFolder

__all__ = [
    "AdapterError",
    "NoStopSignal",
    "SaveState",
    "SavedState",
    "StateError",
    "StateFolder",
    "StopSignal",
    "Stopped",
    "add_adapter",
    "average_checkpoints",
    "base_fingerprint",
    "load_adapter",
    "merge_adapter",
    "resumable_fit",
    "save_adapter",
]
