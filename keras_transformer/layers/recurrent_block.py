"""A block around a recurrent cell, for the stacks of encoder and decoder."""

import keras
from keras import ops

from keras_transformer.layers.add_and_norm import EPSILON, AddAndNorm
from keras_transformer.layers.cross_attention import AttendsToEncoder
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import key_positions, prompt_padding, require_parts
from keras_transformer.layers.parts import TakesParts
from keras_transformer.layers.recurrence import (
    Recurrence,
    check_cell,
    initial_state,
    output_width,
)


@keras.saving.register_keras_serializable(package="keras_transformer")
class RecurrentBlock(AttendsToEncoder, TakesParts, Layer):
    """A recurrent cell over time, then cross-attention if wanted, for encoder and decoder stacks.

    The sequence-to-sequence models before the Transformer were stacks of such layers. Each of the
    two sub-layers has an "Add & Norm" box. The block has the methods of `DecoderBlock`. As in a
    unidirectional RNN, a position sees itself and the positions before it, in an encoder too; a
    `BidirectionalRecurrentBlock` sees those after it as well.

    In packed rows the state starts anew with each sentence; at padding it is left as it is.

    Args:
        cell: Keras RNN cell, such as `keras.layers.LSTMCell(d_model)`, or `StackedRNNCells`. Its
            output is as wide as the inputs, to which it is added. It has no dropout of its own:
            `dropout_rate` drops its outputs.
        cross_attention: Layer that attends to the output of an encoder, as a rule a
            `MultiHeadAttention`: with `project_key_value`, and called with the same arguments.
            `None` means that the block has no such sub-layer.
        dropout_rate: Float. Fraction of each sub-layer's output to drop during training.
        norm: `"post"` or `"pre"`; see `AddAndNorm`.
        epsilon: Float. Added to the variance in layer normalization.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        encoder_output: Encoder output, shape `(B, S, d_model)`. Must be left out without
            `cross_attention`.
        attention_mask: `AttentionMask`, or the padding mask, a boolean tensor of shape `(B, T)`,
            `True` at real tokens. `None` means no padding.
        memory_mask: `AttentionMask`, or boolean tensor of shape `(B, S)`, the padding mask of
            the source, or `(B, T, S)`. Mask of the cross-attention.
        positions: Integer tensor of shape `(B or 1, T)`: position of each token in its sentence.
            `None` means 0 to T - 1.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and the attention scores: a dict of `"self"`, which is `None`, and `"cross"`;
        `None` without cross-attention.

    Raises:
        ValueError: If an argument is invalid; or, when built, if the cell is not as described;
            or, when called, if `encoder_output` is missing or not expected, or the mask has a row
            per position.

    Example:

    >>> block = RecurrentBlock(keras.layers.GRUCell(8))
    >>> tuple(block(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    PARTS = ("cell", "cross_attention")

    def __init__(
        self,
        cell,
        cross_attention=None,
        dropout_rate=0.1,
        norm="post",
        epsilon=EPSILON,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cell = cell
        self.cross_attention = cross_attention
        self.dropout_rate = dropout_rate
        self.norm = norm
        self.epsilon = epsilon
        self.cell_residual = self._residual()
        self.cross_attention_residual = None if cross_attention is None else self._residual()

    def _residual(self):
        return AddAndNorm(self.dropout_rate, self.norm, self.epsilon, dtype=self.dtype_policy)

    def standard_part(self, name):
        return None

    @property
    def d_model(self):
        """Width of the output of the cell."""
        return output_width(self.cell)

    def build(self, inputs_shape, encoder_output_shape=None):
        self._check_cell(inputs_shape)
        self.build_part("cell", (inputs_shape[0], inputs_shape[-1]))
        self.cell_residual.build(inputs_shape)
        self.recurrence = Recurrence(self.cell, dtype=self.dtype_policy)
        self.recurrence.build(inputs_shape)
        if self.cross_attention is not None:
            if self.cross_attention_residual is None:  # the part was assigned later
                self.cross_attention_residual = self._residual()
            self.build_part("cross_attention", inputs_shape, encoder_output_shape or inputs_shape)
            self.cross_attention_residual.build(inputs_shape)

    def _check_cell(self, inputs_shape):
        check_cell(self.cell, self)
        if self.d_model != inputs_shape[-1]:
            cell = type(self.cell).__name__
            raise ValueError(
                "The output of the cell of a RecurrentBlock is added to the inputs, so it must be "
                f"as wide: create the {cell} with {inputs_shape[-1]} units. Received: a cell with "
                f"{self.d_model} units and inputs of shape {tuple(inputs_shape)}"
            )

    def call(
        self,
        inputs,
        encoder_output=None,
        attention_mask=None,
        memory_mask=None,
        positions=None,
        return_attention_scores=False,
    ):
        mask = require_parts(attention_mask, positions, self)
        x = self.cell_residual.preprocess(inputs)
        outputs, _ = self.recurrence.run(x, mask.padding, positions)
        x = self.cell_residual(inputs, outputs)
        memory = self.project_memory(encoder_output, key_positions(memory_mask))
        x, cross = self.apply_cross_attention(
            x, memory, memory_mask, positions, return_attention_scores
        )
        return (x, self._scores(cross)) if return_attention_scores else x

    def init_cache(self, batch_size, num_beams, length):
        """Returns the state of the cell before the first position, `(B, W, ...)` each."""
        shape = (batch_size, num_beams)
        return keras.tree.map_structure(
            lambda state: ops.broadcast_to(state[:, None], (*shape, *state.shape[1:])),
            initial_state(self.cell, 1),
        )

    def prefill(self, inputs, attention_mask=None, positions=None, memory=(), memory_mask=None):
        """Reads prompts, which stand before the first step, in one pass.

        The arguments are those of `DecoderBlock.prefill`.

        Returns:
            A tuple of the block's output, `(B, P, d_model)`, and the state of the cell at the end
            of each prompt, `(B, ...)` each, for `step`.
        """
        self.build_if_needed(inputs.shape)
        padding = prompt_padding(attention_mask, inputs)
        x = self.cell_residual.preprocess(inputs)
        outputs, states = self.recurrence.run(x, padding, positions)
        x = self.cell_residual(inputs, outputs)
        x, _ = self.apply_cross_attention(x, memory, memory_mask, positions, False)
        return x, keras.tree.pack_sequence_as(initial_state(self.cell, 1), states)

    def step(
        self,
        inputs,
        cache,
        at,
        memory=(),
        memory_mask=None,
        return_attention_scores=False,
        prompt=None,
    ):
        """Processes one new position of each beam, given the state of the cell before it.

        The arguments and the result are those of `DecoderBlock.step`; the memory is the state.
        """
        self.build_if_needed(inputs.shape)
        B, W, D = ops.shape(inputs)

        def of_parent(state, initial):
            inherited = at.inherit(state, initial[:, None])
            return ops.reshape(inherited, (B * W, *state.shape[2:]))

        initial = initial_state(self.cell, 1) if prompt is None else prompt
        states = keras.tree.map_structure(of_parent, cache, initial)
        x = ops.reshape(self.cell_residual.preprocess(inputs), (B * W, D))
        outputs, states = self.cell(x, states)
        states = [ops.reshape(s, (B, W, *s.shape[1:])) for s in keras.tree.flatten(states)]
        x = self.cell_residual(inputs, ops.reshape(outputs, (B, W, D)))
        x, cross = self.apply_cross_attention(
            x, memory, memory_mask, at.beam_positions(), return_attention_scores
        )
        scores = self._scores(cross) if return_attention_scores else None
        return x, scores, keras.tree.pack_sequence_as(cache, states)

    def _scores(self, cross):
        return None if self.cross_attention is None else {"self": None, "cross": cross}

    def get_config(self):
        return {
            **super().get_config(),
            "dropout_rate": self.dropout_rate,
            "norm": self.norm,
            "epsilon": self.epsilon,
        }
