"""The base class of encoder and decoder blocks: sub-layers with a residual connection each."""

import keras

from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.layer import Layer, with_scores
from keras_transformer.layers.multi_head_attention import MultiHeadAttention
from keras_transformer.layers.parts import TakesParts


class Block(TakesParts, Layer):
    """Base class of `EncoderBlock` and `DecoderBlock`, whose arguments it takes.

    A subclass with `"cross_attention"` among its `PARTS` also passes `cross_attention`.
    """

    PARTS = ("self_attention", "feed_forward")

    def __init__(
        self,
        d_model,
        num_heads,
        d_ff,
        dropout_rate=0.1,
        norm="post",
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
        attends = "cross_attention" in self.PARTS
        cross_attention = kwargs.pop("cross_attention") if attends else False
        super().__init__(**kwargs)
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_ff = d_ff
        self.dropout_rate = dropout_rate
        self.norm = norm
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.epsilon = epsilon
        self.attention_dropout_rate = attention_dropout_rate
        self.feed_forward_dropout_rate = feed_forward_dropout_rate

        def residual():
            return AddAndNorm(dropout_rate, norm, epsilon, dtype=self.dtype_policy)

        # In this order: initializers and dropout draw their seeds as they are created.
        self.self_attention = self.make_part("self_attention", self_attention)
        self.self_attention_residual = residual()
        if attends:
            self.cross_attention = None
            if cross_attention is not False:
                given = None if cross_attention is True else cross_attention
                self.cross_attention = self.make_part("cross_attention", given)
                self.cross_attention_residual = residual()
        self.feed_forward = self.make_part("feed_forward", feed_forward)
        self.feed_forward_residual = residual()

    def standard_part(self, name):
        if name == "feed_forward":
            return FeedForward, {
                "d_model": self.d_model,
                "d_ff": self.d_ff,
                "activation": self.activation,
                "dropout_rate": self.feed_forward_dropout_rate,
            }
        return MultiHeadAttention, {
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "use_bias": self.use_bias,
            "dropout_rate": self.attention_dropout_rate,
        }

    def build(self, inputs_shape, encoder_output_shape=None):
        self.build_part("self_attention", inputs_shape)
        self.self_attention_residual.build(inputs_shape)
        if getattr(self, "cross_attention", None) is not None:
            self.build_part("cross_attention", inputs_shape, encoder_output_shape or inputs_shape)
            self.cross_attention_residual.build(inputs_shape)
        self.build_part("feed_forward", inputs_shape)
        self.feed_forward_residual.build(inputs_shape)

    def apply_self_attention(self, inputs, attention_mask, positions, return_attention_scores):
        """Returns the output of the self-attention sub-layer, and its scores or `None`."""
        outputs, scores = with_scores(
            self.self_attention,
            self.self_attention_residual.preprocess(inputs),
            attention_mask=attention_mask,
            positions=positions,
            return_attention_scores=return_attention_scores,
        )
        return self.self_attention_residual(inputs, outputs), scores

    def apply_feed_forward(self, inputs, attention_mask, positions):
        """Returns the output of the feed-forward sub-layer."""
        x = self.feed_forward_residual.preprocess(inputs)
        options = {}
        if mixes_positions(self.feed_forward):
            options = {"attention_mask": attention_mask, "positions": positions}
        elif getattr(self.feed_forward, "observes_mask", False):
            options = {"attention_mask": attention_mask}
        outputs = self.feed_forward(x, **options)
        return self.feed_forward_residual(inputs, outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "d_ff": self.d_ff,
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
            "attention_dropout_rate": self.attention_dropout_rate,
            "feed_forward_dropout_rate": self.feed_forward_dropout_rate,
        }


def mixes_positions(layer):
    """Returns whether a layer mixes positions: whether it has a memory for decoding steps."""
    return hasattr(layer, "init_cache")
