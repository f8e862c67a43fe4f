"""The encoder of the Transformer: a stack of encoder blocks."""

import keras

from keras_transformer.layers import EncoderBlock
from keras_transformer.layers.add_and_norm import EPSILON


@keras.saving.register_keras_serializable(package="keras_transformer")
class Encoder(keras.layers.Layer):
    """A stack of `num_layers` encoder blocks, which share no weights.

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
        inputs: Embedded source, shape `(B, S, d_model)`.
        attention_mask: Boolean tensor of shape `(B, S)` or `(B, S, S)`, `True` = may be attended
            to. `None` means no mask.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, S, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and a list with the scores of each block, bottom block first, shape
        `(B, num_heads, S, S)` each.

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
