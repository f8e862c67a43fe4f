"""The base class of the stacks of encoder and decoder blocks."""

import keras

from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.parts import (
    TakesParts,
    build_in_place,
    deserialize_part,
)


class Stack(TakesParts, Layer):
    """Base class of `EncoderStack` and `DecoderStack`, whose arguments it takes."""

    PARTS = ("blocks", "final_normalization")

    def __init__(self, blocks, final_normalization=None, **kwargs):
        super().__init__(**kwargs)
        self.blocks = list(blocks)
        self.final_normalization = final_normalization

    def standard_part(self, name):
        return None

    def build_blocks(self, inputs_shape, *other_shapes):
        """Builds the blocks and the final normalization."""
        for number, block in enumerate(self.blocks):
            shapes = other_shapes if attends_to_encoder(block) else ()
            build_in_place(block, self, f"blocks[{number}]", inputs_shape, *shapes)
        if self.final_normalization is not None:
            self.build_part("final_normalization", inputs_shape)

    def normalize_output(self, x):
        """Applies the final normalization, if there is one."""
        return x if self.final_normalization is None else self.final_normalization(x)


def attends_to_encoder(block):
    """Returns whether a block attends to the output of an encoder."""
    return getattr(block, "cross_attention", None) is not None


class EqualBlocks:
    """Mixin of `Encoder` and `Decoder`: a stack of equal blocks, described by their sizes.

    Attributes:
        block_class: The class of the blocks, set by subclasses.
    """

    block_class = None

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
        *,
        attention_dropout_rate=0.0,
        feed_forward_dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__([], **kwargs)
        self.num_layers = num_layers
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
        self.blocks = [
            self.block_class(**self._block_sizes(), dtype=self.dtype_policy, name=f"block_{number}")
            for number in range(num_layers)
        ]
        if norm == "pre":
            self.final_normalization = keras.layers.LayerNormalization(
                epsilon=epsilon, dtype=self.dtype_policy
            )

    def _block_sizes(self):
        return {
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "d_ff": self.d_ff,
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "activation": self.activation,
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
            "attention_dropout_rate": self.attention_dropout_rate,
            "feed_forward_dropout_rate": self.feed_forward_dropout_rate,
        }

    def is_standard(self, name):
        """Returns whether blocks or final normalization are as the sizes say."""
        if name == "final_normalization":
            return self._is_standard_normalization(self.final_normalization)
        are_standard = all(map(self._is_standard_block, self.blocks))
        return are_standard and len(self.blocks) == self.num_layers

    def _is_standard_normalization(self, layer):
        if layer is None or self.norm != "pre":
            return layer is None and self.norm != "pre"
        return type(layer) is keras.layers.LayerNormalization and (
            layer.epsilon,
            layer.center,
            layer.scale,
            layer.rms_scaling,
        ) == (self.epsilon, True, True, False)

    def _is_standard_block(self, block):
        if type(block) is not self.block_class or not all(map(block.is_standard, block.PARTS)):
            return False
        return self._sizes_config().items() <= block.get_config().items()

    def _sizes_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**self._block_sizes(), "activation": activation}

    def get_config(self):
        config = super().get_config()
        standard = [name for name in self.PARTS if config[name] is None and self.is_standard(name)]
        parts = {key: value for key, value in config.items() if key not in standard}
        return {**parts, "num_layers": self.num_layers, **self._sizes_config()}

    @classmethod
    def from_config(cls, config):
        stack = super().from_config({k: v for k, v in config.items() if k not in cls.PARTS})
        for name in cls.PARTS:
            if name in config:
                setattr(stack, name, deserialize_part(config[name]))
        return stack
