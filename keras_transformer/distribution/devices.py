"""The choice of devices: one, several of one machine, those of several machines, TPUs."""

import contextlib

import keras

STRATEGIES = ("auto", "one", "mirrored", "multi_worker", "tpu")


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


def choose_devices(strategy="auto", count=0):
    """Takes devices for a training. Call it before anything else of TensorFlow or JAX runs.

    Args:
        strategy: `"one"` device; `"mirrored"`, several devices of this machine that share every
            batch; `"multi_worker"`, those of several machines; `"tpu"`; or `"auto"`, which takes
            what there is.
        count: Integer. How many devices of this machine; 0 takes all.

    Returns:
        `Devices`.

    Raises:
        DeviceError: The devices are not there, or not as asked for.

    Example:

    >>> choose_devices("one").replicas
    1
    """
    if strategy not in STRATEGIES:
        raise DeviceError(
            f"strategy must be one of {', '.join(STRATEGIES)}. Received: {strategy!r}"
        )
    if not isinstance(count, int) or count < 0:
        raise DeviceError(f"devices must be an integer, at least 0 for all. Received: {count!r}")
    backend = keras.backend.backend()
    if backend == "jax":
        from keras_transformer.distribution import on_jax as choices
    elif backend == "tensorflow":
        from keras_transformer.distribution import on_tensorflow as choices
    else:
        raise DeviceError(f"Training runs on TensorFlow or JAX. Received: KERAS_BACKEND={backend}")
    if strategy == "auto":
        strategy = choices.best(count)
    if strategy == "one" and count > 1:
        raise DeviceError(
            f"strategy one takes one device. Received: devices={count}. Ask for strategy mirrored."
        )
    return getattr(choices, strategy)(count)


def enough(found, count, kind, how_to_have_more=""):
    """The first `count` of the devices found, or all; an error if there are not so many."""
    if count > len(found):
        raise DeviceError(
            f"There are fewer devices than asked for: {len(found)} {kind}. Received: "
            f"devices={count}. Ask for fewer, or for 0 to take all{how_to_have_more}."
        )
    return found[:count] if count else found
