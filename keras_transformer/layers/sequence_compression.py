"""Compression of sequences to fewer positions, and the way back."""

import keras
from keras import ops

from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.layers.layer import Layer


@keras.saving.register_keras_serializable(package="keras_transformer")
class ResidualConvolutions(Layer):
    """Convolutions over positions, with a residual connection around them.

    Each is ReLU, a convolution and layer normalization; their output is added to the input. What
    stands at padding counts as 0.

    Args:
        d_model: Integer. Width of the input and of the output.
        num_convolutions: Integer. Number of convolutions.
        kernel_size: Integer, odd. Number of positions that each sees.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        attention_mask: Boolean tensor of shape `(B, T)`, `True` at real positions. `None` means
            all.

    Returns:
        Tensor of shape `(B, T, d_model)`, 0 at padding.

    Example:

    >>> tuple(ResidualConvolutions(d_model=8)(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    def __init__(self, d_model, num_convolutions=3, kernel_size=3, **kwargs):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.num_convolutions = num_convolutions
        self.kernel_size = kernel_size
        dtype = self.dtype_policy
        self.convolutions = [
            keras.layers.Conv1D(
                d_model, kernel_size, padding="same", dtype=dtype, name=f"convolution_{number}"
            )
            for number in range(num_convolutions)
        ]
        self.normalizations = [
            keras.layers.LayerNormalization(
                epsilon=EPSILON, dtype=dtype, name=f"normalization_{number}"
            )
            for number in range(num_convolutions)
        ]

    def build(self, inputs_shape):
        for layer in [*self.convolutions, *self.normalizations]:
            layer.build(inputs_shape)

    def call(self, inputs, attention_mask=None):
        x = inputs
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
            x = normalization(convolution(masked(ops.relu(x), attention_mask)))
        return masked(inputs + x, attention_mask)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "num_convolutions": self.num_convolutions,
            "kernel_size": self.kernel_size,
        }


@keras.saving.register_keras_serializable(package="keras_transformer")
class SequenceCompressor(Layer):
    """Compresses a sequence: of every 2^c positions, one is left.

    The encoder of the autoencoder in
    [Kaiser and Bengio, 2018](https://arxiv.org/abs/1801.09797), section 3: c times
    `ResidualConvolutions` and a convolution of two positions, in steps of two. Padding does not
    matter: the result is that of the sequence alone.

    Args:
        d_model: Integer. Width of the input and of the output.
        halvings: Integer c.
        kernel_size: Integer, odd. Of the residual convolutions.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        attention_mask: Boolean tensor of shape `(B, T)`, `True` at real positions, which come
            first. `None` means all.

    Returns:
        Tensor of shape `(B, M, d_model)`, with M = T / 2^c, rounded up; 0 where all is padding (see
        `compressed_mask`).

    Example:

    >>> compressor = SequenceCompressor(d_model=8, halvings=3)
    >>> tuple(compressor(keras.ops.ones((3, 17, 8))).shape)
    (3, 3, 8)
    """

    def __init__(self, d_model, halvings=3, kernel_size=3, **kwargs):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.halvings = halvings
        self.kernel_size = kernel_size
        dtype = self.dtype_policy
        self.residuals = [
            ResidualConvolutions(
                d_model, kernel_size=kernel_size, dtype=dtype, name=f"residual_{number}"
            )
            for number in range(halvings)
        ]
        self.steps = [
            keras.layers.Conv1D(d_model, 2, 2, dtype=dtype, name=f"halving_{number}")
            for number in range(halvings)
        ]

    def build(self, inputs_shape):
        for layer in [*self.residuals, *self.steps]:
            layer.build((None, None, self.d_model))  # of any length

    def call(self, inputs, attention_mask=None):
        T, multiple = ops.shape(inputs)[1], 2**self.halvings
        missing, mask = -T % multiple, attention_mask
        if mask is None:
            mask = ops.ones(ops.shape(inputs)[:2], "bool")
        mask = ops.pad(mask, ((0, 0), (0, missing)))
        x = masked(ops.pad(inputs, ((0, 0), (0, missing), (0, 0))), mask)
        for residual, halving in zip(self.residuals, self.steps, strict=True):
            x = halving(residual(x, attention_mask=mask))
            mask = compressed_mask(mask)
            x = masked(x, mask)
        return x

    def compute_output_shape(self, inputs_shape, attention_mask_shape=None):
        B, T, D = inputs_shape
        return (B, None if T is None else -(-T // 2**self.halvings), D)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "halvings": self.halvings,
            "kernel_size": self.kernel_size,
        }


@keras.saving.register_keras_serializable(package="keras_transformer")
class SequenceExpander(Layer):
    """Expands a sequence: every position becomes 2^c.

    The way back from a `SequenceCompressor`: c times `ResidualConvolutions` and a linear layer of
    twice the width, whose output becomes two positions.

    Args:
        d_model: Integer. Width of the input and of the output.
        doublings: Integer c.
        kernel_size: Integer, odd. Of the residual convolutions.

    Call arguments:
        inputs: Tensor of shape `(B, M, d_model)`.
        attention_mask: Boolean tensor of shape `(B, M)`, `True` at real positions, which come
            first. `None` means all.

    Returns:
        Tensor of shape `(B, 2^c M, d_model)`.

    Example:

    >>> tuple(SequenceExpander(d_model=8, doublings=3)(keras.ops.ones((3, 2, 8))).shape)
    (3, 16, 8)
    """

    def __init__(self, d_model, doublings=3, kernel_size=3, **kwargs):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.doublings = doublings
        self.kernel_size = kernel_size
        dtype = self.dtype_policy
        self.residuals = [
            ResidualConvolutions(
                d_model, kernel_size=kernel_size, dtype=dtype, name=f"residual_{number}"
            )
            for number in range(doublings)
        ]
        self.steps = [
            keras.layers.Dense(2 * d_model, dtype=dtype, name=f"doubling_{number}")
            for number in range(doublings)
        ]

    def build(self, inputs_shape):
        for layer in [*self.residuals, *self.steps]:
            layer.build((None, None, self.d_model))  # of any length

    def call(self, inputs, attention_mask=None):
        mask = attention_mask
        x = masked(inputs, mask)
        for residual, doubling in zip(self.residuals, self.steps, strict=True):
            x = doubling(residual(x, attention_mask=mask))
            B, M, _ = ops.shape(x)
            x = ops.reshape(x, (B, 2 * M, self.d_model))
            mask = None if mask is None else ops.repeat(mask, 2, axis=1)
            x = masked(x, mask)
        return x

    def compute_output_shape(self, inputs_shape, attention_mask_shape=None):
        B, M, D = inputs_shape
        return (B, None if M is None else M * 2**self.doublings, D)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "doublings": self.doublings,
            "kernel_size": self.kernel_size,
        }


def masked(x, mask):
    """Returns vectors, `(B, T, d_model)`, with 0 where a mask, `(B, T)` or `None`, is `False`."""
    return x if mask is None else ops.where(mask[:, :, None], x, ops.zeros((), x.dtype))


def compressed_mask(mask, halvings=1):
    """Returns which positions are real after compression: those made of any real position.

    Args:
        mask: Boolean tensor of shape `(B, T)`.
        halvings: Integer c.

    Returns:
        Boolean tensor of shape `(B, M)`, with M = T / 2^c, rounded up.

    Example:

    >>> compressed_mask(keras.ops.array([[True, True, True, False, False]])).numpy().tolist()
    [[True, True, False]]
    """
    multiple = 2**halvings
    B, T = ops.shape(mask)
    mask = ops.pad(mask, ((0, 0), (0, -T % multiple)))
    return ops.any(ops.reshape(mask, (B, (T + multiple - 1) // multiple, multiple)), axis=-1)
