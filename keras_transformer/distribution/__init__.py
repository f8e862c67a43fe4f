"""Which devices a training uses, and how."""

from keras_transformer.distribution.devices import (
    STRATEGIES,
    DeviceError,
    Devices,
    WorkerLostError,
    choose_devices,
)

__all__ = ["STRATEGIES", "DeviceError", "Devices", "WorkerLostError", "choose_devices"]
