"""Rotary position embedding: positions as angles by which queries and keys are turned."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.layer import Layer

LAYOUTS = ("interleaved", "half")


@keras.saving.register_keras_serializable(package="keras_transformer")
class RotaryEmbedding(Layer):
    """Rotary position embedding, as the `position_encoder` of a `MultiHeadAttention`.

    Turns queries and keys, pair of channels by pair, by angles proportional to their positions:
    the pair `i` of a head of width K by `position * max_wavelength^(-2i/K)`. The product of a query
    and a key then depends only on the distance between them
    ([Su et al., 2021](https://arxiv.org/abs/2104.09864)). Values are not turned, and nothing is
    added to the embeddings.

    It belongs into self-attentions. In cross-attention, whose positions are of different sentences,
    the distance has no meaning: leave it without a position encoder.

    Args:
        max_wavelength: Float. The wavelengths grow from 2 pi to almost this times 2 pi.
        layout: Which channels are a pair: `"interleaved"`, the paper's, 2i and 2i + 1; or `"half"`,
            that of GPT-NeoX, LLaMA and keras-hub, i and i + K/2. The two differ only in the order
            of the channels, but a model must keep to one.

    Call arguments:
        inputs: Projected queries or keys, shape `(B, H, T, K)`, K even.
        positions: Integer tensor of shape `(B or 1, T)`: their positions.

    Returns:
        Tensor of shape `(B, H, T, K)`, of the dtype of `inputs`; the angles are float32.

    Raises:
        ValueError: If `layout` is unknown, or `max_wavelength` is not positive; or, when built, if
            K is odd.

    Example: The second pair turns a hundred times slower than the first.

    >>> x = keras.ops.array([[[[1.0, 0.0, 1.0, 0.0]]]])
    >>> [round(float(number), 2) for number in RotaryEmbedding()(x, np.array([[1]]))[0, 0, 0]]
    [0.54, 0.84, 1.0, 0.01]
    """

    def __init__(self, max_wavelength=10000, layout="interleaved", **kwargs):
        super().__init__(**kwargs)
        if layout not in LAYOUTS:
            raise ValueError(f"`layout` must be one of {', '.join(LAYOUTS)}. Received: {layout!r}")
        if not max_wavelength > 0:
            raise ValueError(f"`max_wavelength` must be greater than 0. Received: {max_wavelength}")
        self.max_wavelength = max_wavelength
        self.layout = layout

    def build(self, inputs_shape):
        if inputs_shape[-1] % 2:
            raise ValueError(
                "A RotaryEmbedding turns pairs of channels, so the width of a head must be even: "
                f"give the MultiHeadAttention another `key_dim`. Received: {inputs_shape[-1]}"
            )

    def call(self, inputs, positions):
        angles = self.angles(positions, inputs.shape[-1])
        cosines, sines = ops.cos(angles)[:, None], ops.sin(angles)[:, None]  # (B or 1, 1, T, K/2)
        x = ops.cast(inputs, "float32")
        first, second = self._pairs(x)
        turned = (first * cosines - second * sines, first * sines + second * cosines)
        return ops.cast(self._join(turned, ops.shape(x)), inputs.dtype)

    def angles(self, positions, key_dim):
        """Returns the angles by which pairs are turned, in radians.

        Args:
            positions: Integer tensor of shape `(B or 1, T)`.
            key_dim: Integer. Width of a head.

        Returns:
            Tensor of shape `(B or 1, T, key_dim / 2)`, float32.
        """
        frequencies = float(self.max_wavelength) ** -(np.arange(0, key_dim, 2) / key_dim)
        return ops.cast(positions, "float32")[..., None] * frequencies.astype("float32")

    def _pairs(self, x):
        """Returns the first channels of all pairs, `(B, H, T, K/2)`, and the second ones."""
        if self.layout == "half":
            return ops.split(x, 2, axis=-1)
        return x[..., 0::2], x[..., 1::2]

    def _join(self, pairs, shape):
        if self.layout == "half":
            return ops.concatenate(pairs, axis=-1)
        return ops.reshape(ops.stack(pairs, axis=-1), shape)

    def compute_output_shape(self, inputs_shape, positions_shape=None):
        return tuple(inputs_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "layout": self.layout,
        }
