"""The encoder of the Transformer: a stack of encoder blocks."""

import keras

from keras_transformer.layers import EncoderBlock
from keras_transformer.models.stack import Stack


@keras.saving.register_keras_serializable(package="keras_transformer")
class Encoder(Stack):
    """A stack of `num_layers` encoder blocks, which share no weights.

    Section 3.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        num_layers: Integer. Number of blocks.
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. Number of attention heads of each block.
        d_ff: Integer. Width of the hidden layer of the feed-forward networks.
        dropout_rate: Float. Fraction of each sub-layer's output to drop during training.
        norm: `"post"`, or `"pre"`, which also normalizes the output of the stack.
        activation: String or callable. Activation of the feed-forward networks.
        use_bias: Boolean. Whether the projections of the attention layers have biases.
        epsilon: Float. Added to the variance in layer normalization.

    Call arguments:
        inputs: Embedded source, shape `(B, S, d_model)`.
        attention_mask: Boolean tensor of shape `(B, S)` or `(B, S, S)`, `True` = may be attended
            to. `None` means no mask.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, S, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a list with the scores of each block, bottom block first, shape
        `(B, num_heads, S, S)` each.

    Raises:
        ValueError: As in `EncoderBlock`.

    Example:

    >>> encoder = Encoder(num_layers=2, d_model=8, num_heads=2, d_ff=16)
    >>> tuple(encoder(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    block_class = EncoderBlock

    def build(self, input_shape):
        self.build_blocks(input_shape)

    def call(self, inputs, attention_mask=None, return_attention_scores=False):
        x, scores = inputs, []
        for block in self.blocks:
            x, block_scores = block(x, attention_mask, return_attention_scores=True)
            scores.append(block_scores)
        x = self.normalize_output(x)
        return (x, scores) if return_attention_scores else x
