"""The box around every sub-layer: residual sum and layer normalisation."""

import keras
from keras import ops

from keras_transformer.layers.dropout import Dropout

EPSILON = 1e-6  # Tensor2Tensor's; Keras' own default, 1e-3, changes outputs visibly


@keras.saving.register_keras_serializable(package="keras_transformer")
class AddAndNorm(keras.layers.Layer):
    """The "Add & Norm" box of Figure 1: what goes around a sub-layer.

    `norm="post"`, the paper's (section 5.4 and Figure 1 in
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)): `norm(x + dropout(f(x)))`.
    `norm="pre"`, Tensor2Tensor's later form: `x + dropout(f(norm(x)))`, which needs one more
    normalisation on top of the stack. A block therefore reads, for either:

        x = box(inputs, f(box.preprocess(inputs)))

    Args:
        dropout_rate: Float. Share of the sub-layer's output that is dropped in training.
        norm: `"post"` or `"pre"`.
        epsilon: Float. What the normalisation adds to the variance.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`, what the sub-layer's input was made from.
        outputs: Tensor of the same shape: the sub-layer's output.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: `norm` is another word, or `dropout_rate` is not from 0 to below 1.

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
        self.normalization.build(inputs_shape)

    def preprocess(self, inputs):
        """What the sub-layer is to see."""
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
