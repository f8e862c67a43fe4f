"""The decoder of the Transformer: a stack of decoder blocks."""

import keras

from keras_transformer.layers import DecoderBlock
from keras_transformer.models.decoder_stack import DecoderStack
from keras_transformer.models.stack import EqualBlocks


@keras.saving.register_keras_serializable(package="keras_transformer")
class Decoder(EqualBlocks, DecoderStack):
    """A stack of `num_layers` decoder blocks, all of which attend to the same encoder output.

    Section 3.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). A `DecoderStack` of
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

    It is called as `DecoderStack`.

    Raises:
        ValueError: As in `DecoderBlock`.

    Example:

    >>> decoder = Decoder(num_layers=2, d_model=8, num_heads=2, d_ff=16)
    >>> tuple(decoder(keras.ops.ones((3, 5, 8)), keras.ops.ones((3, 7, 8))).shape)
    (3, 5, 8)
    """

    block_class = DecoderBlock
