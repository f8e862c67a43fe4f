"""The encodings of positions, both forms."""

import numpy as np

from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.illustrate.images import TEXT, plot_picture

FORMS = {
    "t2t": "Tensor2Tensor: all sines, then all cosines",
    "paper": "The paper: sine and cosine by turns",
}


def positions_figure(encodings: dict, small: dict | None = None) -> Figure:
    """What is added to a word's vector to say where it stands: a row a position.

    Args:
        encodings: `"paper"` and `"t2t"` (or one of them), arrays of shape `(positions, d_model)`,
            as `sinusoids` gives them.
        small: The same with few numbers a position, to be printed; or `None`.

    Returns:
        `Figure`; its `data` are `encodings` under their names and `small` under `"small"`.

    Raises:
        ValueError: There is a form of another name, or none.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    for one in (encodings, small or {}):
        unknown = sorted(set(one) - set(FORMS))
        if unknown or (one is encodings and not one):
            raise ValueError(f"The forms are {', '.join(FORMS)}. Received: {sorted(one)}")
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
    from matplotlib.figure import Figure as Plot

    plot = Plot(figsize=(9, 2.9 * len(encodings)), layout="constrained")
    axes = plot.subplots(len(encodings), squeeze=False)[:, 0]
    for axis, (form, rows) in zip(axes, encodings.items(), strict=True):
        drawn = axis.imshow(
            rows, aspect="auto", cmap="PuOr", vmin=-1, vmax=1, interpolation="nearest"
        )
        axis.set_title(FORMS[form], color=TEXT, loc="left", fontsize=12)
        axis.set_xlabel("number of the encoding", color=TEXT, fontsize=11)
        axis.set_ylabel("position", color=TEXT, fontsize=11)
        axis.tick_params(colors=TEXT, labelsize=10)
        for spine in axis.spines.values():
            spine.set_color(TEXT)
    bar = plot.colorbar(drawn, ax=list(axes), ticks=[-1, 0, 1])
    bar.ax.tick_params(colors=TEXT, labelsize=10)
    bar.outline.set_edgecolor(TEXT)
    return plot
