"""Devices under TensorFlow, by the strategies of `tf.distribute`."""

import contextlib
import functools
import importlib.metadata
import os

import tensorflow as tf

from keras_transformer.distribution.base import (
    DeviceError,
    Devices,
    WorkerLostError,
    take_devices,
)
from keras_transformer.distribution.tf_config import read_cluster
from keras_transformer.keras_patches import patch_log_reduction

_WORKER_LOST_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


class StrategyDevices(Devices):
    """The devices of a `tf.distribute.Strategy`."""

    can_jit = False  # one program would span all devices; TPU programs are compiled anyway

    def __init__(self, strategy, description):
        super().__init__(description)
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync

    def scope(self):
        return self.strategy.scope()


class WorkerDevices(StrategyDevices):
    """The devices of several worker processes."""

    def __init__(self, strategy, cluster):
        super().__init__(strategy, f"worker {cluster.index + 1} of {cluster.workers}")
        self.worker, self.workers = cluster.index, cluster.workers
        self.is_chief = cluster.index == 0
        self.description += f", {self.replicas} replicas (MultiWorkerMirroredStrategy)"

    def from_chief(self, value):
        with self.detect_lost_workers():
            result = self._broadcast_from_first_replica(tf.constant(value, tf.float64))
        return float(self.strategy.experimental_local_results(result)[0])

    @functools.cached_property
    def _broadcast_from_first_replica(self):
        def run_on_replica(value):
            context = tf.distribute.get_replica_context()
            summand = tf.where(tf.equal(context.replica_id_in_sync_group, 0), value, 0.0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, summand)

        return tf.function(
            lambda value: self.strategy.run(run_on_replica, (value,)), autograph=False
        )

    @contextlib.contextmanager
    def detect_lost_workers(self):
        try:
            yield
        except _WORKER_LOST_ERRORS as error:
            raise WorkerLostError(
                f"Another of the {self.workers} workers has exited or cannot be reached "
                f"({type(error).__name__})."
            ) from error


def auto_strategy(count):
    """Returns the name of the strategy for the devices available."""
    if "TF_CONFIG" in os.environ:
        return "multi_worker"
    if tf.config.list_physical_devices("TPU"):
        return "tpu"
    several = count > 1 or len(tf.config.list_physical_devices("GPU")) > 1
    return "mirrored" if several and count != 1 else "one"


def one(count):
    """Returns TensorFlow's default device: the first GPU, or the CPU."""
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return Devices(f"one {kind}")


def mirrored(count):
    """Returns the first `count` GPUs of this machine, or all of them if `count` is 0.

    Without a GPU, splits the CPU into logical devices, to test training on several devices.
    """
    if gpus := tf.config.list_physical_devices("GPU"):
        take_devices(gpus, count, "GPUs")
        devices = take_devices(tf.config.list_logical_devices("GPU"), count, "GPUs")
        description = f"{len(devices)} GPUs (MirroredStrategy)"
    else:
        devices = _logical_cpus(count)
        description = f"{len(devices)} logical CPUs (MirroredStrategy), no faster than one CPU"
    names = [device.name for device in devices]
    reduction = None if gpus else tf.distribute.ReductionToOneDevice()
    return StrategyDevices(tf.distribute.MirroredStrategy(names, reduction), description)


def _logical_cpus(count):
    """Splits the CPU into logical devices, and returns the first `count` of them."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    take_devices(range(os.cpu_count()), count, "processors and no GPU")
    configured = tf.config.get_logical_device_configuration(cpu) or []
    if len(configured) < count:
        configuration = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(cpu, configuration)
        except RuntimeError as error:
            raise DeviceError(
                "The CPU can only be split into logical devices before TensorFlow uses it: call "
                f"`choose_devices` first, in a new process. Received: devices={count}"
            ) from error
    return take_devices(tf.config.list_logical_devices("CPU"), count, "logical CPUs")


def multi_worker(count):
    """Returns the devices of all workers in the environment variable TF_CONFIG."""
    cluster = read_cluster(os.environ.get("TF_CONFIG"))
    if count:
        take_devices(tf.config.list_physical_devices("GPU"), count, "GPUs")
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:count], "GPU")
    patch_log_reduction()
    return WorkerDevices(tf.distribute.MultiWorkerMirroredStrategy(), cluster)


def tpu(count):
    """Returns all cores of a TPU, initialized as in the guide to `tf.distribute.TPUStrategy`."""
    try:
        importlib.metadata.version("tensorflow-tpu")
    except importlib.metadata.PackageNotFoundError:
        raise DeviceError(
            "TensorFlow finds no TPU: it needs the package tensorflow-tpu, in the versions of "
            "colab/requirements-tpu.txt (`pip install -r colab/requirements-tpu.txt`). Or train "
            "with KERAS_BACKEND=jax, which needs `pip install 'jax[tpu]'`."
        ) from None
    if count:
        raise DeviceError(f"strategy tpu takes all chips. Received: devices={count}. Omit devices.")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=os.environ.get("TPU_NAME", "local")
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise DeviceError(
            f"No TPU could be initialized ({reason}). Run on a machine that has a TPU; if this "
            "one does, compare its packages with colab/requirements-tpu.txt."
        ) from error
    strategy = tf.distribute.TPUStrategy(resolver)
    devices = StrategyDevices(strategy, f"{strategy.num_replicas_in_sync} TPU cores (TPUStrategy)")
    devices.wants_one_shape = True
    return devices
