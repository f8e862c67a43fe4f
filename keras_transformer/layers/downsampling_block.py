"""The residual block that makes images smaller."""

import keras
from keras import ops

from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.layers.layer import Layer


@keras.saving.register_keras_serializable(package="keras_transformer")
class DownsamplingBlock(Layer):
    """Two separable convolutions with a residual connection, of half the height and width.

    The residual block of the entry flow in
    [Chollet, 2016](https://arxiv.org/abs/1610.02357), Figure 5: twice ReLU, separable convolution
    and normalization, then the maximum of each 3 x 3 places, in steps of 2; the input is added by a
    1 x 1 convolution in steps of 2. The normalization is that of each place over its channels, so
    that images do not depend on those beside them in the batch.

    Args:
        filters: Integer. Number of channels of the output.

    Call arguments:
        inputs: Tensor of shape `(N, height, width, channels)`.

    Returns:
        Tensor of shape `(N, height / 2, width / 2, filters)`, rounded up.

    Example:

    >>> tuple(DownsamplingBlock(filters=16)(keras.ops.ones((3, 7, 4, 5))).shape)
    (3, 4, 2, 16)
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        dtype = self.dtype_policy
        self.convolutions = [
            keras.layers.SeparableConv2D(
                filters, 3, padding="same", use_bias=False, dtype=dtype, name=f"convolution_{n}"
            )
            for n in range(2)
        ]
        self.normalizations = [
            keras.layers.LayerNormalization(epsilon=EPSILON, dtype=dtype, name=f"normalization_{n}")
            for n in range(2)
        ]
        self.pooling = keras.layers.MaxPooling2D(3, 2, "same", dtype=dtype)
        self.shortcut = keras.layers.Conv2D(filters, 1, 2, "same", dtype=dtype, name="shortcut")

    def build(self, inputs_shape):
        shape = inputs_shape
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
            convolution.build(shape)
            shape = (*shape[:-1], self.filters)
            normalization.build(shape)
        self.shortcut.build(inputs_shape)

    def call(self, inputs):
        x = inputs
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
            x = normalization(convolution(ops.relu(x)))
        return self.pooling(x) + self.shortcut(inputs)

    def compute_output_shape(self, inputs_shape):
        count, height, width, _ = inputs_shape
        return (count, -(-height // 2), -(-width // 2), self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
