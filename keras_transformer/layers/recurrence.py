"""A Keras RNN cell over the positions of rows, which may hold several sentences and padding."""

import keras
from keras import ops


class Recurrence(keras.layers.RNN):
    """A cell over time, forwards or backwards; its state stops where a sentence does.

    The state starts anew with each sentence, the last token of which is the first one backwards. At
    padding it is left as it is.

    Args:
        cell: Keras RNN cell, without dropout of its own.
        go_backwards: Boolean. Whether a position sees itself and those after it.
    """

    def __init__(self, cell, go_backwards=False, **kwargs):
        cell = _RestartingCell(cell, dtype=kwargs.get("dtype"))
        super().__init__(
            cell, return_sequences=True, return_state=True, go_backwards=go_backwards, **kwargs
        )

    def build(self, inputs_shape):
        super().build((*inputs_shape[:-1], inputs_shape[-1] + MARKS))

    def run(self, x, padding=None, positions=None):
        """Goes over rows.

        Args:
            x: Tensor of shape `(B, T, d_model)`.
            padding: Boolean tensor of shape `(B, T)`, `True` at real tokens; `None` means all.
            positions: Integer tensor of shape `(B or 1, T)`. `None` means 0 to T - 1.

        Returns:
            The outputs of the cell at all positions, `(B, T, units)`, and its last states, a list.
        """
        B, T, _ = ops.shape(x)
        is_padding = ops.zeros((B, T), "bool") if padding is None else ops.logical_not(padding)
        starts = ops.zeros((1, T), "bool") if positions is None else self._starts(positions)
        marks = [ops.broadcast_to(starts, (B, T)), ops.broadcast_to(is_padding, (B, T))]
        marks = ops.cast(ops.stack(marks, axis=-1), x.dtype)
        outputs, *states = self(ops.concatenate([x, marks], axis=-1))
        outputs = ops.flip(outputs, axis=1) if self.go_backwards else outputs
        return outputs, keras.tree.flatten(states)

    def _starts(self, positions):
        """Returns whether each position is the first of its sentence that the cell comes to.

        Backwards it is the last one of the sentence: the next one, if any, starts another.
        """
        starts = ops.equal(positions, 0)
        return ops.pad(starts[:, 1:], ((0, 0), (0, 1))) if self.go_backwards else starts


MARKS = 2  # channels beside the input of a cell: the start of a sentence, and padding


class _RestartingCell(keras.layers.Layer):
    """A cell with marks beside its input, by which its state starts anew or is left as it is.

    Keras' own argument for padding, `mask`, would stay on the outputs as a hidden attribute. A
    sentence may start at padding, so there are two marks.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        self.state_size = cell.state_size
        self.output_size = getattr(cell, "output_size", None)

    def get_initial_state(self, batch_size=None):
        return initial_state(self.cell, batch_size)

    def call(self, inputs, states):
        x, start, padding = inputs[:, :-2], inputs[:, -2:-1], inputs[:, -1:]
        states = _choose(ops.equal(start, 1), self.get_initial_state(ops.shape(x)[0]), states)
        outputs, new_states = self.cell(x, states)
        return outputs, _choose(ops.equal(padding, 1), states, new_states)


def _choose(condition, states, other_states):
    """Returns states, in the structure of `states`, or others where a condition is false."""
    pairs = zip(keras.tree.flatten(states), keras.tree.flatten(other_states), strict=True)
    chosen = [ops.where(condition, state, other) for state, other in pairs]
    return keras.tree.pack_sequence_as(states, chosen)


def initial_state(cell, batch_size):
    """Returns the state of a cell before the first position, in the dtype it computes in."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch_size)
    else:
        states = [ops.zeros((batch_size, size)) for size in keras.tree.flatten(cell.state_size)]
    states = states if keras.tree.is_nested(states) else [states]
    return keras.tree.map_structure(lambda state: ops.cast(state, cell.compute_dtype), states)


def output_width(cell):
    """Returns the width of the output of a cell."""
    size = getattr(cell, "output_size", None)
    return keras.tree.flatten(cell.state_size)[0] if size is None else size


def check_cell(cell, block):
    """Raises a ValueError if a cell of a block is no cell, or has dropout of its own."""
    name, block = type(cell).__name__, type(block).__name__
    if isinstance(cell, keras.layers.RNN) or not hasattr(cell, "state_size"):
        raise ValueError(
            "`cell` must be a Keras RNN cell, such as keras.layers.LSTMCell(d_model), which "
            f"computes a single position. Received: {name}"
        )
    for single in _single_cells(cell):
        rates = [getattr(single, rate, 0.0) for rate in ("dropout", "recurrent_dropout")]
        if any(isinstance(rate, float) and rate > 0 for rate in rates):
            raise ValueError(
                f"A cell in a {block} must have no dropout of its own: create the "
                f"{type(single).__name__} with dropout=0 and recurrent_dropout=0, and the "
                f"block with `dropout_rate`. Received: dropout={rates[0]}, "
                f"recurrent_dropout={rates[1]}"
            )


def _single_cells(cell):
    """Returns a cell in a list, or the cells of `StackedRNNCells`."""
    stacked = getattr(cell, "cells", None)
    return [cell] if stacked is None else [one for part in stacked for one in _single_cells(part)]
