"""The convolution step of SliceNet."""

import keras
from keras import ops

from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.separable_convolution import SeparableConvolution


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvolutionStep(Layer):
    """ReLU, a separable convolution and layer normalization, in this order.

    Section 3.1 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.03059). It is called, and
    decodes, as `SeparableConvolution`.

    Args:
        d_model: Integer. Width of the output.
        kernel_size: Integer. As in `SeparableConvolution`, like the following ones.
        causal: Boolean.
        dilation: Integer.
        groups: Integer.
        input_dim: Integer.

    Raises:
        ValueError: As in `SeparableConvolution`.

    Example:

    >>> step = ConvolutionStep(d_model=8, kernel_size=5, dilation=4, groups=2)
    >>> tuple(step(keras.ops.ones((3, 7, 8))).shape)
    (3, 7, 8)
    """

    def __init__(
        self,
        d_model,
        kernel_size=3,
        causal=True,
        dilation=1,
        groups=1,
        input_dim=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.convolution = SeparableConvolution(
            d_model,
            kernel_size,
            causal,
            dilation,
            groups,
            input_dim,
            dtype=dtype,
            name="convolution",
        )
        self.normalization = keras.layers.LayerNormalization(
            epsilon=EPSILON, dtype=dtype, name="normalization"
        )

    def build(self, inputs_shape):
        self.convolution.build(inputs_shape)
        self.normalization.build((*inputs_shape[:-1], self.convolution.d_model))

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        x = self.convolution(ops.relu(inputs), attention_mask=attention_mask, positions=positions)
        x = self.normalization(x)
        return (x, None) if return_attention_scores else x

    def init_cache(self, batch_size, num_beams, length):
        """Returns the memory of the convolution."""
        return self.convolution.init_cache(batch_size, num_beams, length)

    def prefill(self, inputs, attention_mask=None, positions=None):
        """Reads prompts in one pass, as `SeparableConvolution.prefill` does."""
        self.build_if_needed(inputs.shape)
        x, window = self.convolution.prefill(ops.relu(inputs), attention_mask, positions)
        return self.normalization(x), window

    def step(self, inputs, cache, at, return_attention_scores=False, prompt=None):
        """Processes one new position of each beam, as `SeparableConvolution.step` does."""
        self.build_if_needed(inputs.shape)
        x, _, cache = self.convolution.step(ops.relu(inputs), cache, at, prompt=prompt)
        return self.normalization(x), None, cache

    def compute_output_shape(self, inputs_shape, *other_shapes, **named_shapes):
        return self.convolution.compute_output_shape(inputs_shape)

    def get_config(self):
        convolution = self.convolution
        return {
            **super().get_config(),
            "d_model": convolution.d_model,
            "kernel_size": convolution.kernel_size,
            "causal": convolution.causal,
            "dilation": convolution.dilation,
            "groups": convolution.groups,
            "input_dim": convolution.input_dim,
        }
