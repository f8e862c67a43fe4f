"""The stack of equal blocks that encoder and decoder share."""

import keras

from keras_transformer.forking import RefusedAfterFork
from keras_transformer.layers.add_and_norm import EPSILON


class Stack(RefusedAfterFork, keras.layers.Layer):
    """Base class of `Encoder` and `Decoder`: `num_layers` blocks, and a norm on top if `"pre"`.

    The arguments are those of its subclasses.

    Attributes:
        block_class: The class of the blocks, set by subclasses.
        blocks: The blocks, from the bottom up.
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
            self.block_class(
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

    def build_blocks(self, *shapes):
        """Builds the blocks, which have the same input shapes, and the final norm."""
        for block in self.blocks:
            block.build(*shapes)
        if self.final_normalization is not None:
            self.final_normalization.build(shapes[0])

    def normalize_output(self, x):
        """Applies the final norm, if there is one."""
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
