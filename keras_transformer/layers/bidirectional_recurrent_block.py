"""A block of two recurrent cells, one in each direction, for the stack of an encoder."""

import keras
from keras import ops

from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import require_parts
from keras_transformer.layers.parts import TakesParts
from keras_transformer.layers.recurrence import Recurrence, check_cell, output_width


@keras.saving.register_keras_serializable(package="keras_transformer")
class BidirectionalRecurrentBlock(TakesParts, Layer):
    """Two recurrent cells over time, one from each end of the sentence, for encoder stacks.

    The bidirectional RNN of [Bahdanau et al., 2015](https://arxiv.org/abs/1409.0473), section 3.2,
    with which the encoder of [GNMT](https://arxiv.org/abs/1609.08144), section 3.2, begins: each
    position sees the whole sentence. The outputs of the cells, side by side, are projected to the
    width of the inputs and added to them in an "Add & Norm" box.

    In packed rows both states start anew with each sentence; at padding they are left as they are.

    Args:
        cell: Keras RNN cell, such as `keras.layers.LSTMCell(d_model)`, or `StackedRNNCells`, of any
            width, which goes forwards. It has no dropout of its own: `dropout_rate` drops what is
            projected of its outputs.
        backward_cell: Another such cell, which goes backwards.
        dropout_rate: Float. Fraction of the projected outputs to drop during training.
        norm: `"post"` or `"pre"`; see `AddAndNorm`.
        epsilon: Float. Added to the variance in layer normalization.

    Call arguments:
        inputs: Source positions, shape `(B, S, d_model)`.
        attention_mask: `AttentionMask`, or the padding mask, a boolean tensor of shape `(B, S)`,
            `True` at real tokens. `None` means no padding.
        positions: Integer tensor of shape `(B or 1, S)`: position of each token in its sentence.
            `None` means 0 to S - 1.
        return_attention_scores: Boolean. Whether to return `None` as scores too.

    Returns:
        Tensor of shape `(B, S, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and `None`.

    Raises:
        ValueError: If an argument is invalid; or, when built, if a cell is not as described; or,
            when called, if the mask has a row per position or hides later positions.

    Example:

    >>> block = BidirectionalRecurrentBlock(keras.layers.LSTMCell(5), keras.layers.LSTMCell(5))
    >>> tuple(block(keras.ops.ones((3, 7, 8))).shape)
    (3, 7, 8)
    """

    PARTS = ("cell", "backward_cell")

    def __init__(
        self, cell, backward_cell, dropout_rate=0.1, norm="post", epsilon=EPSILON, **kwargs
    ):
        super().__init__(**kwargs)
        self.cell = cell
        self.backward_cell = backward_cell
        self.dropout_rate = dropout_rate
        self.norm = norm
        self.epsilon = epsilon
        self.residual = AddAndNorm(dropout_rate, norm, epsilon, dtype=self.dtype_policy)

    def standard_part(self, name):
        return None

    def build(self, inputs_shape):
        dtype, width = self.dtype_policy, 0
        for name in self.PARTS:
            cell = getattr(self, name)
            check_cell(cell, self)
            self.build_part(name, (inputs_shape[0], inputs_shape[-1]))
            width += output_width(cell)
        self.recurrence = Recurrence(self.cell, dtype=dtype)
        self.backward_recurrence = Recurrence(self.backward_cell, go_backwards=True, dtype=dtype)
        for recurrence in (self.recurrence, self.backward_recurrence):
            recurrence.build(inputs_shape)
        self.output_projection = keras.layers.Dense(inputs_shape[-1], dtype=dtype, name="output")
        self.output_projection.build((*inputs_shape[:-1], width))
        self.residual.build(inputs_shape)

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        mask = require_parts(attention_mask, positions, self)
        if mask.causal:
            raise ValueError(
                "The mask hides later positions, which a BidirectionalRecurrentBlock sees. Use a "
                "RecurrentBlock. Received: a causal mask"
            )
        x = self.residual.preprocess(inputs)
        forward, _ = self.recurrence.run(x, mask.padding, positions)
        backward, _ = self.backward_recurrence.run(x, mask.padding, positions)
        outputs = self.output_projection(ops.concatenate([forward, backward], axis=-1))
        x = self.residual(inputs, outputs)
        return (x, None) if return_attention_scores else x

    def get_config(self):
        return {
            **super().get_config(),
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "epsilon": self.epsilon,
        }
