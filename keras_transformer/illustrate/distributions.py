"""Target distributions and output distributions, before and after training."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render

SMALL_VOCABULARY = 12  # up to this size, all words are shown
OTHER_WORDS = 4  # words shown in addition to those of the sentence, if the vocabulary is larger


def one_hot(labels: Sequence[int], vocabulary_size: int) -> np.ndarray:
    """Returns the target distributions: probability 1 for each label.

    Example:

    >>> one_hot([1], 6).tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    return (np.asarray(labels)[:, None] == np.arange(vocabulary_size)).astype("float64")


def distributions_figure(
    labels: Sequence[int], words: Sequence[str], before: np.ndarray, after: np.ndarray
) -> Figure:
    """Draws target and output distributions: one row per position, one column per word.

    Args:
        labels: Ids of the T target tokens.
        words: The V tokens of the vocabulary, in the order of their ids.
        before: Output probabilities of the untrained model, array of shape `(T, V)`.
        after: Output probabilities of the trained model, array of shape `(T, V)`.

    Returns:
        A `Figure`. Its `data` are `"target"`, `"before"` and `"after"`, each `(T, V)`; `"columns"`,
        the ids that are shown; and `"losses"`, the cross-entropies `"before"` and `"after"`
        training and of a uniform distribution (`"even"`).

    Raises:
        ValueError: `before` or `after` does not hold a probability distribution for each label.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    labels, V = [int(label) for label in labels], len(words)
    shown = {"target": one_hot(labels, V), "before": before, "after": after}
    shown = {name: np.asarray(rows, "float64") for name, rows in shown.items()}
    for name in ("before", "after"):
        rows = shown[name]
        if rows.shape != (len(labels), V) or np.abs(rows.sum(axis=-1) - 1).max() > 1e-3:
            raise ValueError(
                f"`{name}` must have a distribution of {V} probabilities for each of the "
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
        targets=[words[id] for id in labels],
        tables={name: rows[:, columns].tolist() for name, rows in shown.items()},
        losses=losses,
        size=V,
        shows_all=len(columns) == V,
    )
    return Figure("Targets and outputs", body, {**shown, "columns": columns, "losses": losses})


def _columns(labels: list[int], shown: dict, vocabulary_size: int) -> list[int]:
    """Returns all words of a small vocabulary; else the target words and the likeliest others."""
    if vocabulary_size <= SMALL_VOCABULARY:
        return list(range(vocabulary_size))
    columns = list(dict.fromkeys(labels))
    for name in ("after", "before"):
        likeliest = np.argsort(-shown[name].max(axis=0), kind="stable").tolist()
        columns += [id for id in likeliest if id not in columns][: OTHER_WORDS // 2]
    return columns
