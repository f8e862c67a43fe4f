"""The decoder layer of the Transformer."""

import keras

from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.block import Block, mixes_positions
from keras_transformer.layers.cross_attention import AttendsToEncoder
from keras_transformer.layers.layer import read_prompt
from keras_transformer.layers.masks import AttentionMask, key_positions


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecoderBlock(AttendsToEncoder, Block):
    """One decoder layer: masked self-attention, cross-attention and a feed-forward network.

    The right half of Figure 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).
    With `cross_attention=False` the block has no cross-attention sub-layer, as in a decoder-only
    language model.

    `call` processes a whole target sequence at once, as in training. `step` processes one new
    position of each beam, with a memory of the preceding positions, as in decoding. Both compute
    the same values.

    Args:
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. Number of attention heads, each `d_model / num_heads` wide.
        d_ff: Integer. Width of the hidden layer of the feed-forward network.
        dropout_rate: Float. Fraction of each sub-layer's output to drop during training.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        cross_attention: Boolean, whether the block attends to the output of an encoder; or a layer
            to use for it instead of a `MultiHeadAttention` of these sizes, which is called in the
            same way; in packed rows with `key_positions` too.
        activation: String or callable. Activation of the feed-forward network.
        use_bias: Boolean. Whether the projections of the attention layers have biases.
        epsilon: Float. Added to the variance in layer normalization.
        self_attention: Layer to use instead of a `MultiHeadAttention` of these sizes: anything
            that mixes positions and never looks ahead, with `init_cache` and `step` (see
            `DecodingStep`). It is called as in `EncoderBlock`.
        feed_forward: Layer to use instead of a `FeedForward` of these sizes.
        attention_dropout_rate: Float. Fraction of the attention scores to drop during training;
            0 in the paper.
        feed_forward_dropout_rate: Float. Fraction of the feed-forward network's hidden layer to
            drop during training; 0 in the paper.

    Call arguments:
        inputs: Target positions, shape `(B, T, d_model)`.
        encoder_output: Encoder output, shape `(B, S, d_model)`. Must be left out if
            `cross_attention=False`.
        attention_mask: `AttentionMask`, or boolean tensor of shape `(B, T, T)` or `(1, T, T)`,
            `True` = may be attended to. Mask of the self-attention. `None` means a causal mask.
        memory_mask: `AttentionMask`, or boolean tensor of shape `(B, S)`, the padding mask of
            the source, or `(B, T, S)`. Mask of the cross-attention.
        positions: Integer tensor of shape `(B or 1, T)`: position of each token in its sentence.
            `None` means 0 to T - 1.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a dict of attention scores: `"self"` of shape `(B, num_heads, T, T)` and, with
        cross-attention, `"cross"` of shape `(B, num_heads, T, S)`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if `encoder_output` is missing or
            not expected, or a mask is invalid (see `MultiHeadAttention`).

    Example:

    >>> block = DecoderBlock(d_model=8, num_heads=2, d_ff=16)
    >>> tuple(block(keras.ops.ones((3, 5, 8)), keras.ops.ones((3, 7, 8))).shape)
    (3, 5, 8)
    """

    NO_CROSS_ATTENTION = False

    PARTS = ("self_attention", "cross_attention", "feed_forward")

    def __init__(
        self,
        d_model,
        num_heads,
        d_ff,
        dropout_rate=0.1,
        norm="post",
        cross_attention=True,
        activation="relu",
        use_bias=False,
        epsilon=EPSILON,
        *,
        self_attention=None,
        feed_forward=None,
        attention_dropout_rate=0.0,
        feed_forward_dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(
            d_model,
            num_heads,
            d_ff,
            dropout_rate,
            norm,
            activation,
            use_bias,
            epsilon,
            self_attention=self_attention,
            cross_attention=cross_attention,
            feed_forward=feed_forward,
            attention_dropout_rate=attention_dropout_rate,
            feed_forward_dropout_rate=feed_forward_dropout_rate,
            **kwargs,
        )

    def build(self, inputs_shape, encoder_output_shape=None):
        if self.cross_attention is not None and not hasattr(self, "cross_attention_residual"):
            self.cross_attention_residual = AddAndNorm(  # the part was assigned later
                self.dropout_rate, self.norm, self.epsilon, dtype=self.dtype_policy
            )
        super().build(inputs_shape, encoder_output_shape)

    def call(
        self,
        inputs,
        encoder_output=None,
        attention_mask=None,
        memory_mask=None,
        positions=None,
        return_attention_scores=False,
    ):
        mask = self._check_mask(attention_mask)
        x, own = self.apply_self_attention(inputs, mask, positions, return_attention_scores)
        memory = self.project_memory(encoder_output, key_positions(memory_mask))
        x, cross = self.apply_cross_attention(
            x, memory, memory_mask, positions, return_attention_scores
        )
        x = self.apply_feed_forward(x, mask, positions)
        return (x, self._scores(own, cross)) if return_attention_scores else x

    def init_cache(self, batch_size, num_beams, length):
        """Returns the memory of the sub-layers for `length` places of `num_beams` beams each."""
        self.build_if_needed((None, None, self.d_model))
        sizes = (batch_size, num_beams, length)
        mixes = mixes_positions(self.feed_forward)
        return (
            self.self_attention.init_cache(*sizes),
            self.feed_forward.init_cache(*sizes) if mixes else (),
        )

    def prefill(self, inputs, attention_mask=None, positions=None, memory=(), memory_mask=None):
        """Reads prompts, which stand before the first step, in one pass.

        Args:
            inputs: Tensor of shape `(B, P, d_model)`.
            attention_mask: The padding mask of the prompts, boolean `(B, P)`. Padding follows the
                real tokens; a prompt may be empty. `None` means no padding.
            positions: Integer tensor of shape `(B or 1, P)`. `None` means 0 to P - 1.
            memory: As in `step`.
            memory_mask: As in `step`.

        Returns:
            A tuple of the block's output, `(B, P, d_model)`, and what `step` needs to know of the
            prompts.

        Raises:
            ValueError: If a sub-layer cannot read prompts.
        """
        self.build_if_needed((None, None, self.d_model))
        x = self.self_attention_residual.preprocess(inputs)
        outputs, own = read_prompt(self.self_attention, x, attention_mask, positions)
        x = self.self_attention_residual(inputs, outputs)
        x, _ = self.apply_cross_attention(x, memory, memory_mask, positions, False)
        if not mixes_positions(self.feed_forward):
            return self.apply_feed_forward(x, None, None), (own, ())
        inputs, x = x, self.feed_forward_residual.preprocess(x)
        outputs, other = read_prompt(self.feed_forward, x, attention_mask, positions)
        return self.feed_forward_residual(inputs, outputs), (own, other)

    def step(
        self,
        inputs,
        cache,
        at,
        memory=(),
        memory_mask=None,
        return_attention_scores=False,
        prompt=None,
    ):
        """Processes one new position of each beam, given a memory of the preceding ones.

        Args:
            inputs: Tensor of shape `(B, W, d_model)`: the new position of each beam.
            cache: The memory, from `init_cache` or the previous step.
            at: `DecodingStep`.
            memory: Keys and values of the source, from `project_memory`.
            memory_mask: Boolean tensor of shape `(B, S)`, the padding mask of the source.
            return_attention_scores: Boolean. Whether to return the attention scores.
            prompt: What `prefill` returned of the prompts. `None` means that there are none.

        Returns:
            A tuple of the block's output, shape `(B, W, d_model)`; the attention scores, as in
            `call`, or `None`; and the updated memory.
        """
        own_cache, feed_forward_cache = cache
        before = [{}, {}] if prompt is None else [{"prompt": part} for part in prompt]
        options = {"return_attention_scores": True} if return_attention_scores else {}
        x = self.self_attention_residual.preprocess(inputs)
        outputs, own, own_cache = self.self_attention.step(x, own_cache, at, **options, **before[0])
        x = self.self_attention_residual(inputs, outputs)
        x, cross = self.apply_cross_attention(
            x, memory, memory_mask, at.beam_positions(), return_attention_scores
        )
        if mixes_positions(self.feed_forward):
            inputs, x = x, self.feed_forward_residual.preprocess(x)
            outputs, _, feed_forward_cache = self.feed_forward.step(
                x, feed_forward_cache, at, **before[1]
            )
            x = self.feed_forward_residual(inputs, outputs)
        else:
            x = self.apply_feed_forward(x, None, None)
        scores = self._scores(own, cross) if return_attention_scores else None
        return x, scores, (own_cache, feed_forward_cache)

    def _scores(self, own, cross):
        return {"self": own} if self.cross_attention is None else {"self": own, "cross": cross}

    def _check_mask(self, mask):
        """Returns the mask of the self-attention, a causal one if there is none.

        Raises:
            ValueError: It is a padding mask, with which later tokens would be seen.
        """
        if mask is None:
            return AttentionMask(causal=True)
        if not isinstance(mask, AttentionMask) and len(mask.shape) == 2:
            raise ValueError(
                "`attention_mask` of a DecoderBlock must have shape (B or 1, T, T). Combine a "
                "padding mask of shape (B, T) with the causal mask, which hides later tokens: "
                "`logical_and(causal_mask(T), padding_mask[:, None, :])`. Received: shape "
                f"{tuple(mask.shape)}"
            )
        return mask

    def get_config(self):
        config = super().get_config()
        if self.cross_attention is None or config["cross_attention"] is None:
            config["cross_attention"] = self.cross_attention is not None
        return config
