"""Cross-attention as a sub-layer of blocks that attend to the output of an encoder."""

from keras import ops

from keras_transformer.layers.layer import with_scores
from keras_transformer.layers.masks import expand_mask, key_positions


class AttendsToEncoder:
    """Mixin of blocks with a sub-layer `cross_attention`, which may be `None`.

    Its residual connection is `cross_attention_residual`, an `AddAndNorm`. The block also has
    `d_model`.

    Attributes:
        NO_CROSS_ATTENTION: The argument `cross_attention` for a block without this sub-layer.
    """

    NO_CROSS_ATTENTION = None

    def project_memory(self, encoder_output=None, positions=None):
        """Projects the encoder output to the keys and values of the cross-attention.

        Decoding computes them once per source and reuses them at every step.

        Args:
            encoder_output: Tensor of shape `(B, S, d_model)`.
            positions: Integer tensor of shape `(B or 1, S)`: position of each source token in its
                sentence. `None`, unless rows are packed, means 0 to S - 1.

        Returns:
            Keys and values, `(B, H, S, K)` each; an empty tuple without cross-attention.

        Raises:
            ValueError: If `encoder_output` is missing, or given without cross-attention.
        """
        block = type(self).__name__
        if self.cross_attention is None:
            if encoder_output is not None:
                raise ValueError(
                    f"This {block} has no cross-attention: call it without `encoder_output`, or "
                    "create it with `cross_attention`. Received: encoder_output of shape "
                    f"{tuple(encoder_output.shape)}"
                )
            return ()
        if encoder_output is None:
            raise ValueError(
                f"This {block} attends to an encoder: call it with `encoder_output`, or create it "
                f"with `cross_attention={self.NO_CROSS_ATTENTION}`. Received: encoder_output=None"
            )
        self.build_if_needed((None, None, self.d_model), encoder_output.shape)
        options = {} if positions is None else {"positions": positions}
        return self.cross_attention.project_key_value(encoder_output, **options)

    def apply_cross_attention(
        self, inputs, memory, memory_mask, positions, return_attention_scores
    ):
        """Returns the output of the cross-attention sub-layer, and its scores or `None`."""
        if self.cross_attention is None:
            return inputs, None
        memory_positions = key_positions(memory_mask)
        packed = {} if memory_positions is None else {"key_positions": memory_positions}
        outputs, scores = with_scores(
            self.cross_attention,
            self.cross_attention_residual.preprocess(inputs),
            key_value=memory,
            attention_mask=expand_mask(memory_mask, ops.shape(inputs)[1]),
            positions=positions,
            return_attention_scores=return_attention_scores,
            **packed,
        )
        return self.cross_attention_residual(inputs, outputs), scores
