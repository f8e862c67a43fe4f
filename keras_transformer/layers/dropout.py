"""Dropout whose random numbers cost little to make."""

import keras
import numpy as np
from keras import ops

from keras_transformer.replicas import replica_id


def random_bits(shape, seed):
    """A well-mixed 32-bit number for every place in `shape`: a hash of place and seed.

    On a CPU TensorFlow's generator behind `keras.random`, Philox, takes a good part of a small
    model's training step; hashing the place costs a few vectorised integer operations a number.
    The mixing is Wellons' "lowbias32" (two multiplications, three shifts).

    Args:
        shape: Tuple of integers or scalar tensors.
        seed: Two integers, or an integer tensor of shape `(2,)`.

    Returns:
        Unsigned 32-bit integer tensor of that shape.

    Example:

    >>> bits = random_bits((3, 5), keras.ops.array([1, 2]))
    >>> tuple(bits.shape), keras.backend.standardize_dtype(bits.dtype)
    ((3, 5), 'uint32')
    """
    key = mix_bits(
        ops.bitwise_xor(mix_bits(ops.cast(seed[0], "uint32")), ops.cast(seed[1], "uint32"))
    )
    count = 1
    for size in shape:
        count = count * size
    places = ops.cast(ops.arange(count, dtype="int32"), "uint32")
    return ops.reshape(mix_bits(ops.bitwise_xor(places, key)), shape)


def mix_bits(x):
    x = ops.multiply(ops.bitwise_xor(x, ops.right_shift(x, np.uint32(16))), np.uint32(0x7FEB352D))
    x = ops.multiply(ops.bitwise_xor(x, ops.right_shift(x, np.uint32(15))), np.uint32(0x846CA68B))
    return ops.bitwise_xor(x, ops.right_shift(x, np.uint32(16)))


@keras.saving.register_keras_serializable(package="keras_transformer")
class Dropout(keras.layers.Layer):
    """Sets a random share of its input to zero in training and scales up the rest.

    The same as `keras.layers.Dropout` without `noise_shape`, but for where its random numbers come
    from (`random_bits`), and that the replicas of a model drop different places, where Keras' drop
    the same. [Srivastava et al., 2014](https://jmlr.org/papers/v15/srivastava14a.html).

    Args:
        rate: Float, at least 0 and less than 1. The share that is dropped.
        seed: Integer or `None`. Where the random numbers start.

    Call arguments:
        inputs: Tensor of any shape.
        training: Boolean. Nothing is dropped outside training.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: `rate` is less than 0, or not less than 1.

    Example:

    >>> dropped = Dropout(0.5, seed=1)(keras.ops.ones((3, 5)), training=True)
    >>> sorted(set(dropped.numpy().ravel().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(
                f"`rate` is the share that is dropped: at least 0, less than 1. Received: {rate}"
            )
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        bits = random_bits(ops.shape(inputs), self._next_seed())
        kept = ops.greater_equal(bits, np.uint32(self.rate * 2**32))
        scale = ops.cast(1 / (1 - self.rate), inputs.dtype)
        return ops.where(kept, ops.multiply(inputs, scale), ops.zeros((), inputs.dtype))

    def _next_seed(self):
        """Another at each call and on each replica."""
        own, calls = ops.unstack(ops.cast(self.seed_generator.next(), "uint32"))
        replica = ops.cast(replica_id(), "uint32")
        return own + ops.multiply(replica, np.uint32(0x9E3779B9)), calls

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
