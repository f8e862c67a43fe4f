"""Semantic hashing: vectors become bits, through which gradients pass."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.dropout import next_seed, random_bits, random_normal
from keras_transformer.layers.layer import Layer


def saturating_sigmoid(x):
    """Returns a sigmoid that reaches 0 and 1: `max(0, min(1, 1.2 sigmoid(x) - 0.1))`.

    Equation 1 in [Kaiser and Bengio, 2018](https://arxiv.org/abs/1801.09797). From `|x| = log(11)`
    on, its value is 0 or 1, and its gradient 0.

    Args:
        x: Tensor of any shape.

    Returns:
        Tensor of the same shape.

    Example:

    >>> saturating_sigmoid(keras.ops.array([-3.0, 0.0, 3.0])).numpy().tolist()
    [0.0, 0.5, 1.0]
    """
    return ops.clip(1.2 * ops.sigmoid(x) - 0.1, 0.0, 1.0)


def code_of_bits(bits):
    """Returns the number whose binary digits are given, the lowest one first.

    Args:
        bits: Tensor of shape `(..., bits)`, of 0 and 1.

    Returns:
        Integer tensor of shape `(...)`.

    Example:

    >>> code_of_bits(keras.ops.array([[1, 0, 0], [0, 1, 1]])).numpy().tolist()
    [1, 6]
    """
    powers = ops.convert_to_tensor(2 ** np.arange(bits.shape[-1], dtype="int32"))
    return ops.sum(ops.cast(bits, "int32") * powers, axis=-1)


def bits_of_code(code, bits):
    """Returns the binary digits of numbers, the lowest one first: the inverse of `code_of_bits`.

    Args:
        code: Integer tensor of shape `(...)`.
        bits: Integer. Number of digits.

    Returns:
        Integer tensor of shape `(..., bits)`, of 0 and 1.
    """
    powers = ops.convert_to_tensor(2 ** np.arange(bits, dtype="int32"))
    return ops.floor_divide(ops.cast(code, "int32")[..., None], powers) % 2


@keras.saving.register_keras_serializable(package="keras_transformer")
class SemanticHashing(Layer):
    """Improved semantic hashing: every vector becomes a code of a few bits, and a vector again.

    Section 2 in [Kaiser and Bengio, 2018](https://arxiv.org/abs/1801.09797). A linear layer makes a
    number for each bit, whose sign is the bit. In training, noise is added to it, and what passes
    on is the `saturating_sigmoid` of the sum for a part of the examples; for the others it is the
    bit, with the gradient of the sigmoid. So numbers learn to keep away from 0. No other loss is
    needed.

    The way back is two linear layers, one for the bits that are 1 and one for those that are 0,
    then a network with a hidden layer.

    Args:
        d_model: Integer. Width of the vectors.
        bits: Integer, at most 30. Number of bits of a code.
        noise: Float. Standard deviation of the noise.
        discrete_rate: Float from 0 to 1. Fraction of the examples for which bits pass on.
        d_ff: Integer. Width of the hidden layers of the way back. `None` means `2 * d_model`.
        seed: Integer or `None`. Seed of the noise.

    Call arguments:
        inputs: Tensor of shape `(B, M, d_model)`.
        attention_mask: Has no meaning here: positions do not count each other.
        training: Boolean. Whether noise is added. If not, only bits pass on.

    Returns:
        Tensor of shape `(B, M, d_model)`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> layer = SemanticHashing(d_model=8, bits=5)
    >>> codes = layer.codes(keras.ops.ones((3, 2, 8)))
    >>> tuple(codes.shape), layer.num_codes, tuple(layer.embed(codes).shape)
    ((3, 2), 32, (3, 2, 8))
    """

    def __init__(self, d_model, bits, noise=1.0, discrete_rate=0.5, d_ff=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 1 <= bits <= 30:
            raise ValueError(f"`bits` must be at least 1 and at most 30. Received: {bits}")
        if noise < 0 or not 0 <= discrete_rate <= 1:
            raise ValueError(
                "`noise` must be at least 0, and `discrete_rate` from 0 to 1. Received: "
                f"noise={noise}, discrete_rate={discrete_rate}"
            )
        self.d_model = d_model
        self.bits = bits
        self.noise = noise
        self.discrete_rate = discrete_rate
        self.d_ff = 2 * d_model if d_ff is None else d_ff
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

        def dense(units, name, **options):
            return keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **options)

        self.hashing = dense(bits, "hashing", use_bias=False)
        self.ones = dense(self.d_ff, "ones")
        self.zeros = dense(self.d_ff, "zeros")
        self.hidden = dense(self.d_ff, "hidden", activation="relu")
        self.outputs = dense(d_model, "outputs")

    @property
    def num_codes(self):
        """Number of codes: 2 to the power of `bits`."""
        return 2**self.bits

    def build(self, inputs_shape):
        lead = tuple(inputs_shape[:-1])
        self.hashing.build(inputs_shape)
        self.ones.build((*lead, self.bits))
        self.zeros.build((*lead, self.bits))
        self.hidden.build((*lead, self.d_ff))
        self.outputs.build((*lead, self.d_ff))

    def call(self, inputs, attention_mask=None, training=False):
        return self.embed_bits(self.soft_bits(inputs, training))

    def soft_bits(self, inputs, training=False):
        """Returns what passes on of each bit: a number from 0 to 1, float32 `(B, M, bits)`."""
        self.build_if_needed(inputs.shape)
        numbers = ops.cast(self.hashing(inputs), "float32")
        if not training:
            return ops.cast(numbers > 0, "float32")
        noise = random_normal(ops.shape(numbers), next_seed(self.seed_generator))
        soft = saturating_sigmoid(numbers + self.noise * noise)
        bits = ops.cast(soft > 0.5, "float32")
        discrete = soft + ops.stop_gradient(bits - soft)
        chosen = random_bits((ops.shape(soft)[0], 1, 1), next_seed(self.seed_generator))
        chosen = ops.cast(ops.right_shift(chosen, np.uint32(8)), "float32") / 2**24
        return ops.where(chosen < self.discrete_rate, discrete, soft)

    def codes(self, inputs):
        """Returns the code of each vector, integers `(B, M)` below `num_codes`."""
        return code_of_bits(self.soft_bits(inputs))

    def embed(self, codes):
        """Returns the vector of each code, `(B, M, d_model)`."""
        self.build_if_needed((None, None, self.d_model))
        return self.embed_bits(bits_of_code(codes, self.bits))

    def embed_bits(self, bits):
        """Returns the vectors of bits or of numbers between 0 and 1, `(B, M, d_model)`."""
        bits = ops.cast(bits, self.compute_dtype)
        hidden = self.hidden(ops.relu(self.ones(bits) + self.zeros(1 - bits)))
        return self.outputs(hidden)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "bits": self.bits,
            "noise": self.noise,
            "discrete_rate": self.discrete_rate,
            "d_ff": self.d_ff,
            "seed": self.seed,
        }
