"""A stack of any encoder blocks."""

import keras

from keras_transformer.layers.layer import with_scores
from keras_transformer.models.stack import Stack


@keras.saving.register_keras_serializable(package="keras_transformer")
class EncoderStack(Stack):
    """A stack of encoder blocks, which may differ from each other.

    A block is any layer that is called with `inputs`, `attention_mask`, `positions` and, if scores
    are asked for, `return_attention_scores`, such as `EncoderBlock`.

    Args:
        blocks: List of layers, bottom block first.
        final_normalization: Layer to apply to the output of the last block, as pre-normalized
            blocks need it. `None` means none.

    Call arguments:
        inputs: Embedded source, shape `(B, S, d_model)`.
        attention_mask: `AttentionMask`, or boolean tensor of shape `(B, S)` or `(B, S, S)`,
            `True` = may be attended to. `None` means no mask.
        positions: Integer tensor of shape `(B or 1, S)`: position of each token in its sentence.
            `None` means 0 to S - 1.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, S, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a list with the scores of each block, bottom block first, shape
        `(B, num_heads, S, S)` each, or `None` for a block without scores.

    Example:

    >>> from keras_transformer import EncoderBlock
    >>> stack = EncoderStack([EncoderBlock(8, num_heads=2, d_ff=16), EncoderBlock(8, 4, 12)])
    >>> tuple(stack(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    def build(self, inputs_shape):
        self.build_blocks(inputs_shape)

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        x, scores = inputs, []
        for block in self.blocks:
            x, block_scores = with_scores(
                block,
                x,
                attention_mask=attention_mask,
                positions=positions,
                return_attention_scores=return_attention_scores,
            )
            scores.append(block_scores)
        x = self.normalize_output(x)
        return (x, scores) if return_attention_scores else x
