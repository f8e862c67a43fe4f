"""The stack of encoder layers."""

import keras

from keras_transformer.layers import EncoderBlock
from keras_transformer.layers.add_and_norm import EPSILON


@keras.saving.register_keras_serializable(package="keras_transformer")
class Encoder(keras.layers.Layer):
    """`num_layers` encoder blocks, each fed by the one below; no two share weights.

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
        inputs: Embedded source, shape `(B, S, d_model)`.
        attention_mask: Boolean, `(B, S)` or `(B, S, S)`, `True` = may be seen.
        return_attention_scores: Boolean. Whether to return the scores too.

    Returns:
        Tensor `(B, S, d_model)`; with `return_attention_scores`, a tuple with a list of the
        blocks' scores, `(B, num_heads, S, S)` each, from the bottom up.

    Raises:
        ValueError: As in `EncoderBlock`.

    Example:

    >>> encoder = Encoder(num_layers=2, d_model=8, num_heads=2, d_ff=16)
    >>> tuple(encoder(keras.ops.ones((3, 5, 8))).shape)
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
            EncoderBlock(
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

    def build(self, input_shape):
        for block in self.blocks:
            block.build(input_shape)
        if self.final_normalization is not None:
            self.final_normalization.build(input_shape)

    def call(self, inputs, attention_mask=None, return_attention_scores=False):
        x, scores = inputs, []
        for block in self.blocks:
            x, block_scores = block(x, attention_mask, return_attention_scores=True)
            scores.append(block_scores)
        if self.final_normalization is not None:
            x = self.final_normalization(x)
        return (x, scores) if return_attention_scores else x

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
