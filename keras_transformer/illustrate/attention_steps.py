"""Self-attention of one token in six steps."""

import math
from collections.abc import Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.illustrate.images import heat_picture

PRINTED = 3  # leading numbers of a vector that are printed; the strip of colours shows all


def six_steps(query: np.ndarray, key: np.ndarray, value: np.ndarray, biases=0.0, added=0.0) -> dict:
    """Computes scaled dot-product attention of one position, step by step.

    Section 3.2.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        query: Array of shape `(K,)`.
        key: Array of shape `(S, K)`.
        value: Array of shape `(S, K)`.
        biases: Array of shape `(S,)` that is added in step 3, as attentions do that know distances;
            minus infinity hides a position.
        added: Array of shape `(K,)` that is added in step 6.

    Returns:
        A dict of arrays: `"query"`, `"key"` and `"value"` (step 1), `"scores"` `(S,)` (step 2),
        `"scaled"` `(S,)` (step 3), `"softmax"` `(S,)` (step 4), `"weighted"` `(S, K)` (step 5) and
        `"output"` `(K,)` (step 6).

    Raises:
        ValueError: The shapes do not match.

    Example: the two words of the article.

    >>> steps = six_steps(np.full(64, 2.0), np.array([[0.875] * 64, [0.75] * 64]), np.eye(2, 64))
    >>> steps["scores"].tolist(), steps["scaled"].tolist(), steps["softmax"].round(2).tolist()
    ([112.0, 96.0], [14.0, 12.0], [0.88, 0.12])
    """
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    if query.ndim != 1 or key.ndim != 2 or key.shape[1:] != query.shape or len(value) != len(key):
        raise ValueError(
            "`query` must have the shape (K,), `key` (S, K) and `value` (S, V). Received: "
            f"{query.shape}, {key.shape} and {value.shape}"
        )
    scores = key @ query
    scaled = scores / math.sqrt(len(query)) + biases
    exponentials = np.exp(scaled - scaled.max())
    softmax = exponentials / exponentials.sum()
    weighted = softmax[:, None] * value
    return {
        "query": query,
        "key": key,
        "value": value,
        "scores": scores,
        "scaled": scaled,
        "softmax": softmax,
        "weighted": weighted,
        "output": weighted.sum(axis=0) + added,
    }


def attention_steps_figure(
    tokens: Sequence[str],
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    token: int,
    inputs: np.ndarray | None = None,
    biases: np.ndarray | None = None,
    added_outputs: np.ndarray | None = None,
) -> Figure:
    """Draws self-attention in one head: of one token as a table, of all tokens as matrices.

    Args:
        tokens: The S tokens of the sentence.
        query: Queries, array of shape `(S, K)`.
        key: Keys, array of shape `(S, K)`.
        value: Values, array of shape `(S, K)`.
        token: Index of the token whose attention is shown in the table.
        inputs: Array of shape `(S, D)` that queries, keys and values were projected from. Shown if
            given.
        biases: Array of shape `(S, S)` that is added to the scaled scores, such as those of an
            attention that knows distances. `None` means nothing.
        added_outputs: Array of shape `(S, K)` that is added to the outputs. `None` means nothing.

    Returns:
        A `Figure`. Its `data` are the arrays of `six_steps` and the matrices `"X"` (if `inputs` is
        given), `"Q"`, `"K"`, `"V"`, `"weights"` `(S, S)` and `"Z"` `(S, K)`.

    Raises:
        ValueError: `token` is out of range, or the shapes do not match.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    if not 0 <= token < len(tokens) == len(query) == len(key):
        raise ValueError(
            f"`token` must be the index of one of the {len(tokens)} tokens, each of which needs a "
            f"query and a key. Received: token={token}, {len(query)} queries, {len(key)} keys"
        )
    is_plain = biases is None and added_outputs is None
    biases = np.zeros((len(query), len(key))) if biases is None else biases
    added_outputs = np.zeros_like(query) if added_outputs is None else added_outputs
    all_steps = [
        six_steps(row, key, value, *added)
        for row, *added in zip(query, biases, added_outputs, strict=True)
    ]
    steps = all_steps[token]
    matrices = {
        "Q": query,
        "K": key,
        "V": value,
        "weights": np.stack([steps_of_token["softmax"] for steps_of_token in all_steps]),
        "Z": np.stack([steps_of_token["output"] for steps_of_token in all_steps]),
    }
    if inputs is not None:
        matrices = {"X": np.asarray(inputs, "float64"), **matrices}
    body = render(
        "attention_steps.html",
        rows=_rows(tokens, steps),
        query=_vector(steps["query"], _magnitude(query)),
        output=_vector(steps["output"], _magnitude(value)),
        token=tokens[token],
        index=token,
        tokens=list(tokens),
        key_dim=query.shape[1],
        root=math.sqrt(query.shape[1]),
        is_plain=is_plain,
        infinity=math.inf,
        matrices=_matrices(matrices),
    )
    return Figure("Self-attention, step by step", body, {**steps, **matrices})


def _rows(tokens, steps: dict) -> list[dict]:
    """Returns the rows of the table, one per token that is attended to."""
    return [
        {
            "token": text,
            "key": _vector(steps["key"][i], _magnitude(steps["key"])),
            "score": float(steps["scores"][i]),
            "scaled": float(steps["scaled"][i]),
            "softmax": float(steps["softmax"][i]),
            "weighted": _vector(steps["weighted"][i], _magnitude(steps["value"])),
        }
        for i, text in enumerate(tokens)
    ]


def _vector(numbers: np.ndarray, limit: float) -> dict:
    """Returns a vector as a strip of colours, its first numbers, and whether it has more."""
    return {
        "picture": heat_picture(numbers[None], limit),
        "first": [float(number) for number in numbers[:PRINTED]],
        "more": len(numbers) > PRINTED,
    }


def _matrices(matrices: dict) -> dict:
    """Returns matrices as images with their sizes."""
    return {
        name: {
            "picture": heat_picture(numbers, _magnitude(numbers)),
            "rows": numbers.shape[0],
            "columns": numbers.shape[1],
        }
        for name, numbers in matrices.items()
    }


def _magnitude(numbers: np.ndarray) -> float:
    """Returns the largest absolute value, 0 for an empty array."""
    return float(np.abs(numbers).max()) if numbers.size else 0.0
