"""One decoder layer."""

import keras
from keras import ops

from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.masks import causal_mask, expand_mask
from keras_transformer.layers.multi_head_attention import MultiHeadAttention


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecoderBlock(keras.layers.Layer):
    """One decoder layer: masked self-attention, attention to the source, feed-forward network.

    The right half of Figure 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).
    With `cross_attention=False` the middle sub-layer is left out: the block of a language model.

    `call` sees a whole target at once, as in training. `step` sees one new position, or one of
    each beam of a search, and a cache of what the positions before left, as in decoding; both
    give the same numbers.

    Args:
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. How many attention heads share that width.
        d_ff: Integer. Width of the hidden layer of the feed-forward network.
        dropout_rate: Float. Share of each sub-layer's output that is dropped in training.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        cross_attention: Boolean. Whether there is an encoder to attend to.
        activation: Name or function of the feed-forward network's non-linearity.
        use_bias: Boolean. Whether the attentions' projections add a bias.
        epsilon: Float. What the normalisations add to the variance.

    Call arguments:
        inputs: Target positions, shape `(B, T, d_model)`.
        encoder_output: Source positions, shape `(B, S, d_model)`; unused if not `cross_attention`.
        attention_mask: Boolean, `(B, T, T)` or `(1, T, T)`, `True` = may be seen: which
            target positions see which. `None` means `causal_mask`.
        memory_mask: Boolean, `(B, S)` for the real source tokens, or `(B, T, S)`.
        return_attention_scores: Boolean. Whether to return the scores too.

    Returns:
        The positions, `(B, T, d_model)`; with `return_attention_scores`, a tuple with a dict:
        `"self"`, `(B, num_heads, T, T)`, and, if there is an encoder, `"cross"`,
        `(B, num_heads, T, S)`.

    Raises:
        ValueError: An argument makes no sense; or, when called, `encoder_output` is missing or a
            mask is refused (see `MultiHeadAttention`).

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
                "`attention_mask` of a DecoderBlock says who sees whom, (B or 1, T, T). Real "
                "tokens (B, T) become `logical_and(causal_mask(T), real[:, None, :])`; without the "
                "causal mask the future would be seen. Received: shape "
                f"{tuple(attention_mask.shape)}"
            )
        x = self.self_attention_residual.preprocess(inputs)
        own = self.self_attention.project_key_value(x)
        memory = self.project_memory(encoder_output)
        x, scores = self._attend(inputs, x, own, attention_mask, memory, memory_mask)
        return (x, scores) if return_attention_scores else x

    def project_memory(self, encoder_output):
        """Keys and values of the source, `(B, H, S, K)` each: made once, used at every step.

        `None` if there is no encoder.
        """
        if self.cross_attention is None:
            return None
        if encoder_output is None:
            raise ValueError(
                "This DecoderBlock attends to an encoder: call it with `encoder_output`, or make "
                "it with `cross_attention=False`. Received: encoder_output=None"
            )
        return self.cross_attention.project_key_value(encoder_output)

    def init_cache(self, batch_size, length):
        """Keys and values of no position yet, with room for `length`: zeros.

        Keys are `(B, H, K, L)`, as the product with the queries reads them; values `(B, H, L, K)`.
        """
        B, H, K = batch_size, self.self_attention.num_heads, self.self_attention.key_dim
        return (
            ops.zeros((B, H, K, length), dtype=self.compute_dtype),
            ops.zeros((B, H, length, K), dtype=self.compute_dtype),
        )

    def step(self, inputs, start, cache, attention_mask, memory=None, memory_mask=None):
        """A few new positions, after those that the cache holds.

        Args:
            inputs: The new positions, shape `(B, W, d_model)`.
            start: Integer scalar tensor: their keys and values take the cache's places from
                `start` on.
            cache: What `init_cache` or the step before returned.
            attention_mask: Boolean, `(B, W, L)` or `(1, W, L)`, `True` = may be seen: which of
                the cache's places each new position sees, its own among them.
            memory: What `project_memory` returned.
            memory_mask: As in `call`.

        Returns:
            The new positions after the block, `(B, W, d_model)`; the attention scores as in
            `call`; and the cache with the new positions in it.
        """
        x = self.self_attention_residual.preprocess(inputs)
        key, value = self.self_attention.project_key_value(x)
        keys = ops.slice_update(cache[0], (0, 0, 0, start), ops.swapaxes(key, -1, -2))
        values = ops.slice_update(cache[1], (0, 0, start, 0), value)
        own = ops.swapaxes(keys, -1, -2), values
        x, scores = self._attend(inputs, x, own, attention_mask, memory, memory_mask)
        return x, scores, (keys, values)

    def _attend(self, inputs, x, own, attention_mask, memory, memory_mask):
        """The sub-layers, once keys and values are there; `x` is `inputs`, normalised if pre."""
        scores = {}
        attended, scores["self"] = self.self_attention(
            query=x, key_value=own, attention_mask=attention_mask, return_attention_scores=True
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
