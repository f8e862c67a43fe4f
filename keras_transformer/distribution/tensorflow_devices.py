"""Devices under TensorFlow: the strategies of `tf.distribute`."""

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

_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


class StrategyDevices(Devices):
    """The devices of a `tf.distribute.Strategy`."""

    can_jit = False  # one program would span all devices; a TPU's is compiled anyway

    def __init__(self, strategy, description):
        super().__init__(description)
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync

    def scope(self):
        return self.strategy.scope()


class WorkerDevices(StrategyDevices):
    """Those of several processes, of which this is one."""

    def __init__(self, strategy, cluster):
        super().__init__(strategy, f"worker {cluster.index + 1} of {cluster.workers}")
        self.worker, self.workers = cluster.index, cluster.workers
        self.is_chief = cluster.index == 0
        self.description += f", {self.replicas} replicas (MultiWorkerMirroredStrategy)"

    def from_chief(self, value):
        with self.watched():
            result = self._of_first_replica(tf.constant(value, tf.float64))
        return float(self.strategy.experimental_local_results(result)[0])

    @functools.cached_property
    def _of_first_replica(self):
        def replica(value):
            context = tf.distribute.get_replica_context()
            own = tf.where(tf.equal(context.replica_id_in_sync_group, 0), value, 0.0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

        return tf.function(lambda value: self.strategy.run(replica, (value,)), autograph=False)

    @contextlib.contextmanager
    def watched(self):
        try:
            yield
        except _LOST as error:
            raise WorkerLostError(
                f"Another of the {self.workers} workers has ended, or cannot be reached "
                f"({type(error).__name__})."
            ) from error


def best(count):
    """What there is, as the name of a choice."""
    if "TF_CONFIG" in os.environ:
        return "multi_worker"
    if tf.config.list_physical_devices("TPU"):
        return "tpu"
    several = count > 1 or len(tf.config.list_physical_devices("GPU")) > 1
    return "mirrored" if several and count != 1 else "one"


def one(count):
    """TensorFlow's default: the first GPU, or the CPU."""
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return Devices(f"one {kind}")


def mirrored(count):
    """GPUs of this machine; without any, parts of its CPU, to try out what many devices do."""
    if gpus := tf.config.list_physical_devices("GPU"):
        take_devices(gpus, count, "GPUs")
        devices = take_devices(tf.config.list_logical_devices("GPU"), count, "GPUs")
        description = f"{len(devices)} GPUs (MirroredStrategy)"
    else:
        devices = _parts_of_the_cpu(count)
        description = f"{len(devices)} parts of the CPU (MirroredStrategy), which is not faster"
    names = [device.name for device in devices]
    reduction = None if gpus else tf.distribute.ReductionToOneDevice()
    return StrategyDevices(tf.distribute.MirroredStrategy(names, reduction), description)


def _parts_of_the_cpu(count):
    (cpu,) = tf.config.list_physical_devices("CPU")
    take_devices(range(os.cpu_count()), count, "processors and no GPU")
    known = tf.config.get_logical_device_configuration(cpu) or []
    if len(known) < count:
        parts = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError as error:
            raise DeviceError(
                "The CPU can only be parted before TensorFlow has used it: choose devices first "
                f"in a new process. Received: devices={count}"
            ) from error
    return take_devices(tf.config.list_logical_devices("CPU"), count, "parts of the CPU")


def multi_worker(count):
    """The machines that the environment variable TF_CONFIG names."""
    cluster = read_cluster(os.environ.get("TF_CONFIG"))
    if count:
        take_devices(tf.config.list_physical_devices("GPU"), count, "GPUs")
        tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:count], "GPU")
    patch_log_reduction()
    return WorkerDevices(tf.distribute.MultiWorkerMirroredStrategy(), cluster)


def tpu(count):
    """All chips of a TPU, as the guide of `tf.distribute.TPUStrategy` has it."""
    try:
        importlib.metadata.version("tensorflow-tpu")
    except importlib.metadata.PackageNotFoundError:
        raise DeviceError(
            "TensorFlow finds no TPU: it needs the package tensorflow-tpu, in the versions of "
            "colab/requirements-tpu.txt (`pip install -r colab/requirements-tpu.txt`). Or train "
            "with KERAS_BACKEND=jax, which needs `pip install 'jax[tpu]'`."
        ) from None
    if count:
        raise DeviceError(
            f"strategy tpu takes all chips. Received: devices={count}. Leave devices out."
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=os.environ.get("TPU_NAME", "local")
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise DeviceError(
            f"No TPU could be initialised ({reason}). Run on a machine that has one; if this one "
            "does, compare its packages with colab/requirements-tpu.txt."
        ) from error
    strategy = tf.distribute.TPUStrategy(resolver)
    devices = StrategyDevices(strategy, f"{strategy.num_replicas_in_sync} TPU cores (TPUStrategy)")
    devices.wants_one_shape = True
    return devices
