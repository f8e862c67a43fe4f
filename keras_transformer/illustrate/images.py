"""Arrays as inline images of the page."""

import base64
import io

import numpy as np

from keras_transformer.illustrate.figure import safe

COLOURS = 127  # odd, so that the middle one is white
TEXT = "#123456"  # placeholder for the text colour of the page


def heat_picture(numbers: np.ndarray, limit: float) -> str:
    """Draws an array as a PNG image with one pixel per number.

    0 is white, `limit` violet, `-limit` orange: a palette that is safe for colour-blind readers.

    Args:
        numbers: Array of shape `(rows, columns)`.
        limit: Absolute value that has the full colour. Larger ones are clipped.

    Returns:
        The image as a `data:` URL.
    """
    from matplotlib import colormaps
    from PIL import Image

    shares = np.asarray(numbers, "float64") / (2 * (limit or 1.0)) + 0.5
    indices = np.rint(np.clip(shares, 0, 1) * (COLOURS - 1)).astype("uint8")
    picture = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    picture.putpalette(colormaps["PuOr"](np.linspace(0, 1, COLOURS), bytes=True)[:, :3].tobytes())
    return _as_url(picture)


def colour_picture(colours: np.ndarray) -> str:
    """Returns an image as a `data:` URL, with one pixel for each.

    Args:
        colours: uint8 array of shape `(h, w, 3)`: red, green and blue.
    """
    from PIL import Image

    return _as_url(Image.fromarray(colours))


def _as_url(picture) -> str:
    """Returns a picture of Pillow as the `data:` URL of a PNG file."""
    file = io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return safe("data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii"))


def plot_picture(plot) -> str:
    """Converts a matplotlib figure to inline SVG, with text in the colour and font of the page.

    Args:
        plot: `matplotlib.figure.Figure`. Its text must have the colour `TEXT`.
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "keras_transformer"}):
        plot.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    return safe(svg[svg.index("<svg") :].replace(TEXT, "currentColor"))
