"""Figures of what attentions know of positions and distances by themselves."""

import numpy as np

from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.illustrate.heat_maps import HeatMap, heat_maps

PRINTED = 3, 6  # positions and pairs of a rotary embedding whose angles are printed


def rotary_figure(angles: np.ndarray) -> Figure:
    """Draws the angles of a rotary position embedding, one row per position.

    Args:
        angles: Array of shape `(positions, pairs)`, in radians.

    Returns:
        A `Figure`. Its `data` are the `"angles"`.

    Raises:
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    angles = np.asarray(angles)
    maps = [
        HeatMap(f"{name} of the angle", function(angles), "position", "pair of numbers")
        for name, function in (("Cosine", np.cos), ("Sine", np.sin))
    ]
    rows, columns = PRINTED
    body = render(
        "distances.html",
        kind="rotary",
        picture=heat_maps(maps, 1.0, across=2),
        degrees=np.degrees(angles[:rows, :columns]).tolist(),
    )
    return Figure("Rotary positions", body, {"angles": angles})


def vectors_figure(tables: dict, added: dict | None = None) -> Figure:
    """Draws the vectors of distances that a relative attention has learned.

    Args:
        tables: A dict from titles to arrays of shape `(2 * k + 1, K)`: the vectors of the distances
            `-k` to `k`.
        added: A dict from titles to arrays of shape `(H, 2 * k + 1)`: what the vectors add to the
            scores of each head in a sentence, on average. Shown if given.

    Returns:
        A `Figure`. Its `data` are the `"vectors"` and the `"added"`.

    Raises:
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    tables = {title: np.asarray(rows, "float32") for title, rows in tables.items()}
    maps = [
        HeatMap(title, rows, "distance", "dimension", first_row=-(len(rows) // 2))
        for title, rows in tables.items()
    ]
    body = render(
        "distances.html",
        kind="vectors",
        picture=heat_maps(maps, _limit(tables), across=2 if len(maps) % 2 == 0 else 1),
        has_values=any("values" in title for title in tables),
        added=_by_head(added) if added else None,
        farthest=max(len(rows) // 2 for rows in tables.values()),
    )
    return Figure("Vectors of distances", body, {"vectors": tables, "added": added or {}})


def biases_figure(biases: dict) -> Figure:
    """Draws what attentions add to the scores of two words for the distance between them.

    Args:
        biases: A dict from titles to arrays of shape `(H, 2 * n + 1)`: the numbers that each head
            adds at the distances `-n` to `n`.

    Returns:
        A `Figure`. Its `data` are the `"biases"`.

    Raises:
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    body = render("distances.html", kind="biases", picture=_by_head(biases))
    return Figure("Biases for distances", body, {"biases": biases})


def learned_figure(encodings: np.ndarray) -> Figure:
    """Draws learned position encodings, one row per position.

    Args:
        encodings: Array of shape `(positions, d_model)`.

    Returns:
        A `Figure`. Its `data` are the encodings, as `"learned"`.

    Raises:
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    encodings = np.asarray(encodings, "float32")
    maps = [HeatMap("Learned", encodings, "position", "dimension")]
    picture = heat_maps(maps, _limit({"learned": encodings}))
    body = render("positions.html", picture=picture, small={}, forms={})
    return Figure("Learned positions", body, {"learned": encodings})


def _by_head(rows_of: dict) -> str:
    """Draws arrays of shape `(H, 2 * n + 1)`, by their titles: a row per head."""
    maps = [
        HeatMap(title, rows, "head", "distance", first_column=-(rows.shape[1] // 2))
        for title, rows in rows_of.items()
    ]
    return heat_maps(maps, _limit(rows_of))


def _limit(arrays: dict) -> float:
    """Returns the largest absolute value."""
    return max(float(np.abs(rows).max()) for rows in arrays.values())
