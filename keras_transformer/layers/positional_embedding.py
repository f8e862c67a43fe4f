"""Token embedding with position encoding."""

import keras
from keras import ops

from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.position_encoders import POSITIONS, LearnedPositions, sinusoids


@keras.saving.register_keras_serializable(package="keras_transformer")
class PositionalEmbedding(Layer):
    """Token embedding, scaled by `sqrt(d_model)`, plus position encoding.

    Sections 3.4 and 3.5 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). The method
    `logits` uses the same token embeddings, without the scale, as weights of the output layer.

    Args:
        vocabulary_size: Integer. Number of token ids.
        d_model: Integer. Width of the embeddings.
        positions: `"paper"` (interleaved sinusoids), `"t2t"` (Tensor2Tensor's sinusoids),
            `"learned"` (trainable encodings), or `None` for no position encoding.
        dropout_rate: Float. Fraction of the sum to drop during training.
        max_length: Integer. Number of learned positions; sinusoids have no maximum. A longer
            sequence raises an error, or has NaN embeddings in a graph with a dynamic length.
        use_bias: Boolean. Whether `logits` adds a bias. In the paper it does not.

    Call arguments:
        ids: Integer tensor of shape `(B, T)`.
        positions: Integer tensor that broadcasts to `(B, T)`: the position of each id in its
            sentence. `None` means 0 to T - 1 in every row.

    Returns:
        Tensor of shape `(B, T, d_model)`.

    Raises:
        ValueError: If `positions` is unknown, or `dropout_rate` is not in `[0, 1)`; or, when
            called, if a sequence is longer than the number of learned positions.

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

        def initializer():  # one object per layer: used twice, it returns the same numbers twice
            return keras.initializers.RandomNormal(stddev=d_model**-0.5)

        self.tokens = keras.layers.ReversibleEmbedding(
            vocabulary_size,
            d_model,
            embeddings_initializer=initializer(),
            reverse_dtype="float32",
            dtype=dtype,
            name="tokens",
        )
        self.learned_positions = None
        if positions == "learned":
            self.learned_positions = LearnedPositions(
                max_length,
                d_model,
                embeddings_initializer=initializer(),
                dtype=dtype,
                name="positions",
            )
        self.dropout = Dropout(dropout_rate, dtype=dtype)

    def build(self, input_shape):
        self.tokens.build(input_shape)
        if self.learned_positions is not None:
            self.learned_positions.build(input_shape)
        self.dropout.build((*input_shape, self.d_model))
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
        """Returns the logit of every token id: the product of `hidden` and its embedding.

        Args:
            hidden: Tensor of shape `(B, T, d_model)`.
            output_weights: What `output_weights` returned, to compute it only once for many
                decoding steps, or to compute the logits of some ids only; `None` uses the
                embeddings themselves.

        Returns:
            Tensor of shape `(B, T, V)`, float32; `(B, T, M)` for some ids.
        """
        self.build_if_needed((None, None))
        if output_weights is None:
            logits, bias = self.tokens(hidden, reverse=True), self.bias
        else:
            matrix, *bias = output_weights
            bias = bias[0] if bias else None
            logits = ops.matmul(ops.cast(hidden, "float32"), matrix)
        return logits if bias is None else logits + bias

    def output_weights(self, ids=None):
        """Returns a copy of the embeddings in the fastest layout for decoding steps.

        A float32 matrix `(d_model, V)`, which a product with few rows reads sequentially. The copy
        pays off over many steps.

        Args:
            ids: Integer tensor of shape `(B, M)`: the ids of each sentence whose logits are
                computed. `None` means all.

        Returns:
            A tuple of the matrix, and of the bias, if there is one. For some ids, the matrix is
            `(B, d_model, M)` and the bias `(B, 1, M)`. `None` for quantized embeddings, whose
            product is left to Keras.
        """
        self.build_if_needed((None, None))
        vectors = self._float32_vectors()
        if vectors is None:
            return None
        bias = () if self.bias is None else (ops.convert_to_tensor(self.bias),)
        if ids is not None:
            matrix = ops.swapaxes(ops.take(vectors, ids, axis=0), 1, 2)
            return matrix, *(ops.take(one, ids, axis=0)[:, None] for one in bias)
        return ops.transpose(vectors), *bias

    def output_vectors(self):
        """Returns the matrix that `logits` multiplies by, float32 `(V, d_model)`.

        `None` if the logits are not this product alone: with a bias, with quantized embeddings, or
        in a subclass that overrides `logits`.
        """
        self.build_if_needed((None, None))
        overrides_logits = type(self).logits is not PositionalEmbedding.logits
        return None if overrides_logits or self.bias is not None else self._float32_vectors()

    def _float32_vectors(self):
        """Returns the embeddings, rounded as in `logits`; `None` if they are quantized."""
        if self.tokens.quantization_mode is not None:
            return None
        return ops.cast(ops.cast(self.tokens.embeddings, self.compute_dtype), "float32")

    @property
    def max_positions(self):
        """Number of positions that can be encoded; `None` means any number."""
        return self.max_length if self.positions == "learned" else None

    def compute_output_shape(self, ids_shape, positions_shape=None):
        return (*ids_shape, self.d_model)

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
