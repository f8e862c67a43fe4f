"""Devices for training: one, several on one machine, several machines, or TPUs."""

from keras_transformer.distribution.base import DeviceError, Devices, WorkerLostError
from keras_transformer.distribution.devices import STRATEGIES, choose_devices

__all__ = ["STRATEGIES", "DeviceError", "Devices", "WorkerLostError", "choose_devices"]
