"""Ids to vectors that know what they mean and where they stand."""

import keras
from keras import ops

from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.position_encoders import POSITIONS, LearnedPositions, sinusoids


@keras.saving.register_keras_serializable(package="keras_transformer")
class PositionalEmbedding(keras.layers.Layer):
    """Looks up each id's vector, scales it by `sqrt(d_model)`, adds its position's encoding.

    Sections 3.4 and 3.5 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). The same
    table also turns vectors back into logits (`logits`), there without the scale.

    Args:
        vocabulary_size: Integer. Number of ids.
        d_model: Integer. Width of a vector.
        positions: `"paper"` (interleaved sinusoids), `"t2t"` (Tensor2Tensor's sinusoids),
            `"learned"` (a second table), or `None` for no positions at all.
        dropout_rate: Float. Share of the sum that is dropped in training.
        max_length: Integer. Rows of the learned table; sinusoids have no end. More ids in a row
            are an error, or become NaN where XLA compiles a graph that is to take any length.
        use_bias: Boolean. Whether `logits` adds a bias. The paper's does not.

    Call arguments:
        ids: Integer tensor of shape `(B, T)`.
        positions: Integer tensor that broadcasts to `(B, T)`: where each id stands. `None`
            counts from 0 in every row.

    Returns:
        Tensor of shape `(B, T, d_model)`.

    Raises:
        ValueError: `positions` is another word, `dropout_rate` is not from 0 to below 1; or, when
            called, there are more ids in a row than learned positions.

    Example:

    >>> embedding = PositionalEmbedding(vocabulary_size=11, d_model=8)
    >>> tuple(embedding(keras.ops.array([[4, 2, 9]])).shape)
    (1, 3, 8)
    """

    def __init__(
        self,
        vocabulary_size,
        d_model,
        positions="paper",
        dropout_rate=0.0,
        max_length=1024,
        use_bias=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if positions is not None and positions not in POSITIONS:
            raise ValueError(
                f"`positions` must be one of {', '.join(POSITIONS)}, or None. "
                f"Received: {positions!r}"
            )
        self.vocabulary_size = vocabulary_size
        self.d_model = d_model
        self.positions = positions
        self.dropout_rate = dropout_rate
        self.max_length = max_length
        self.use_bias = use_bias

        dtype = self.dtype_policy

        def normal():  # one for each table: used twice, it would give the same numbers twice
            return keras.initializers.RandomNormal(stddev=d_model**-0.5)

        self.tokens = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            d_model,
            embeddings_initializer=normal(),
            reverse_dtype="float32",
            dtype=dtype,
            name="tokens",
        )
        self.learned_positions = None
        if positions == "learned":
            self.learned_positions = LearnedPositions(
                max_length, d_model, embeddings_initializer=normal(), dtype=dtype, name="positions"
            )
        self.dropout = Dropout(dropout_rate, dtype=dtype)

    def build(self, input_shape):
        self.tokens.build(input_shape)
        if self.learned_positions is not None:
            self.learned_positions.build(input_shape)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.vocabulary_size,), "zeros", dtype="float32", autocast=False, name="bias"
            )

    def call(self, ids, positions=None):
        x = ops.cast(self.tokens(ids), "float32") * self.d_model**0.5
        if self.positions is not None:
            x = x + self._encode_positions(ids, positions)
        return self.dropout(ops.cast(x, self.compute_dtype))

    def _encode_positions(self, ids, positions):
        if self.positions == "learned":
            return self.learned_positions(ids, positions)
        if positions is None:
            positions = ops.arange(ops.shape(ids)[1], dtype="int32")[None]  # (1, T)
        return sinusoids(positions, self.d_model, self.positions)

    def logits(self, hidden, output_weights=None):
        """Scores every id by the product with its vector: `(B, T, d_model)` to `(B, T, V)`.

        Args:
            hidden: Tensor of shape `(B, T, d_model)`.
            output_weights: What `output_weights()` returned, where there are many steps.
        """
        if output_weights is None:
            logits = self.tokens(hidden, reverse=True)
        else:
            hidden = ops.cast(hidden, "float32")
            logits = ops.concatenate([ops.matmul(hidden, part) for part in output_weights], axis=-1)
        return logits if self.bias is None else logits + self.bias

    def output_weights(self):
        """The vectors as a product with few rows reads them fastest: two `(d_model, V / 2)`.

        A copy, worth making once for many steps: it is read in order, and two processors can
        take one half each, which XLA does not do with one product of few rows. `None` where the
        vectors are quantised: their product is Keras' own.
        """
        vectors = self._vectors()
        if vectors is None:
            return None
        half = self.vocabulary_size // 2
        return ops.transpose(vectors[:half]), ops.transpose(vectors[half:])

    def output_vectors(self):
        """What `logits` multiplies with, float32 `(V, d_model)`.

        `None` if it adds a bias too, the vectors are quantised, or a subclass has other `logits`.
        """
        plain = type(self).logits is PositionalEmbedding.logits
        return self._vectors() if plain and self.bias is None else None

    def _vectors(self):
        """The vectors, rounded as in `logits`; `None` where they are quantised."""
        if self.tokens.quantization_mode is not None:
            return None
        return ops.cast(ops.cast(self.tokens.embeddings, self.compute_dtype), "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "d_model": self.d_model,
            "positions": self.positions,
            "dropout_rate": self.dropout_rate,
            "max_length": self.max_length,
            "use_bias": self.use_bias,
        }
