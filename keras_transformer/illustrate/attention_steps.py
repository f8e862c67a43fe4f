"""One token's self-attention in six steps, in the numbers of a model."""

import math
from collections.abc import Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.illustrate.images import heat_picture

FIRST = 3  # numbers of a vector that are printed; the strip beside them shows all


def six_steps(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> dict:
    """Scaled dot-product attention of one position, step by step.

    Section 3.2.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        query: Array of shape `(K,)`.
        key: Array of shape `(S, K)`.
        value: Array of shape `(S, K)`.

    Returns:
        A dict of the arrays `"query"`, `"key"`, `"value"` (step 1), `"scores"` `(S,)` (2),
        `"scaled"` (3), `"softmax"` (4), `"weighted"` `(S, K)` (5) and `"output"` `(K,)` (6).

    Raises:
        ValueError: The shapes do not fit.

    Example: the two words of the article.

    >>> steps = six_steps(np.full(64, 2.0), np.array([[0.875] * 64, [0.75] * 64]), np.eye(2, 64))
    >>> steps["scores"].tolist(), steps["scaled"].tolist(), steps["softmax"].round(2).tolist()
    ([112.0, 96.0], [14.0, 12.0], [0.88, 0.12])
    """
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    if query.ndim != 1 or key.ndim != 2 or key.shape[1:] != query.shape or len(value) != len(key):
        raise ValueError(
            "`query` must have the shape (K,), `key` (S, K) and `value` (S, any). Received: "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    scores = key @ query
    scaled = scores / math.sqrt(len(query))
    powers = np.exp(scaled - scaled.max())
    softmax = powers / powers.sum()
    weighted = softmax[:, None] * value
    return {
        "query": query,
        "key": key,
        "value": value,
        "scores": scores,
        "scaled": scaled,
        "softmax": softmax,
        "weighted": weighted,
        "output": weighted.sum(axis=0),
    }


def attention_steps_figure(
    tokens: Sequence[str],
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    token: int,
    inputs: np.ndarray | None = None,
) -> Figure:
    """How one token's output comes about in one head, as a table and as matrices.

    Args:
        tokens: The S tokens that are attended to, among them the one that attends.
        query: Array of shape `(S, K)`: every token's query.
        key: Array of shape `(S, K)`.
        value: Array of shape `(S, K)`.
        token: Which token attends, counted from 0.
        inputs: Array of shape `(S, D)`: what query, key and value were made from; shown if given.

    Returns:
        `Figure`; its `data` are those of `six_steps`, and the matrices `"X"` (if given), `"Q"`,
        `"K"`, `"V"`, `"weights"` `(S, S)` and `"Z"` `(S, K)`.

    Raises:
        ValueError: There is no such token, or the shapes do not fit.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    if not 0 <= token < len(tokens) == len(query) == len(key):
        raise ValueError(
            f"`token` must be one of the {len(tokens)} tokens, each of which has a query and a "
            f"key. Received: token={token}, {len(query)} queries, {len(key)} keys"
        )
    steps = six_steps(query[token], key, value)
    every = [six_steps(row, key, value) for row in query]
    matrices = {
        "Q": query,
        "K": key,
        "V": value,
        "weights": np.stack([one["softmax"] for one in every]),
        "Z": np.stack([one["output"] for one in every]),
    }
    if inputs is not None:
        matrices = {"X": np.asarray(inputs, "float64"), **matrices}
    body = render(
        "attention_steps.html",
        **_rows(tokens, steps),
        query=_vector(steps["query"], _size(query)),
        output=_vector(steps["output"], _size(value)),
        token=tokens[token],
        place=token,
        tokens=list(tokens),
        key_dim=query.shape[1],
        root=math.sqrt(query.shape[1]),
        matrices=_matrices(matrices),
    )
    return Figure("Self-attention, step by step", body, {**steps, **matrices})


def _rows(tokens, steps: dict) -> dict:
    rows = [
        {
            "token": text,
            "key": _vector(steps["key"][i], _size(steps["key"])),
            "score": float(steps["scores"][i]),
            "scaled": float(steps["scaled"][i]),
            "softmax": float(steps["softmax"][i]),
            "weighted": _vector(steps["weighted"][i], _size(steps["value"])),
        }
        for i, text in enumerate(tokens)
    ]
    return {"rows": rows}


def _vector(numbers: np.ndarray, limit: float) -> dict:
    """A vector's strip of colours, its first numbers, and whether there are more."""
    return {
        "picture": heat_picture(numbers[None], limit),
        "first": [float(number) for number in numbers[:FIRST]],
        "more": len(numbers) > FIRST,
    }


def _matrices(matrices: dict) -> dict:
    return {
        name: {
            "picture": heat_picture(numbers, _size(numbers)),
            "rows": numbers.shape[0],
            "columns": numbers.shape[1],
        }
        for name, numbers in matrices.items()
    }


def _size(numbers: np.ndarray) -> float:
    return float(np.abs(numbers).max()) if numbers.size else 0.0
