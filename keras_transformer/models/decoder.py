"""The decoder of the Transformer: a stack of decoder blocks."""

import keras

from keras_transformer.layers import DecoderBlock
from keras_transformer.models.stack import Stack


@keras.saving.register_keras_serializable(package="keras_transformer")
class Decoder(Stack):
    """A stack of `num_layers` decoder blocks, all of which attend to the same encoder output.

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
        inputs: Embedded target, shape `(B, T, d_model)`.
        encoder_output: Tensor of shape `(B, S, d_model)`.
        attention_mask: Boolean tensor of shape `(B, T, T)` or `(1, T, T)`, `True` = may be
            attended to. Mask of the self-attention. `None` means `causal_mask(T)`.
        memory_mask: Boolean tensor of shape `(B, S)` or `(B, T, S)`. Mask of the cross-attention.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a list with the scores of each block, bottom block first: dicts with `"self"`
        and `"cross"` (see `DecoderBlock`).

    Raises:
        ValueError: As in `DecoderBlock`.

    Example:

    >>> decoder = Decoder(num_layers=2, d_model=8, num_heads=2, d_ff=16)
    >>> tuple(decoder(keras.ops.ones((3, 5, 8)), keras.ops.ones((3, 7, 8))).shape)
    (3, 5, 8)
    """

    block_class = DecoderBlock

    def build(self, inputs_shape, encoder_output_shape=None):
        self.build_blocks(inputs_shape, encoder_output_shape)

    def call(
        self,
        inputs,
        encoder_output,
        attention_mask=None,
        memory_mask=None,
        return_attention_scores=False,
    ):
        x, scores = inputs, []
        for block in self.blocks:
            x, block_scores = block(
                x, encoder_output, attention_mask, memory_mask, return_attention_scores=True
            )
            scores.append(block_scores)
        x = self.normalize_output(x)
        return (x, scores) if return_attention_scores else x

    def project_memory(self, encoder_output):
        """Returns the keys and values of the source for each block; see `DecoderBlock`."""
        return [block.project_memory(encoder_output) for block in self.blocks]

    def init_cache(self, batch_size, length):
        """Returns an empty KV cache for `length` positions for each block."""
        return [block.init_cache(batch_size, length) for block in self.blocks]

    def step(self, inputs, start, cache, attention_mask, memory, memory_mask=None):
        """Processes new positions, given the KV caches of the preceding ones.

        The arguments are those of `DecoderBlock.step`; `cache` and `memory` are lists with an
        element per block.

        Returns:
            A tuple of the output, shape `(B, W, d_model)`; a list of the attention scores of each
            block; and a list of the updated caches.
        """
        x, scores, new_cache = inputs, [], []
        for block, block_cache, block_memory in zip(self.blocks, cache, memory, strict=True):
            x, block_scores, block_cache = block.step(
                x, start, block_cache, attention_mask, block_memory, memory_mask
            )
            scores.append(block_scores)
            new_cache.append(block_cache)
        return self.normalize_output(x), scores, new_cache
