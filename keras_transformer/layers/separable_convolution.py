"""A depthwise-separable convolution over positions."""

import keras
from keras import ops

from keras_transformer.layers.depthwise_convolution import depthwise_convolution
from keras_transformer.layers.grouped_dense import GroupedDense
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import prompt_ends, prompt_padding, require_parts


@keras.saving.register_keras_serializable(package="keras_transformer")
class SeparableConvolution(Layer):
    """Depthwise-separable convolution over time, in place of self-attention.

    Each channel is convolved over time with a kernel of its own; then a dense layer mixes the
    channels of every position. SliceNet ([Kaiser et al., 2017](https://arxiv.org/abs/1706.03059))
    translates with such convolutions. The layer fits `self_attention` and `feed_forward` of
    `EncoderBlock` and `DecoderBlock`. It has no attention scores.

    With `groups`, the convolution is super-separable (section 2.2 there): each group of channels
    has a separable convolution of its own, and groups never mix. Layers that follow each other
    should have numbers of groups without a common divisor, such as 2 and 3.

    In packed rows the kernel stops at the start and at the end of a sentence; padding counts as
    zeros, like what lies outside the row.

    Args:
        d_model: Integer. Width of the output, a multiple of `groups`.
        kernel_size: Integer. Number of positions that an output depends on.
        causal: Boolean. Whether these are the position itself and those before it, as a decoder
            needs it. `False`, for encoders, means as many on both sides: `kernel_size` must then
            be odd, and the layer cannot decode.
        dilation: Integer. Distance between the positions that the kernel meets.
        groups: Integer. Number of groups of channels.
        input_dim: Integer. Width of the input, a multiple of `groups`. `None` means `d_model`.

    Call arguments:
        inputs: Tensor of shape `(B, T, input_dim)`.
        attention_mask: `AttentionMask`, or the padding mask, a boolean tensor of shape `(B, T)`,
            `True` at real tokens. `None` means no padding.
        positions: Integer tensor of shape `(B or 1, T)`: position of each token in its sentence.
            `None` means 0 to T - 1.
        return_attention_scores: Boolean. Whether to return `None` as scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and `None`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if the mask is not one that a
            convolution can observe.

    Example:

    >>> layer = SeparableConvolution(d_model=8, kernel_size=5)
    >>> tuple(layer(keras.ops.ones((3, 7, 8))).shape), layer.count_params()
    ((3, 7, 8), 112)
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
        self._check(d_model, kernel_size, dilation, groups, input_dim)
        if not causal and kernel_size % 2 == 0:
            raise ValueError(
                "`kernel_size` must be odd if `causal=False`, so that as many positions count "
                f"before as after. Received: kernel_size={kernel_size}"
            )
        self.d_model = d_model
        self.kernel_size = kernel_size
        self.causal = causal
        self.dilation = dilation
        self.groups = groups
        self.input_dim = d_model if input_dim is None else input_dim
        self.span = (kernel_size - 1) * dilation
        options = {"dtype": self.dtype_policy, "name": "pointwise"}
        self.pointwise = (
            keras.layers.Dense(d_model, **options)
            if groups == 1
            else GroupedDense(d_model, groups, **options)
        )

    def _check(self, d_model, kernel_size, dilation, groups, input_dim):
        sizes = f"d_model={d_model}, kernel_size={kernel_size}, dilation={dilation}"
        if min(d_model, kernel_size, dilation, groups) < 1:
            raise ValueError(
                "`d_model`, `kernel_size`, `dilation` and `groups` must be at least 1. "
                f"Received: {sizes}, groups={groups}"
            )
        if d_model % groups or (input_dim or d_model) % groups:
            raise ValueError(
                "`d_model` and `input_dim` must be multiples of `groups`, so that groups of "
                f"channels have equal widths. Received: d_model={d_model}, input_dim={input_dim}, "
                f"groups={groups}"
            )

    def build(self, inputs_shape):
        if inputs_shape[-1] != self.input_dim:
            name = "d_model" if self.input_dim == self.d_model else "input_dim"
            raise ValueError(
                f"Inputs of this SeparableConvolution must be as wide as `{name}={self.input_dim}`."
                f" Received: inputs of shape {tuple(inputs_shape)}"
            )
        self.depthwise_kernel = self.add_weight(
            shape=(self.kernel_size, self.input_dim),
            initializer="lecun_uniform",  # the fan-in is `kernel_size`, so variance is kept
            name="depthwise_kernel",
        )
        self.pointwise.build(inputs_shape)

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        mask = require_parts(attention_mask, positions, self)
        if mask.causal and not self.causal:
            raise ValueError(
                "The mask hides later positions, which a SeparableConvolution with `causal=False` "
                "sees. Create it with `causal=True`. Received: a causal mask"
            )
        x = inputs
        if mask.padding is not None:
            x = ops.where(mask.padding[:, :, None], x, ops.zeros((), x.dtype))
        if positions is None:
            kernel = ops.cast(self.depthwise_kernel, x.dtype)
            x = depthwise_convolution(x, kernel, self._before(), self.dilation)
        else:
            x = self._weigh(self._taps(x, positions))
        outputs = self.pointwise(x)
        return (outputs, None) if return_attention_scores else outputs

    def init_cache(self, batch_size, num_beams, length):
        """Returns the window of the inputs before the first position, zeros.

        Its shape is `(B, W, span, input_dim)`, where the span of the kernel is
        `(kernel_size - 1) * dilation`.

        Raises:
            ValueError: `causal=False`.
        """
        if not self.causal:
            raise ValueError(
                "A SeparableConvolution with `causal=False` sees later positions, which decoding "
                "does not know yet. Create it with `causal=True` in a decoder."
            )
        shape = (batch_size, num_beams, self.span, self.input_dim)
        return ops.zeros(shape, dtype=self.compute_dtype)

    def prefill(self, inputs, attention_mask=None, positions=None):
        """Reads prompts in one pass.

        Args:
            inputs: Tensor of shape `(B, P, input_dim)`.
            attention_mask: The padding mask of the prompts, boolean `(B, P)`. Padding follows the
                real tokens; a prompt may be empty. `None` means no padding.
            positions: Integer tensor of shape `(B or 1, P)`. `None` means 0 to P - 1.

        Returns:
            A tuple of the outputs, `(B, P, d_model)`, and the window of the inputs at the end of
            each prompt, `(B, span, input_dim)`, for `step`.
        """
        self.build_if_needed(inputs.shape)
        padding = prompt_padding(attention_mask, inputs)
        window = prompt_ends(inputs, padding, self.span)
        return self(inputs, attention_mask=padding, positions=positions), window

    def step(self, inputs, cache, at, return_attention_scores=False, prompt=None):
        """Processes one new position of each beam, given the window of the inputs before it.

        Args:
            inputs: Tensor of shape `(B, W, input_dim)`: the new position of each beam.
            cache: The window, from `init_cache` or the previous step.
            at: `DecodingStep`.
            return_attention_scores: Boolean. Without effect.
            prompt: The window at the end of what stands before the first step, from `prefill`.
                `None` means that there is nothing.

        Returns:
            A tuple of the outputs, `(B, W, d_model)`; `None`; and the updated window.
        """
        self.build_if_needed(inputs.shape)
        initial = 0.0 if prompt is None else prompt[:, None]
        window = ops.concatenate([at.inherit(cache, initial), inputs[:, :, None]], axis=2)
        taps = (window[:, :, i * self.dilation] for i in range(self.kernel_size))
        return self.pointwise(self._weigh(taps)), None, window[:, :, 1:]

    def _before(self):
        """Returns how many positions the kernel reaches back."""
        return self.span if self.causal else self.span // 2

    def _taps(self, x, positions):
        """Yields, for each place of the kernel, what it meets in packed rows, `(B, T, D)`."""
        before = self._before()
        around = (before, self.span - before)
        T = ops.shape(x)[1]
        padded = ops.pad(x, ((0, 0), around, (0, 0)))
        others = ops.pad(positions, ((0, 0), around))
        for i in range(0, self.span + 1, self.dilation):
            same_sentence = ops.equal(others[:, i : i + T], positions + (i - before))
            tap = padded[:, i : i + T]
            yield ops.where(same_sentence[:, :, None], tap, ops.zeros((), x.dtype))

    def _weigh(self, taps):
        """Returns the sum of what the kernel meets, each times its weight."""
        # `step` runs outside of `__call__`, where Keras does not cast weights.
        kernel = ops.cast(self.depthwise_kernel, self.compute_dtype)
        return sum(tap * kernel[i] for i, tap in enumerate(taps))

    def compute_output_shape(self, inputs_shape, *other_shapes, **named_shapes):
        return (*inputs_shape[:-1], self.d_model)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "kernel_size": self.kernel_size,
            "causal": self.causal,
            "dilation": self.dilation,
            "groups": self.groups,
            "input_dim": self.input_dim,
        }
