"""Residual connection and layer normalization around a sub-layer."""

import keras
from keras import ops

from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.layer import Layer

EPSILON = 1e-6  # as in Tensor2Tensor; Keras' default, 1e-3, changes outputs noticeably


@keras.saving.register_keras_serializable(package="keras_transformer")
class AddAndNorm(Layer):
    """The "Add & Norm" box of Figure 1: dropout, residual connection and layer normalization.

    `norm="post"` is the paper's post-normalization (section 5.4 and Figure 1 in
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)): `norm(x + dropout(f(x)))`.
    `norm="pre"` is the pre-normalization of later Tensor2Tensor versions:
    `x + dropout(f(norm(x)))`. A stack of pre-normalized blocks needs one more normalization of its
    output. With either form, a block applies its sub-layer `f` as

        x = box(inputs, f(box.preprocess(inputs)))

    Args:
        dropout_rate: Float. Fraction of the sub-layer's output to drop during training.
        norm: `"post"` or `"pre"`.
        epsilon: Float. Added to the variance in layer normalization, for numerical stability.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`: the residual, before `preprocess`.
        outputs: Tensor of the same shape: the output of the sub-layer.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If `norm` is neither `"post"` nor `"pre"`, or `dropout_rate` is not in `[0, 1)`.

    Example:

    >>> box = AddAndNorm()
    >>> x = keras.ops.ones((3, 5, 8))
    >>> tuple(box(x, keras.ops.sin(box.preprocess(x))).shape)
    (3, 5, 8)
    """

    def __init__(self, dropout_rate=0.0, norm="post", epsilon=EPSILON, **kwargs):
        super().__init__(**kwargs)
        if norm not in ("post", "pre"):
            raise ValueError(f"`norm` must be 'post' or 'pre'. Received: {norm!r}")
        self.dropout_rate = dropout_rate
        self.norm = norm
        self.epsilon = epsilon

        dtype = self.dtype_policy
        self.dropout = Dropout(dropout_rate, dtype=dtype)
        self.normalization = keras.layers.LayerNormalization(
            epsilon=epsilon, dtype=dtype, name="normalization"
        )

    def build(self, inputs_shape, outputs_shape=None):
        self.dropout.build(inputs_shape)
        self.normalization.build(inputs_shape)

    def preprocess(self, inputs):
        """Returns the input of the sub-layer: normalized if `norm="pre"`, else unchanged."""
        return self.normalization(inputs) if self.norm == "pre" else inputs

    def call(self, inputs, outputs):
        x = ops.add(inputs, self.dropout(outputs))
        return self.normalization(x) if self.norm == "post" else x

    def get_config(self):
        return {
            **super().get_config(),
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "epsilon": self.epsilon,
        }
