"""The position-wise feed-forward network."""

import keras

from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.layer import Layer


@keras.saving.register_keras_serializable(package="keras_transformer")
class FeedForward(Layer):
    """Position-wise feed-forward network: two dense layers with an activation between them.

    Computes `max(0, x W1 + b1) W2 + b2` at every position separately (equation 2, section 3.3 in
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)).

    Args:
        d_model: Integer. Width of the input and of the output.
        d_ff: Integer. Width of the hidden layer.
        activation: String or callable. Activation of the hidden layer; `"relu"` in the paper.
        dropout_rate: Float. Fraction of the hidden layer's output to drop during training; 0 in
            the paper.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.

    Returns:
        Tensor of shape `(B, T, d_model)`.

    Example:

    >>> tuple(FeedForward(d_model=8, d_ff=16)(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    def __init__(self, d_model, d_ff, activation="relu", dropout_rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.d_ff = d_ff
        self.activation = keras.activations.get(activation)
        self.dropout_rate = dropout_rate

        dtype = self.dtype_policy
        self.hidden = keras.layers.Dense(d_ff, activation=activation, dtype=dtype, name="hidden")
        self.output_projection = keras.layers.Dense(d_model, dtype=dtype, name="output")
        # A `Dropout` draws a seed as it is created: without one, seeded weights stay as they are.
        self.dropout = Dropout(dropout_rate, dtype=dtype) if dropout_rate else None

    def build(self, input_shape):
        self.hidden.build(input_shape)
        hidden_shape = (*input_shape[:-1], self.d_ff)
        if self.dropout is not None:
            self.dropout.build(hidden_shape)
        self.output_projection.build(hidden_shape)

    def call(self, inputs):
        hidden = self.hidden(inputs)
        hidden = hidden if self.dropout is None else self.dropout(hidden)
        return self.output_projection(hidden)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.d_model)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "d_ff": self.d_ff,
            "activation": keras.activations.serialize(self.activation),
            "dropout_rate": self.dropout_rate,
        }
