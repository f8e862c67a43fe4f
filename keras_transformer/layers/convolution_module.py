"""The convolution module of SliceNet, which is also its encoder block."""

import itertools

import keras

from keras_transformer.layers.composed_steps import ComposedSteps
from keras_transformer.layers.convolution_step import ConvolutionStep
from keras_transformer.layers.dropout import Dropout


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvolutionModule(ComposedSteps):
    """Convolution steps, with the input added to the output of every second one.

    Section 3.1 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.03059), which has four steps,
    with other kernels in its experiments (Table 1). An output depends on
    `1 + sum((kernel_size - 1) * dilation)` positions. The module fits `EncoderStack` and
    `DecoderStack`. It has no attention scores.

    Args:
        d_model: Integer. Width of the input and of the output, a multiple of all `groups`.
        kernel_sizes: List of integers, one for each step: an even number of them.
        dilations: List of as many integers.
        groups: List of integers, used in turns: the numbers of groups of the convolutions. They
            should have no common divisor, so that all channels are mixed.
        causal: Boolean. As in `SeparableConvolution`.
        dropout_rate: Float. Fraction of the output to drop during training, 0.5 in the paper.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        attention_mask: `AttentionMask`, or the padding mask, a boolean tensor of shape `(B, T)`,
            `True` at real tokens. `None` means no padding.
        positions: Integer tensor of shape `(B or 1, T)`: position of each token in its sentence,
            needed in packed rows. `None` means 0 to T - 1.
        return_attention_scores: Boolean. Whether to return `None` as scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and `None`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if the mask is not one that a
            convolution can observe.

    Example:

    >>> module = ConvolutionModule(d_model=12, kernel_sizes=(3, 7, 15, 31), groups=(2, 3))
    >>> tuple(module(keras.ops.ones((3, 5, 12))).shape)
    (3, 5, 12)
    """

    def __init__(
        self,
        d_model,
        kernel_sizes=(3, 3, 15, 15),
        dilations=None,
        groups=(1,),
        causal=True,
        dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        dilations = [1] * len(kernel_sizes) if dilations is None else dilations
        if not kernel_sizes or len(kernel_sizes) % 2 or len(dilations) != len(kernel_sizes):
            raise ValueError(
                "A ConvolutionModule has an even number of steps, each with a kernel size and a "
                f"dilation. Received: kernel_sizes={list(kernel_sizes)}, "
                f"dilations={list(dilations)}"
            )
        if not groups:
            raise ValueError("`groups` must hold one number at least. Received: groups=[]")
        self.d_model = d_model
        self.kernel_sizes = list(kernel_sizes)
        self.dilations = list(dilations)
        self.groups = list(groups)
        self.causal = causal
        self.dropout_rate = dropout_rate
        self.convolution_steps = [
            ConvolutionStep(
                d_model,
                size,
                causal,
                dilation,
                count,
                dtype=self.dtype_policy,
                name=f"step_{number}",
            )
            for number, (size, dilation, count) in enumerate(
                zip(kernel_sizes, dilations, itertools.cycle(groups))
            )
        ]
        self.dropout = Dropout(dropout_rate, dtype=self.dtype_policy) if dropout_rate else None

    def build(self, inputs_shape):
        for step in self.convolution_steps:
            step.build(inputs_shape)
        if self.dropout is not None:
            self.dropout.build(inputs_shape)

    def steps(self):
        return self.convolution_steps

    def compose(self, inputs, run):
        x = inputs
        for first, second in zip(self.steps()[::2], self.steps()[1::2], strict=True):
            x = inputs + run(second, run(first, x))
        return x if self.dropout is None else self.dropout(x)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "kernel_sizes": self.kernel_sizes,
            "dilations": self.dilations,
            "groups": self.groups,
            "causal": self.causal,
            "dropout_rate": self.dropout_rate,
        }
