"""Selection of the devices for training."""

import keras

from keras_transformer.distribution.base import DeviceError
from keras_transformer.forking import refused_after_fork

STRATEGIES = ("auto", "one", "mirrored", "multi_worker", "tpu")


@refused_after_fork
def choose_devices(strategy="auto", count=0):
    """Selects and initializes the devices for training.

    Call it before any other TensorFlow or JAX operation.

    Args:
        strategy: `"one"`, a single device; `"mirrored"`, several devices of this machine, which
            split every batch; `"multi_worker"`, the devices of several machines; `"tpu"`; or
            `"auto"`, which selects a strategy by the devices available.
        count: Integer. Number of devices of this machine; 0 takes all.

    Returns:
        `Devices`.

    Raises:
        DeviceError: If an argument is invalid or the devices are not available.

    Example:

    >>> choose_devices("one").replicas
    1
    """
    if strategy not in STRATEGIES:
        raise DeviceError(
            f"strategy must be one of {', '.join(STRATEGIES)}. Received: {strategy!r}"
        )
    if not isinstance(count, int) or count < 0:
        raise DeviceError(f"devices must be an integer, 0 (all) or more. Received: {count!r}")
    backend = keras.backend.backend()
    if backend == "jax":
        from keras_transformer.distribution import jax_devices as factories
    elif backend == "tensorflow":
        from keras_transformer.distribution import tensorflow_devices as factories
    else:
        raise DeviceError(f"Training runs on TensorFlow or JAX. Received: KERAS_BACKEND={backend}")
    if strategy == "auto":
        strategy = factories.auto_strategy(count)
    if strategy == "one" and count > 1:
        raise DeviceError(
            f"strategy one takes one device. Received: devices={count}. Use strategy mirrored."
        )
    return getattr(factories, strategy)(count)
