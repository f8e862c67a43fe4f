"""The base class of all device configurations, and its errors."""

import contextlib


class DeviceError(ValueError):
    """Error raised if the requested devices are not available."""


class WorkerLostError(RuntimeError):
    """Error raised if another worker is lost, without which training cannot continue."""


class Devices:
    """A single device; the base class of the other device configurations.

    Attributes:
        description: String. Human-readable description of the devices.
        replicas: Integer. Number of equal parts that every batch is split into.
        is_chief: Boolean. Whether this process is the chief worker, which writes files and scores
            translations.
        worker: Integer. Index of this process among the workers, counted from 0.
        workers: Integer. Number of worker processes.
        computes_alone: Boolean. Whether a worker can compute with the weights without the other
            workers.
        can_jit: Boolean. Whether Keras can compile training steps with XLA (`jit_compile=True`).
        wants_one_shape: Boolean. Whether every new batch shape is expensive to compile, as on TPUs.
    """

    replicas = 1
    is_chief = True
    worker = 0
    workers = 1
    computes_alone = True
    can_jit = True
    wants_one_shape = False

    def __init__(self, description):
        self.description = description

    def scope(self):
        """Returns a context manager in which to create and compile a model."""
        return contextlib.nullcontext()

    def from_chief(self, value):
        """Broadcasts the chief worker's number; each worker waits until all have called it."""
        return float(value)

    @contextlib.contextmanager
    def chief_first(self):
        """Returns a context manager that the chief worker leaves before the others enter it."""
        if not self.is_chief:
            self.from_chief(0.0)
        yield
        if self.is_chief:
            self.from_chief(0.0)

    def detect_lost_workers(self):
        """Returns a context manager that raises `WorkerLostError` if another worker is lost."""
        return contextlib.nullcontext()


def take_devices(found, count, kind, hint=""):
    """Returns the first `count` of the devices found, or all of them if `count` is 0.

    Args:
        found: Sequence of devices.
        count: Integer. Number of devices to take.
        kind: String. Name of the devices in the error message, in the plural.
        hint: String. Further remedy at the end of the error message.

    Raises:
        DeviceError: If there are fewer than `count` devices.
    """
    if count > len(found):
        raise DeviceError(
            f"There are fewer devices than requested: {len(found)} {kind}. Received: "
            f"devices={count}. Request fewer, or 0 to take all{hint}."
        )
    return found[:count] if count else found
