"""The decoder blocks of SliceNet: the one at the bottom, and those that follow."""

import keras
from keras import ops

from keras_transformer.layers.composed_steps import AttendingSteps
from keras_transformer.layers.convolution_module import ConvolutionModule
from keras_transformer.layers.convolution_step import ConvolutionStep
from keras_transformer.layers.convolutional_attention import ConvolutionalAttention


@keras.saving.register_keras_serializable(package="keras_transformer")
class InputOutputMixer(AttendingSteps):
    """The bottom block of SliceNet's decoder: mixes the source into the target.

    Section 3.3 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.03059): a convolution step of
    kernel size 3 of what `ConvolutionalAttention` finds for the target, and the target itself,
    side by side. This step has a single group, for others would leave the two apart.

    Args:
        d_model: Integer. Width of the input and of the output, a multiple of all `groups`.
        groups: List of integers: the numbers of groups of the convolutions of the attention.

    It is called as `ConvolutionalAttention`.

    Raises:
        ValueError: As in `ConvolutionalAttention`.

    Example:

    >>> mixer = InputOutputMixer(d_model=12, groups=(2, 3))
    >>> tuple(mixer(keras.ops.ones((3, 5, 12)), keras.ops.ones((3, 7, 12))).shape)
    (3, 5, 12)
    """

    def __init__(self, d_model, groups=(1,), **kwargs):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.groups = list(groups)
        dtype = self.dtype_policy
        self.cross_attention = ConvolutionalAttention(
            d_model, groups, dtype=dtype, name="cross_attention"
        )
        self.mixing = ConvolutionStep(d_model, 3, input_dim=2 * d_model, dtype=dtype, name="mixing")

    def build(self, inputs_shape, encoder_output_shape=None):
        self.cross_attention.build(inputs_shape, encoder_output_shape)
        self.mixing.build((*inputs_shape[:-1], 2 * self.d_model))

    def steps(self):
        return [*self.cross_attention.steps(), self.mixing]

    def compose(self, inputs, run):
        found = self.cross_attention.compose(inputs, run)
        return run(self.mixing, ops.concatenate([found, inputs], axis=-1))

    def get_config(self):
        return {**super().get_config(), "d_model": self.d_model, "groups": self.groups}


@keras.saving.register_keras_serializable(package="keras_transformer")
class AttendingConvolutionModule(AttendingSteps):
    """A decoder block of SliceNet: a convolution module plus attention to the encoder.

    Section 3.3 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.03059): the sum of a causal
    `ConvolutionModule` and a `ConvolutionalAttention` of the same input.

    Args:
        d_model: Integer. Width of the input and of the output, a multiple of all `groups`.
        kernel_sizes: List of integers. As in `ConvolutionModule`, like the following ones.
        dilations: List of integers.
        groups: List of integers, of the attention too.
        dropout_rate: Float.

    It is called as `ConvolutionalAttention`.

    Raises:
        ValueError: As in `ConvolutionModule` and `ConvolutionalAttention`.

    Example:

    >>> block = AttendingConvolutionModule(d_model=12, groups=(2, 3))
    >>> tuple(block(keras.ops.ones((3, 5, 12)), keras.ops.ones((3, 7, 12))).shape)
    (3, 5, 12)
    """

    def __init__(
        self,
        d_model,
        kernel_sizes=(3, 3, 15, 15),
        dilations=None,
        groups=(1,),
        dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.module = ConvolutionModule(
            d_model,
            kernel_sizes,
            dilations,
            groups,
            dropout_rate=dropout_rate,
            dtype=dtype,
            name="module",
        )
        self.cross_attention = ConvolutionalAttention(
            d_model, groups, dtype=dtype, name="cross_attention"
        )

    def build(self, inputs_shape, encoder_output_shape=None):
        self.module.build(inputs_shape)
        self.cross_attention.build(inputs_shape, encoder_output_shape)

    def steps(self):
        return [*self.module.steps(), *self.cross_attention.steps()]

    def compose(self, inputs, run):
        return self.module.compose(inputs, run) + self.cross_attention.compose(inputs, run)

    def get_config(self):
        module = self.module
        return {
            **super().get_config(),
            "d_model": module.d_model,
            "kernel_sizes": module.kernel_sizes,
            "dilations": module.dilations,
            "groups": module.groups,
            "dropout_rate": module.dropout_rate,
        }
