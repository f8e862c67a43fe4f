"""What a step on a TPU is given: packed rows of one static shape."""

from keras import ops

INPUTS = ("source", "target")
PARTS = ("", "_segments", "_positions")


def packed_rows(rows: int, length: int) -> tuple:
    """Shapes and types of a batch of packed rows: inputs and labels.

    Example:

    >>> inputs, labels = packed_rows(rows=7, length=11)
    >>> sorted(inputs)[:3], labels
    (['source', 'source_positions', 'source_segments'], ((7, 11), 'int32'))
    """
    ids = ((rows, length), "int32")
    return {side + part: ids for part in PARTS for side in INPUTS}, ids


def make_all_variables(model) -> None:
    """Makes the variables that a compiled model's first step would make.

    Args:
        model: A built `keras.Model` after `compile`, whose outputs are logits, `(B, T, V)`.
    """
    model.optimizer.build(model.trainable_variables)
    V = model.target_vocabulary_size or model.vocabulary_size
    model.compute_metrics(None, ops.ones((1, 1), "int32"), ops.zeros((1, 1, V)))
    model.reset_metrics()
