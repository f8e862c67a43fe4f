"""Inputs of a step on a TPU: packed rows of one static shape."""

from keras import ops

INPUTS = ("source", "target")
PARTS = ("", "_segments", "_positions")


def packed_rows(rows: int, length: int) -> tuple:
    """Returns the shapes and dtypes of a batch of packed rows: inputs and labels.

    Example:

    >>> inputs, labels = packed_rows(rows=7, length=11)
    >>> sorted(inputs)[:3], labels
    (['source', 'source_positions', 'source_segments'], ((7, 11), 'int32'))
    """
    ids = ((rows, length), "int32")
    return {side + part: ids for part in PARTS for side in INPUTS}, ids


def make_all_variables(model) -> None:
    """Creates the optimizer's and metrics' variables, as the first training step would.

    Args:
        model: Built and compiled `keras.Model` whose outputs are logits, `(B, T, V)`.
    """
    model.optimizer.build(model.trainable_variables)
    V = model.target_vocabulary_size or model.vocabulary_size
    model.compute_metrics(None, ops.ones((1, 1), "int32"), ops.zeros((1, 1, V)))
    model.reset_metrics()
