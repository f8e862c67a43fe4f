"""The encoder layer of the Transformer."""

import keras

from keras_transformer.forking import RefusedAfterFork
from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.masks import expand_mask
from keras_transformer.layers.multi_head_attention import MultiHeadAttention


@keras.saving.register_keras_serializable(package="keras_transformer")
class EncoderBlock(RefusedAfterFork, keras.layers.Layer):
    """One encoder layer: self-attention, then a feed-forward network.

    The left half of Figure 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).
    Input and output have the same shape, so that blocks can be stacked; `Encoder` is such a stack.

    Args:
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. Number of attention heads, each `d_model / num_heads` wide.
        d_ff: Integer. Width of the hidden layer of the feed-forward network.
        dropout_rate: Float. Fraction of each sub-layer's output to drop during training.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        activation: String or callable. Activation of the feed-forward network.
        use_bias: Boolean. Whether the projections of the attention layer have biases.
        epsilon: Float. Added to the variance in layer normalization.

    Call arguments:
        inputs: Source positions, shape `(B, S, d_model)`.
        attention_mask: Boolean tensor, `True` = may be attended to: a padding mask of shape
            `(B, S)`, or one row per query position, `(B, S, S)`. `None` means no mask.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, S, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and the scores, `(B, num_heads, S, S)`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if the mask is invalid (see
            `MultiHeadAttention`).

    Example:

    >>> block = EncoderBlock(d_model=8, num_heads=2, d_ff=16)
    >>> tuple(block(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model,
        num_heads,
        d_ff,
        dropout_rate=0.1,
        norm="post",
        activation="relu",
        use_bias=False,
        epsilon=EPSILON,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_ff = d_ff
        self.dropout_rate = dropout_rate
        self.norm = norm
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.epsilon = epsilon

        dtype = self.dtype_policy
        self.self_attention = MultiHeadAttention(d_model, num_heads, use_bias=use_bias, dtype=dtype)
        self.self_attention_residual = AddAndNorm(dropout_rate, norm, epsilon, dtype=dtype)
        self.feed_forward = FeedForward(d_model, d_ff, activation, dtype=dtype)
        self.feed_forward_residual = AddAndNorm(dropout_rate, norm, epsilon, dtype=dtype)

    def build(self, input_shape):
        self.self_attention.build(input_shape)
        self.self_attention_residual.build(input_shape)
        self.feed_forward.build(input_shape)
        self.feed_forward_residual.build(input_shape)

    def call(self, inputs, attention_mask=None, return_attention_scores=False):
        x = self.self_attention_residual.preprocess(inputs)
        attended, scores = self.self_attention(
            query=x,
            value=x,
            attention_mask=expand_mask(attention_mask),
            return_attention_scores=True,
        )
        x = self.self_attention_residual(inputs, attended)
        transformed = self.feed_forward(self.feed_forward_residual.preprocess(x))
        x = self.feed_forward_residual(x, transformed)
        return (x, scores) if return_attention_scores else x

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "d_ff": self.d_ff,
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
        }
