"""The probabilities that a model should give, and those it gives, before and after training."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render

FEW = 12  # words of a vocabulary that is shown whole
OTHERS = 4  # words shown besides those of the sentence, where the vocabulary is larger


def one_hot(labels: Sequence[int], vocabulary_size: int) -> np.ndarray:
    """The distributions that a model is to give: all on one word each.

    Example:

    >>> one_hot([1], 6).tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    return (np.asarray(labels)[:, None] == np.arange(vocabulary_size)).astype("float64")


def distributions_figure(
    labels: Sequence[int], words: Sequence[str], before: np.ndarray, after: np.ndarray
) -> Figure:
    """Targets against outputs: a row a position, a column a word, darker where more probable.

    Args:
        labels: The ids of the T tokens that are wanted.
        words: The vocabulary: V tokens, in the order of their ids.
        before: Array `(T, V)`: the probabilities that the model gives before it is trained.
        after: Array `(T, V)`: after it was trained.

    Returns:
        `Figure`; its `data` are `"target"`, `"before"` and `"after"`, `(T, V)` each, `"columns"`
        (the ids that are shown) and `"losses"`: the mean of minus the logarithm of what the wanted
        words get, before and after, and for even chances.

    Raises:
        ValueError: `before` or `after` is not a distribution for each label.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    labels, V = [int(label) for label in labels], len(words)
    shown = {"target": one_hot(labels, V), "before": before, "after": after}
    shown = {name: np.asarray(rows, "float64") for name, rows in shown.items()}
    for name in ("before", "after"):
        rows = shown[name]
        if rows.shape != (len(labels), V) or np.abs(rows.sum(axis=-1) - 1).max() > 1e-3:
            raise ValueError(
                f"`{name}` must have a distribution of {V} probabilities for each of "
                f"{len(labels)} labels. Received: shape {rows.shape}"
            )
    columns = _columns(labels, shown, V)
    losses = {
        name: float(-np.log(shown[name][np.arange(len(labels)), labels] + 1e-30).mean())
        for name in ("before", "after")
    }
    losses["even"] = float(np.log(V))
    body = render(
        "distributions.html",
        words=[words[id] for id in columns],
        wanted=[words[id] for id in labels],
        tables={name: rows[:, columns].tolist() for name, rows in shown.items()},
        losses=losses,
        size=V,
        whole=len(columns) == V,
    )
    return Figure("Targets and outputs", body, {**shown, "columns": columns, "losses": losses})


def _columns(labels: list[int], shown: dict, vocabulary_size: int) -> list[int]:
    """All words where they are few; else those of the sentence, and the likeliest others."""
    if vocabulary_size <= FEW:
        return list(range(vocabulary_size))
    columns = list(dict.fromkeys(labels))
    for name in ("after", "before"):
        likeliest = np.argsort(-shown[name].max(axis=0), kind="stable").tolist()
        columns += [id for id in likeliest if id not in columns][: OTHERS // 2]
    return columns
