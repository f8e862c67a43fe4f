"""Dropout with an inexpensive random number generator."""

import math

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.layer import Layer
from keras_transformer.replicas import replica_id


def random_bits(shape, seed):
    """Returns a pseudorandom 32-bit number for every element of `shape`.

    Each number is a hash of the element's flat index and the seed. Philox, TensorFlow's generator
    behind `keras.random`, takes a considerable part of a small model's training step on a CPU;
    hashing takes a few vectorized integer operations per number.

    Args:
        shape: Tuple of integers or scalar tensors.
        seed: Two integers, or an integer tensor of shape `(2,)`.

    Returns:
        Unsigned 32-bit integer tensor of shape `shape`.

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
    indices = ops.cast(ops.arange(count, dtype="int32"), "uint32")
    return ops.reshape(mix_bits(ops.bitwise_xor(indices, key)), shape)


def random_normal(shape, seed):
    """Returns normally distributed numbers, with mean 0 and standard deviation 1, float32.

    By Box and Muller's method, from two numbers of `random_bits` each.

    Args:
        shape: Tuple of integers or scalar tensors.
        seed: As in `random_bits`.
    """
    bits = ops.right_shift(random_bits((2, *shape), seed), np.uint32(8))
    uniform = (ops.cast(bits, "float32") + 0.5) / 2**24
    return ops.sqrt(-2 * ops.log(uniform[0])) * ops.cos(2 * math.pi * uniform[1])


def mix_bits(x):
    """Hashes unsigned 32-bit integers by Wellons' "lowbias32": three xor-shifts, two products."""
    x = ops.multiply(ops.bitwise_xor(x, ops.right_shift(x, np.uint32(16))), np.uint32(0x7FEB352D))
    x = ops.multiply(ops.bitwise_xor(x, ops.right_shift(x, np.uint32(15))), np.uint32(0x846CA68B))
    return ops.bitwise_xor(x, ops.right_shift(x, np.uint32(16)))


def next_seed(seed_generator):
    """Returns a seed for `random_bits`, unique to this call and replica.

    Args:
        seed_generator: `keras.random.SeedGenerator`, which is advanced.

    Returns:
        Tuple of two unsigned integer scalars.
    """
    seed, counter = ops.unstack(ops.cast(seed_generator.next(), "uint32"))
    replica = ops.cast(replica_id(), "uint32")
    return seed + ops.multiply(replica, np.uint32(0x9E3779B9)), counter


@keras.saving.register_keras_serializable(package="keras_transformer")
class Dropout(Layer):
    """Dropout with inexpensive random numbers and a different mask on each replica.

    During training, sets a random fraction `rate` of the input to zero and scales the rest by
    `1 / (1 - rate)` ([Srivastava et al., 2014](https://jmlr.org/papers/v15/srivastava14a.html)).
    Equivalent to `keras.layers.Dropout` without `noise_shape`, except that the random numbers come
    from `random_bits`, and that the replicas of a model drop different elements; Keras' layer drops
    the same elements on every replica.

    Args:
        rate: Float in `[0, 1)`. Fraction of the input to drop.
        seed: Integer or `None`. Seed of the random numbers.

    Call arguments:
        inputs: Tensor of any shape.
        training: Boolean. Whether to drop elements; if `False`, the input is returned unchanged.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If `rate` is not in `[0, 1)`.

    Example:

    >>> dropped = Dropout(0.5, seed=1)(keras.ops.ones((3, 5)), training=True)
    >>> sorted(set(dropped.numpy().ravel().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(
                "`rate` is the fraction of the input to drop: at least 0, less than 1. "
                f"Received: {rate}"
            )
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        bits = random_bits(ops.shape(inputs), next_seed(self.seed_generator))
        kept = ops.greater_equal(bits, np.uint32(self.rate * 2**32))
        scale = ops.cast(1 / (1 - self.rate), inputs.dtype)
        return ops.where(kept, ops.multiply(inputs, scale), ops.zeros((), inputs.dtype))

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
