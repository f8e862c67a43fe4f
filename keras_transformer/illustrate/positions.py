"""Sinusoidal position encodings, in both forms."""

import numpy as np

from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.illustrate.heat_maps import HeatMap, heat_maps

FORMS = {
    "t2t": "Tensor2Tensor: all sines, then all cosines",
    "paper": "The paper: sines and cosines interleaved",
}


def positions_figure(encodings: dict, small: dict | None = None) -> Figure:
    """Draws position encodings as heat maps, one row per position.

    Args:
        encodings: A dict with the keys `"paper"` and `"t2t"`, or one of them. Its values are arrays
            of shape `(positions, d_model)`, as returned by `sinusoids`.
        small: A dict of the same form with narrow encodings that are printed as tables, or `None`.

    Returns:
        A `Figure`. Its `data` are the arrays of `encodings`, and `small` under `"small"`.

    Raises:
        ValueError: A form is unknown, or `encodings` is empty.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    for tables in (encodings, small or {}):
        unknown = sorted(set(tables) - set(FORMS))
        if unknown or (tables is encodings and not tables):
            raise ValueError(f"The forms are {', '.join(FORMS)}. Received: {sorted(tables)}")
    encodings = {form: np.asarray(encodings[form]) for form in FORMS if form in encodings}
    small = {form: np.asarray(small[form]) for form in FORMS if form in (small or {})}
    maps = [HeatMap(FORMS[form], rows, "position", "dimension") for form, rows in encodings.items()]
    body = render(
        "positions.html",
        picture=heat_maps(maps, limit=1),
        small={form: rows.tolist() for form, rows in small.items()},
        forms=FORMS,
    )
    return Figure("Positions", body, {**encodings, "small": small})
