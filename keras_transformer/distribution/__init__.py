"""Which devices a training uses, and how."""

from keras_transformer.distribution.devices import STRATEGIES, Devices, choose_devices

__all__ = ["STRATEGIES", "Devices", "choose_devices"]
