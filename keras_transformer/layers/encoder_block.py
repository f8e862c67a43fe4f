"""The encoder layer of the Transformer."""

import keras

from keras_transformer.layers.block import Block
from keras_transformer.layers.masks import AttentionMask


@keras.saving.register_keras_serializable(package="keras_transformer")
class EncoderBlock(Block):
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
        self_attention: Layer to use instead of a `MultiHeadAttention` of these sizes. It is called
            with `inputs`, `attention_mask`, `positions` and, if scores are asked for,
            `return_attention_scores`.
        feed_forward: Layer to use instead of a `FeedForward` of these sizes.
        attention_dropout_rate: Float. Fraction of the attention scores to drop during training;
            0 in the paper.
        feed_forward_dropout_rate: Float. Fraction of the feed-forward network's hidden layer to
            drop during training; 0 in the paper.

    Call arguments:
        inputs: Source positions, shape `(B, S, d_model)`.
        attention_mask: `AttentionMask`, or boolean tensor, `True` = may be attended to: a padding
            mask of shape `(B, S)`, or one row per query position, `(B, S, S)`. `None` means no
            mask.
        positions: Integer tensor of shape `(B or 1, S)`: position of each token in its sentence.
            `None` means 0 to S - 1.
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

    def build(self, input_shape):
        super().build(input_shape)

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        if attention_mask is not None and not isinstance(attention_mask, AttentionMask):
            is_padding = len(attention_mask.shape) == 2
            attention_mask = AttentionMask(attention_mask) if is_padding else attention_mask
        x, scores = self.apply_self_attention(
            inputs, attention_mask, positions, return_attention_scores
        )
        x = self.apply_feed_forward(x, attention_mask, positions)
        return (x, scores) if return_attention_scores else x
