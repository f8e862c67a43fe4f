"""Heat maps with axes, drawn by matplotlib in the style of the page."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_transformer.illustrate.images import TEXT, plot_picture


class HeatMap(NamedTuple):
    """One heat map.

    Attributes:
        title: Title above it.
        numbers: Array of shape `(rows, columns)`.
        row: What a row is.
        column: What a column is.
        first_row: Number of the first row.
        first_column: Number of the first column.
    """

    title: str
    numbers: np.ndarray
    row: str
    column: str
    first_row: int = 0
    first_column: int = 0


def heat_maps(maps: Sequence[HeatMap], limit: float, across: int = 1) -> str:
    """Draws heat maps with one scale of colours: violet is `limit`, white 0, orange `-limit`.

    Args:
        maps: The heat maps.
        limit: Absolute value that has the full colour.
        across: How many stand side by side. Their rows are the same.

    Returns:
        The picture, inline SVG.
    """
    from matplotlib.figure import Figure as Plot

    down = -(-len(maps) // across)
    plot = Plot(figsize=(9, 2.9 * down), layout="constrained")
    axes = plot.subplots(down, across, squeeze=False)
    limit = limit or 1.0
    for axis, one in zip(axes.flat, maps, strict=True):
        image = _draw(axis, one, limit)
    for axis in axes[:, 1:].flat:
        axis.set_ylabel("")
    bar = plot.colorbar(image, ax=axes, ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels([f"{tick:.3g}".replace("-", "−") for tick in (-limit, 0, limit)])
    bar.ax.tick_params(colors=TEXT, labelsize=10)
    bar.outline.set_edgecolor(TEXT)
    return plot_picture(plot)


def _draw(axis, one: HeatMap, limit: float):
    """Draws a heat map, whose rows and columns have whole numbers."""
    rows, columns = one.numbers.shape
    left, top = one.first_column - 0.5, one.first_row - 0.5
    image = axis.imshow(
        one.numbers,
        aspect="auto",
        cmap="PuOr",
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
        extent=(left, left + columns, top + rows, top),
    )
    axis.set_title(one.title, color=TEXT, loc="left", fontsize=12)
    axis.set_xlabel(one.column, color=TEXT, fontsize=11)
    axis.set_ylabel(one.row, color=TEXT, fontsize=11)
    axis.tick_params(colors=TEXT, labelsize=10)
    for one_axis in (axis.xaxis, axis.yaxis):
        one_axis.get_major_locator().set_params(integer=True)
    for spine in axis.spines.values():
        spine.set_color(TEXT)
    return image
