"""Devices under JAX: `keras.distribution`, where one program sees the whole batch."""

import os

import jax
import keras

from keras_transformer.distribution.base import DeviceError, Devices, take_devices

VARIABLES = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "KERAS_DISTRIBUTION_NUM_PROCESSES")


class DataParallelDevices(Devices):
    """Every device has the whole model and a share of each batch."""

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


def best(count):
    """What there is, as the name of a choice."""
    if any(variable in os.environ for variable in VARIABLES):
        return "multi_worker"
    several = count > 1 or jax.device_count() > 1
    return "mirrored" if several and count != 1 else "one"


def one(count):
    """JAX's first device."""
    devices = Devices(f"one {jax.default_backend().upper()}")
    devices.wants_one_shape = jax.default_backend() == "tpu"
    return devices


def mirrored(count):
    """All devices of this machine, or so many of them."""
    kind = f"{jax.default_backend().upper()} devices"
    more = ""
    if jax.default_backend() == "cpu":
        more = "; XLA_FLAGS=--xla_force_host_platform_device_count=N makes N of a CPU"
    devices = take_devices(jax.devices(), count, kind, more)
    return DataParallelDevices(devices, f"{len(devices)} {kind} (DataParallel)")


def multi_worker(count):
    """The processes that the variables of `keras.distribution.initialize` name."""
    if missing := [variable for variable in VARIABLES if variable not in os.environ]:
        raise DeviceError(
            f"strategy multi_worker needs the environment variables {', '.join(VARIABLES)} and "
            "KERAS_DISTRIBUTION_PROCESS_ID, as keras.distribution.initialize has them. Missing: "
            f"{', '.join(missing)}"
        )
    if count:
        raise DeviceError(
            f"Workers under JAX take all their devices. Received: devices={count}. Leave it out."
        )
    keras.distribution.initialize()
    devices = jax.devices()
    workers = f"worker {jax.process_index() + 1} of {jax.process_count()}"
    return DataParallelDevices(devices, f"{workers}, {len(devices)} devices (DataParallel)")


def tpu(count):
    """TPU chips: one, or all or some of them together."""
    if jax.default_backend() != "tpu":
        raise DeviceError(
            "JAX finds no TPU: on a machine that has one, install `jax[tpu]`. Found: "
            f"{jax.default_backend()}. Ask for strategy one, mirrored or auto."
        )
    return one(count) if count == 1 or jax.device_count() == 1 else mirrored(count)
