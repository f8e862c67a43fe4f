"""Checkpoint averaging: the mean of the weights of several checkpoints."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np

from keras_transformer.checkpoints.adapter import adapted_layers, load_adapter
from keras_transformer.forking import refused_after_fork


@refused_after_fork
def average_checkpoints(model: keras.Model, paths: Sequence[str | Path]) -> None:
    """Sets the weights of a model to the mean of those of several checkpoints.

    In section 6.1 of [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), the base model is
    the average of its last 5 checkpoints. The mean is computed in float64. Counters and the state
    of the optimizer are left unchanged.

    Args:
        model: A built model of the same sizes as the checkpoints.
        paths: Files written by `model.save_weights`, at least one. For a model with an adapter,
            files written by `save_adapter`, whose matrices are averaged.

    Raises:
        ValueError: `paths` is empty, or the weights of a file do not fit the model.
        OSError: A file does not exist.
    """
    if not paths:
        raise ValueError("There is no checkpoint to average. Expected at least one path.")
    load = partial(load_adapter, model) if adapted_layers(model) else model.load_weights
    totals = None
    optimizer, model.optimizer = getattr(model, "optimizer", None), None  # files may hold its state
    try:
        for path in paths:
            load(path)
            values = [np.asarray(value, "float64") for value in model.get_weights()]
            totals = values if totals is None else list(map(np.add, totals, values))
    finally:
        model.optimizer = optimizer
    model.set_weights([total / len(paths) for total in totals])
