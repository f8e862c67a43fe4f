"""Devices under JAX, by `keras.distribution`: one program processes the whole batch."""

import os

import jax
import keras

from keras_transformer.distribution.base import DeviceError, Devices, take_devices

VARIABLES = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES")


class DataParallelDevices(Devices):
    """Devices that each hold the whole model and process an equal part of every batch."""

    def __init__(self, devices, description):
        super().__init__(description)
        self.replicas = len(devices)
        self.worker, self.workers = jax.process_index(), jax.process_count()
        self.is_chief = self.worker == 0
        self.computes_alone = self.workers == 1
        self.wants_one_shape = devices[0].platform == "tpu"
        names = [f"{device.platform}:{device.id}" for device in devices]
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names))

    def from_chief(self, value):
        if self.workers == 1:
            return float(value)
        from jax.experimental import multihost_utils

        return float(multihost_utils.broadcast_one_to_all(jax.numpy.float32(value)))


def auto_strategy(count):
    """Returns the name of the strategy for the devices available."""
    if any(variable in os.environ for variable in VARIABLES):
        return "multi_worker"
    several = count > 1 or jax.device_count() > 1
    return "mirrored" if several and count != 1 else "one"


def one(count):
    """Returns the first JAX device."""
    devices = Devices(f"one {jax.default_backend().upper()}")
    devices.wants_one_shape = jax.default_backend() == "tpu"
    return devices


def mirrored(count):
    """Returns the first `count` devices of this machine, or all of them if `count` is 0."""
    kind = f"{jax.default_backend().upper()} devices"
    hint = ""
    if jax.default_backend() == "cpu":
        hint = "; XLA_FLAGS=--xla_force_host_platform_device_count=N splits a CPU into N devices"
    devices = take_devices(jax.devices(), count, kind, hint)
    return DataParallelDevices(devices, f"{len(devices)} {kind} (DataParallel)")


def multi_worker(count):
    """Returns the devices of all processes, given by environment variables of Keras."""
    if missing := [variable for variable in VARIABLES if variable not in os.environ]:
        raise DeviceError(
            f"strategy multi_worker needs the environment variables {', '.join(VARIABLES)} and "
            "KERAS_DISTRIBUTION_PROCESS_ID; see keras.distribution.initialize. Missing: "
            f"{', '.join(missing)}"
        )
    if count:
        raise DeviceError(
            "Under JAX, every worker takes all of its devices. Received: "
            f"devices={count}. Omit devices."
        )
    keras.distribution.initialize()
    devices = jax.devices()
    workers = f"worker {jax.process_index() + 1} of {jax.process_count()}"
    return DataParallelDevices(devices, f"{workers}, {len(devices)} devices (DataParallel)")


def tpu(count):
    """Returns the first `count` TPU chips, or all of them if `count` is 0."""
    if jax.default_backend() != "tpu":
        raise DeviceError(
            "JAX finds no TPU: on a machine that has one, install `jax[tpu]`. Found: "
            f"{jax.default_backend()}. Or use strategy one, mirrored or auto."
        )
    return one(count) if count == 1 or jax.device_count() == 1 else mirrored(count)
