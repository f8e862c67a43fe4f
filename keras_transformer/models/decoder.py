"""The stack of decoder layers."""

import keras

from keras_transformer.layers import DecoderBlock
from keras_transformer.layers.add_and_norm import EPSILON


@keras.saving.register_keras_serializable(package="keras_transformer")
class Decoder(keras.layers.Layer):
    """`num_layers` decoder blocks; every one attends to the same encoder output.

    Section 3.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        num_layers: Integer. How many blocks.
        d_model: Integer. Width of every position.
        num_heads: Integer. Attention heads in each block.
        d_ff: Integer. Width of the feed-forward networks' hidden layer.
        dropout_rate: Float. Share of each sub-layer's output that is dropped in training.
        norm: `"post"`, or `"pre"` with one more normalisation on top of the stack.
        activation: Name or function of the feed-forward networks' non-linearity.
        use_bias: Boolean. Whether the attentions' projections add a bias.
        epsilon: Float. What the normalisations add to the variance.

    Call arguments:
        inputs: Embedded target, shape `(B, T, d_model)`.
        encoder_output: Tensor of shape `(B, S, d_model)`.
        attention_mask: Boolean, `(B, T, T)` or `(1, T, T)`; `None` means `causal_mask`.
        memory_mask: Boolean, `(B, S)` or `(B, T, S)`, `True` = may be seen.
        return_attention_scores: Boolean. Whether to return the scores too.

    Returns:
        Tensor `(B, T, d_model)`; with `return_attention_scores`, a tuple with a list of the
        blocks' scores from the bottom up, each a dict with `"self"` and `"cross"`.

    Raises:
        ValueError: As in `DecoderBlock`.

    Example:

    >>> decoder = Decoder(num_layers=2, d_model=8, num_heads=2, d_ff=16)
    >>> tuple(decoder(keras.ops.ones((3, 5, 8)), keras.ops.ones((3, 7, 8))).shape)
    (3, 5, 8)
    """

    def __init__(
        self,
        num_layers,
        d_model,
        num_heads,
        d_ff,
        dropout_rate=0.1,
        norm="post",
        activation="relu",
        use_bias=False,
        epsilon=EPSILON,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_layers = num_layers
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_ff = d_ff
        self.dropout_rate = dropout_rate
        self.norm = norm
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.epsilon = epsilon

        dtype = self.dtype_policy
        options = {"activation": activation, "use_bias": use_bias, "epsilon": epsilon}
        self.blocks = [
            DecoderBlock(
                d_model,
                num_heads,
                d_ff,
                dropout_rate,
                norm,
                dtype=dtype,
                name=f"block_{i}",
                **options,
            )
            for i in range(num_layers)
        ]
        self.final_normalization = None
        if norm == "pre":
            self.final_normalization = keras.layers.LayerNormalization(epsilon=epsilon, dtype=dtype)

    def build(self, inputs_shape, encoder_output_shape=None):
        for block in self.blocks:
            block.build(inputs_shape, encoder_output_shape)
        if self.final_normalization is not None:
            self.final_normalization.build(inputs_shape)

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
        x = self._finish(x)
        return (x, scores) if return_attention_scores else x

    def project_memory(self, encoder_output):
        """Every block's keys and values of the source, made once for all steps."""
        return [block.project_memory(encoder_output) for block in self.blocks]

    def init_cache(self, batch_size, length):
        """Every block's cache of no position yet, with room for `length` positions."""
        return [block.init_cache(batch_size, length) for block in self.blocks]

    def step(self, inputs, start, cache, attention_mask, memory, memory_mask=None):
        """New positions through the stack; see `DecoderBlock.step`.

        Returns:
            The positions, `(B, W, d_model)`, the blocks' scores and the blocks' caches.
        """
        x, scores, new_cache = inputs, [], []
        for block, block_cache, block_memory in zip(self.blocks, cache, memory, strict=True):
            x, block_scores, block_cache = block.step(
                x, start, block_cache, attention_mask, block_memory, memory_mask
            )
            scores.append(block_scores)
            new_cache.append(block_cache)
        return self._finish(x), scores, new_cache

    def _finish(self, x):
        return x if self.final_normalization is None else self.final_normalization(x)

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "d_ff": self.d_ff,
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
        }
