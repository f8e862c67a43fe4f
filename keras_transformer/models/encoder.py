"""The encoder of the Transformer: a stack of encoder blocks."""

import keras

from keras_transformer.layers import EncoderBlock
from keras_transformer.models.encoder_stack import EncoderStack
from keras_transformer.models.stack import EqualBlocks


@keras.saving.register_keras_serializable(package="keras_transformer")
class Encoder(EqualBlocks, EncoderStack):
    """A stack of `num_layers` encoder blocks, which share no weights.

    Section 3.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). An `EncoderStack` of
    blocks of one size.

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
        attention_dropout_rate: Float. Fraction of the attention scores to drop during training;
            0 in the paper.
        feed_forward_dropout_rate: Float. Fraction of the feed-forward networks' hidden layer to
            drop during training; 0 in the paper.

    It is called as `EncoderStack`.

    Raises:
        ValueError: As in `EncoderBlock`.

    Example:

    >>> encoder = Encoder(num_layers=2, d_model=8, num_heads=2, d_ff=16)
    >>> tuple(encoder(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    block_class = EncoderBlock
