"""The decoder layer of the Transformer."""

import keras
from keras import ops

from keras_transformer.forking import RefusedAfterFork
from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.masks import causal_mask, expand_mask
from keras_transformer.layers.multi_head_attention import MultiHeadAttention


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecoderBlock(RefusedAfterFork, keras.layers.Layer):
    """One decoder layer: masked self-attention, cross-attention and a feed-forward network.

    The right half of Figure 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).
    With `cross_attention=False` the block has no cross-attention sub-layer, as in a decoder-only
    language model.

    `call` processes a whole target sequence at once, as in training. `step` processes one new
    position, or one for each beam, with a KV cache of the preceding positions, as in decoding.
    Both compute the same values.

    Args:
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. Number of attention heads, each `d_model / num_heads` wide.
        d_ff: Integer. Width of the hidden layer of the feed-forward network.
        dropout_rate: Float. Fraction of each sub-layer's output to drop during training.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        cross_attention: Boolean. Whether the block attends to the output of an encoder.
        activation: String or callable. Activation of the feed-forward network.
        use_bias: Boolean. Whether the projections of the attention layers have biases.
        epsilon: Float. Added to the variance in layer normalization.

    Call arguments:
        inputs: Target positions, shape `(B, T, d_model)`.
        encoder_output: Encoder output, shape `(B, S, d_model)`. Ignored if
            `cross_attention=False`.
        attention_mask: Boolean tensor of shape `(B, T, T)` or `(1, T, T)`, `True` = may be
            attended to. Mask of the self-attention. `None` means `causal_mask(T)`.
        memory_mask: Boolean tensor of shape `(B, S)`, the padding mask of the source, or
            `(B, T, S)`. Mask of the cross-attention.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a dict of attention scores: `"self"` of shape `(B, num_heads, T, T)` and, with
        cross-attention, `"cross"` of shape `(B, num_heads, T, S)`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if `encoder_output` is missing or a
            mask is invalid (see `MultiHeadAttention`).

    Example:

    >>> block = DecoderBlock(d_model=8, num_heads=2, d_ff=16)
    >>> tuple(block(keras.ops.ones((3, 5, 8)), keras.ops.ones((3, 7, 8))).shape)
    (3, 5, 8)
    """

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
        self.cross_attention = None
        if cross_attention:
            self.cross_attention = MultiHeadAttention(
                d_model, num_heads, use_bias=use_bias, dtype=dtype
            )
            self.cross_attention_residual = AddAndNorm(dropout_rate, norm, epsilon, dtype=dtype)
        self.feed_forward = FeedForward(d_model, d_ff, activation, dtype=dtype)
        self.feed_forward_residual = AddAndNorm(dropout_rate, norm, epsilon, dtype=dtype)

    def build(self, inputs_shape, encoder_output_shape=None):
        self.self_attention.build(inputs_shape)
        self.self_attention_residual.build(inputs_shape)
        if self.cross_attention is not None:
            self.cross_attention.build(inputs_shape, encoder_output_shape)
            self.cross_attention_residual.build(inputs_shape)
        self.feed_forward.build(inputs_shape)
        self.feed_forward_residual.build(inputs_shape)

    def call(
        self,
        inputs,
        encoder_output=None,
        attention_mask=None,
        memory_mask=None,
        return_attention_scores=False,
    ):
        if attention_mask is None:
            attention_mask = causal_mask(ops.shape(inputs)[1])
        if len(attention_mask.shape) == 2:
            raise ValueError(
                "`attention_mask` of a DecoderBlock must have shape (B or 1, T, T). Combine a "
                "padding mask of shape (B, T) with the causal mask, which hides later tokens: "
                "`logical_and(causal_mask(T), padding_mask[:, None, :])`. Received: shape "
                f"{tuple(attention_mask.shape)}"
            )
        x = self.self_attention_residual.preprocess(inputs)
        key_value = self.self_attention.project_key_value(x)
        memory = self.project_memory(encoder_output)
        x, scores = self._apply_sublayers(inputs, x, key_value, attention_mask, memory, memory_mask)
        return (x, scores) if return_attention_scores else x

    def project_memory(self, encoder_output):
        """Projects the encoder output to the keys and values of the cross-attention.

        Decoding computes them once per source and reuses them at every step.

        Args:
            encoder_output: Tensor of shape `(B, S, d_model)`.

        Returns:
            Keys and values, `(B, H, S, K)` each; `None` without cross-attention.

        Raises:
            ValueError: If `encoder_output` is `None` and the block has cross-attention.
        """
        if self.cross_attention is None:
            return None
        if encoder_output is None:
            raise ValueError(
                "This DecoderBlock attends to an encoder: call it with `encoder_output`, or create "
                "it with `cross_attention=False`. Received: encoder_output=None"
            )
        return self.cross_attention.project_key_value(encoder_output)

    def init_cache(self, batch_size, length):
        """Returns an empty KV cache for `length` positions: zeros.

        Keys have shape `(B, H, K, L)`, the layout in which the product with the queries reads
        them; values have shape `(B, H, L, K)`.
        """
        B, H, K = batch_size, self.self_attention.num_heads, self.self_attention.key_dim
        return (
            ops.zeros((B, H, K, length), dtype=self.compute_dtype),
            ops.zeros((B, H, length, K), dtype=self.compute_dtype),
        )

    def step(self, inputs, start, cache, attention_mask, memory=None, memory_mask=None):
        """Processes new positions, given a KV cache of the preceding ones.

        Args:
            inputs: Tensor of shape `(B, W, d_model)`: the new positions.
            start: Integer scalar tensor. The keys and values of the new positions are written to
                places `start` to `start + W - 1` of the cache.
            cache: The KV cache, from `init_cache` or the previous step.
            attention_mask: Boolean tensor of shape `(B, W, L)` or `(1, W, L)`, `True` = may be
                attended to: the cache places visible to each new position, its own included.
            memory: Keys and values of the source, from `project_memory`.
            memory_mask: As in `call`.

        Returns:
            A tuple of the block's output, shape `(B, W, d_model)`; the attention scores, as in
            `call`; and the updated cache.
        """
        x = self.self_attention_residual.preprocess(inputs)
        key, value = self.self_attention.project_key_value(x)
        keys = ops.slice_update(cache[0], (0, 0, 0, start), ops.swapaxes(key, -1, -2))
        values = ops.slice_update(cache[1], (0, 0, start, 0), value)
        key_value = ops.swapaxes(keys, -1, -2), values
        x, scores = self._apply_sublayers(inputs, x, key_value, attention_mask, memory, memory_mask)
        return x, scores, (keys, values)

    def _apply_sublayers(self, inputs, x, key_value, attention_mask, memory, memory_mask):
        """Applies the sub-layers to `inputs`, given the keys and values of both attentions.

        `x` is `self_attention_residual.preprocess(inputs)`, which `key_value` was projected from.
        """
        scores = {}
        attended, scores["self"] = self.self_attention(
            query=x,
            key_value=key_value,
            attention_mask=attention_mask,
            return_attention_scores=True,
        )
        x = self.self_attention_residual(inputs, attended)
        if self.cross_attention is not None:
            attended, scores["cross"] = self.cross_attention(
                query=self.cross_attention_residual.preprocess(x),
                key_value=memory,
                attention_mask=expand_mask(memory_mask),
                return_attention_scores=True,
            )
            x = self.cross_attention_residual(x, attended)
        transformed = self.feed_forward(self.feed_forward_residual.preprocess(x))
        return self.feed_forward_residual(x, transformed), scores

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "d_ff": self.d_ff,
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "cross_attention": self.cross_attention is not None,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
        }
