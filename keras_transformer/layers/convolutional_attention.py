"""SliceNet's attention to an encoder, with queries made by convolutions."""

import itertools

import keras
from keras import ops

from keras_transformer.layers.attention import dot_product_attention
from keras_transformer.layers.composed_steps import AttendingSteps
from keras_transformer.layers.convolution_step import ConvolutionStep
from keras_transformer.layers.masks import expand_mask
from keras_transformer.layers.position_encoders import sinusoids

KERNEL_SIZE, DILATIONS = 5, (1, 4)


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvolutionalAttention(AttendingSteps):
    """Attention to the output of an encoder, with queries made by convolutions of the target.

    Section 3.2 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.03059). Positions are added to
    the target, two causal convolution steps of kernel size 5 follow, the second with a dilation of
    4, and a single head without projections: `softmax(queries source^T / sqrt(d_model)) source`.
    The paper divides the result of the softmax instead, which Tensor2Tensor does not.

    Args:
        d_model: Integer. Width of the target, of the source and of the output, a multiple of all
            `groups`.
        groups: List of integers, used in turns: the numbers of groups of the convolutions.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        encoder_output: Tensor of shape `(B, S, d_model)`.
        attention_mask: `AttentionMask`, or the padding mask, a boolean tensor of shape `(B, T)`,
            `True` at real tokens. `None` means no padding.
        memory_mask: `AttentionMask`, or boolean tensor of shape `(B, S)`, the padding mask of
            the source, or `(B, T, S)`.
        positions: Integer tensor of shape `(B or 1, T)`: position of each token in its sentence.
            `None` means 0 to T - 1.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a dict of attention scores: `"self"`, `None`, and `"cross"`, float32,
        `(B, 1, T, S)`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if `encoder_output` is missing, or
            the mask is not one that a convolution can observe.

    Example:

    >>> attention = ConvolutionalAttention(d_model=12, groups=(2, 3))
    >>> tuple(attention(keras.ops.ones((3, 5, 12)), keras.ops.ones((3, 7, 12))).shape)
    (3, 5, 12)
    """

    def __init__(self, d_model, groups=(1,), **kwargs):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.groups = list(groups)
        self.convolution_steps = [
            ConvolutionStep(
                d_model,
                KERNEL_SIZE,
                dilation=dilation,
                groups=count,
                dtype=self.dtype_policy,
                name=f"step_{number}",
            )
            for number, (dilation, count) in enumerate(zip(DILATIONS, itertools.cycle(groups)))
        ]

    def build(self, inputs_shape, encoder_output_shape=None):
        for step in self.convolution_steps:
            step.build(inputs_shape)

    def steps(self):
        return self.convolution_steps

    def compose(self, inputs, run):
        positions = run.positions
        if positions is None:
            positions = ops.arange(ops.shape(inputs)[1], dtype="int32")[None]
        x = inputs + ops.cast(sinusoids(positions, self.d_model), inputs.dtype)
        for step in self.steps():
            x = run(step, x)
        mask = expand_mask(run.memory_mask, ops.shape(x)[1])
        mask = None if mask is None else mask[:, None]
        source = run.memory[:, None]
        outputs, run.scores = dot_product_attention(x[:, None], source, source, mask)
        return outputs[:, 0]

    def get_config(self):
        return {**super().get_config(), "d_model": self.d_model, "groups": self.groups}
