"""Arrays of numbers as pictures that stand inside the page."""

import base64
import io

import numpy as np

from keras_transformer.illustrate.figure import safe

COLOURS = 127  # odd, so that one of them is white
TEXT = "#123456"  # stands for the page's colour of text


def heat_picture(numbers: np.ndarray, limit: float) -> str:
    """A picture with a pixel a number, as a `data:` address.

    White is 0, violet is `limit`, orange `-limit`: told apart whatever colours an eye can see.

    Args:
        numbers: Array of shape `(rows, columns)`.
        limit: The size of the numbers that have the full colour.
    """
    from matplotlib import colormaps
    from PIL import Image

    shares = np.asarray(numbers, "float64") / (2 * (limit or 1.0)) + 0.5
    indices = np.rint(np.clip(shares, 0, 1) * (COLOURS - 1)).astype("uint8")
    picture = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    picture.putpalette(colormaps["PuOr"](np.linspace(0, 1, COLOURS), bytes=True)[:, :3].tobytes())
    file = io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return safe("data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii"))


def plot_picture(plot) -> str:
    """A matplotlib figure as inline SVG, its text in the page's colour and font.

    Args:
        plot: `matplotlib.figure.Figure`, whose text is drawn in `TEXT`.
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "keras_transformer"}):
        plot.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    return safe(svg[svg.index("<svg") :].replace(TEXT, "currentColor"))
