"""One encoder layer."""

import keras

from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.masks import expand_mask
from keras_transformer.layers.multi_head_attention import MultiHeadAttention


@keras.saving.register_keras_serializable(package="keras_transformer")
class EncoderBlock(keras.layers.Layer):
    """One encoder layer: self-attention, then a feed-forward network.

    The left half of Figure 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).
    Stack `num_layers` of them to make the encoder: input and output have the same shape.

    Args:
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. How many attention heads share that width.
        d_ff: Integer. Width of the hidden layer of the feed-forward network.
        dropout_rate: Float. Share of each sub-layer's output that is dropped in training.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        activation: Name or function of the feed-forward network's non-linearity.
        use_bias: Boolean. Whether the attention's projections add a bias.
        epsilon: Float. What the normalisations add to the variance.

    Call arguments:
        inputs: Source positions, shape `(B, S, d_model)`.
        attention_mask: Boolean, `True` = may be seen: `(B, S)` for the real tokens, or
            `(B, S, S)` for who may see whom. `None` lets everything be seen.
        return_attention_scores: Boolean. Whether to return the scores too.

    Returns:
        The positions after they saw each other, `(B, S, d_model)`; with
        `return_attention_scores`, a tuple with the scores, `(B, num_heads, S, S)`.

    Raises:
        ValueError: An argument makes no sense; or, when called, a mask is refused (see
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
