"""Sinusoidal position encodings, in both forms."""

import numpy as np

from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.illustrate.images import TEXT, plot_picture

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
    body = render(
        "positions.html",
        picture=plot_picture(_plot(encodings)),
        small={form: rows.tolist() for form, rows in small.items()},
        forms=FORMS,
        count=max(len(rows) for rows in encodings.values()),
    )
    return Figure("Positions", body, {**encodings, "small": small})


def _plot(encodings: dict):
    """Returns a matplotlib figure with a heat map for each form."""
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(9, 2.9 * len(encodings)), layout="constrained")
    axes = plot.subplots(len(encodings), squeeze=False)[:, 0]
    for axis, (form, rows) in zip(axes, encodings.items(), strict=True):
        image = axis.imshow(
            rows, aspect="auto", cmap="PuOr", vmin=-1, vmax=1, interpolation="nearest"
        )
        axis.set_title(FORMS[form], color=TEXT, loc="left", fontsize=12)
        axis.set_xlabel("dimension", color=TEXT, fontsize=11)
        axis.set_ylabel("position", color=TEXT, fontsize=11)
        axis.tick_params(colors=TEXT, labelsize=10)
        for spine in axis.spines.values():
            spine.set_color(TEXT)
    bar = plot.colorbar(image, ax=list(axes), ticks=[-1, 0, 1])
    bar.ax.tick_params(colors=TEXT, labelsize=10)
    bar.outline.set_edgecolor(TEXT)
    return plot
