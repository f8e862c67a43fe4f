"""`Devices`, the base of every choice of devices, and its errors."""

import contextlib


class DeviceError(ValueError):
    """The devices asked for cannot be had; the message says why and what to do."""


class WorkerLostError(RuntimeError):
    """Another worker ended, and without it there is no going on."""


class Devices:
    """One device, which needs nothing; base of the other choices.

    Attributes:
        description: What was taken, for people to read.
        replicas: Into how many equal parts every batch is split.
        is_chief: Whether this process is the one that writes files and scores translations.
        worker: Which of the processes this is, counted from 0.
        workers: How many processes there are.
        computes_alone: Whether a worker can use the weights without the others.
        can_jit: Whether Keras can compile training steps by XLA (`jit_compile=True`).
        wants_one_shape: Whether every new shape of a batch is dear, as on TPUs.
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
        """A context in which to make and compile a model."""
        return contextlib.nullcontext()

    def from_chief(self, value):
        """The number that the chief has, on every worker; each waits until all have asked."""
        return float(value)

    @contextlib.contextmanager
    def chief_first(self):
        """A context that the chief enters and leaves before all other workers enter it."""
        if not self.is_chief:
            self.from_chief(0.0)
        yield
        if self.is_chief:
            self.from_chief(0.0)

    def watched(self):
        """A context in which the loss of another worker becomes a `WorkerLostError`."""
        return contextlib.nullcontext()


def take_devices(found, count, kind, how_to_have_more=""):
    """The first `count` of the devices found, or all; an error if there are not so many."""
    if count > len(found):
        raise DeviceError(
            f"There are fewer devices than asked for: {len(found)} {kind}. Received: "
            f"devices={count}. Ask for fewer, or for 0 to take all{how_to_have_more}."
        )
    return found[:count] if count else found
