"""Checkpoint averaging: the mean of the weights of several checkpoints."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np


def average_checkpoints(model: keras.Model, paths: Sequence[str | Path]) -> None:
    """Fills a model with the mean of the weights of several checkpoints.

    Section 6.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762): the base model is the
    mean of its last 5 checkpoints. Weights are averaged, in float64; counters and the optimizer's
    state are not touched.

    Args:
        model: A built model of the checkpoints' sizes.
        paths: Files written by `model.save_weights`, at least one.

    Raises:
        ValueError: No path was given, or the weights of a file do not fit the model.
        OSError: A file is not there.
    """
    if not paths:
        raise ValueError("There is no checkpoint to average. Expected at least one path.")
    totals = None
    optimizer, model.optimizer = getattr(model, "optimizer", None), None  # the files hold one too
    try:
        for path in paths:
            model.load_weights(path)
            values = [np.asarray(value, "float64") for value in model.get_weights()]
            totals = values if totals is None else list(map(np.add, totals, values))
    finally:
        model.optimizer = optimizer
    model.set_weights([total / len(paths) for total in totals])
