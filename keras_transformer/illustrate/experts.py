"""The experts of each token, in every block with a `MixtureOfExperts`."""

from collections.abc import Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render


def experts_figure(gates: dict[str, np.ndarray], tokens: dict[str, Sequence[str]]) -> Figure:
    """Draws the shares of the experts: one row per token, one column per expert.

    Args:
        gates: Array of shape `(T, E)` of each block with experts, by the name of the block.
        tokens: The T tokens that each of these blocks reads.

    Returns:
        A `Figure`. Its `data` are the `gates`.

    Raises:
        ValueError: There are no blocks, or a block does not have a row for each of its tokens.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    gates = {name: np.asarray(rows, "float64") for name, rows in gates.items()}
    if not gates:
        raise ValueError("There is nothing to draw: `gates` is empty.")
    for name, rows in gates.items():
        if rows.ndim != 2 or len(rows) != len(tokens[name]):
            raise ValueError(
                f"`gates` must have a row for each of the {len(tokens[name])} tokens of {name}. "
                f"Received: shape {rows.shape}"
            )
    tables = {
        name: list(zip(tokens[name], rows.tolist(), strict=True)) for name, rows in gates.items()
    }
    return Figure("Experts", render("experts.html", tables=tables), gates)
