"""The choice of devices: one, several of one machine, those of several machines, TPUs."""

import keras

from keras_transformer.distribution.base import DeviceError

STRATEGIES = ("auto", "one", "mirrored", "multi_worker", "tpu")


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
        from keras_transformer.distribution import jax_devices as choices
    elif backend == "tensorflow":
        from keras_transformer.distribution import tensorflow_devices as choices
    else:
        raise DeviceError(f"Training runs on TensorFlow or JAX. Received: KERAS_BACKEND={backend}")
    if strategy == "auto":
        strategy = choices.best(count)
    if strategy == "one" and count > 1:
        raise DeviceError(
            f"strategy one takes one device. Received: devices={count}. Ask for strategy mirrored."
        )
    return getattr(choices, strategy)(count)
