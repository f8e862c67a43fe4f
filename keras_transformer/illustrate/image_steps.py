"""An image as it is drawn: what each step may see, where it looks, and how sure it is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.illustrate.images import colour_picture, heat_picture

SIDE = 168  # least width of a picture, in pixels of the screen
DARK = 0.3  # share of the light that is left of what a step cannot see
HERE, EMPTY = (245, 31, 0), (128, 128, 140)  # the pixel that is drawn; those that are not yet


class DrawingStep(NamedTuple):
    """A step of drawing an image.

    Attributes:
        place: How many cells were drawn before.
        row: Row of the pixel that is drawn.
        column: Its column.
        channel: The channel of it; `None` if all are drawn at once.
        seen: Boolean array of shape `(h, w)`: the pixels that a layer may see.
        shares: Float array of shape `(h, w)`: its attention to each.
        probabilities: Float array: the probability of each intensity; `None` if pixels have
            another distribution.
    """

    place: int
    row: int
    column: int
    channel: int | None
    seen: np.ndarray
    shares: np.ndarray
    probabilities: np.ndarray | None


def image_steps_figure(
    image: np.ndarray,
    pixels: np.ndarray,
    order: np.ndarray,
    bits: np.ndarray,
    steps: Sequence[DrawingStep],
    num_levels: int = 256,
) -> Figure:
    """Draws an image, the order of its pixels, where its bits are, and some steps.

    Args:
        image: Integer array of shape `(h, w, channels)`, with 1 or 3 channels.
        pixels: Integer array of shape `(cells, 2)`: row and column of the pixel of each cell, in
            the order in which they are drawn.
        order: Array of shape `(h, w)`: how many cells were drawn before each pixel.
        bits: Array of shape `(h, w)`: the bits a dimension of each pixel.
        steps: The steps that are shown.
        num_levels: Integer. Number of intensities.

    Returns:
        A `Figure`. Its `data` are the arrays and the steps.

    Raises:
        ValueError: There are no steps, or the arrays are not of one size.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    if not steps:
        raise ValueError("There is nothing to draw: `steps` is empty.")
    for name, numbers in (("order", order), ("bits", bits), ("seen", steps[0].seen)):
        if np.shape(numbers) != image.shape[:2]:
            raise ValueError(
                f"`{name}` must have the rows and columns of the image, {image.shape[:2]}. "
                f"Received: {np.shape(numbers)}"
            )
    colours = _colours(image, num_levels)
    shown = [
        {
            **step._asdict(),
            "picture": colour_picture(_partial(colours, pixels, step)),
            "heat": heat_picture(step.shares, float(step.shares.max())),
            "looks": float(step.shares.max()),
            "drawn": np.atleast_1d(image[_index(step)]).tolist(),
            "bits": float(bits[step.row, step.column]),
            "strip": _strip(step.probabilities),
        }
        for step in steps
    ]
    height, width = image.shape[:2]
    body = render(
        "image_steps.html",
        picture=colour_picture(colours),
        order=heat_picture(order - order.mean(), float(np.abs(order - order.mean()).max())),
        bits=heat_picture(bits, float(bits.max())),
        most=float(bits.max()),
        mean=float(bits.mean()),
        steps=shown,
        cells=len(pixels),
        channels=image.shape[2],
        side=width * -(-SIDE // width),
        tall=height * -(-SIDE // width),
    )
    data = {"image": image, "order": order, "bits": bits, "steps": list(steps)}
    return Figure("An image, step by step", body, data)


def _index(step: DrawingStep) -> tuple[int, ...]:
    """Returns the index of what a step draws in the image."""
    return (step.row, step.column, *(() if step.channel is None else (step.channel,)))


def _colours(image: np.ndarray, num_levels: int) -> np.ndarray:
    """Returns an image as red, green and blue from 0 to 255, `(h, w, 3)`."""
    light = image.astype("int32") * 255 // (num_levels - 1)
    return np.broadcast_to(light, (*image.shape[:2], 3)).astype("uint8")


def _partial(colours: np.ndarray, pixels: np.ndarray, step: DrawingStep) -> np.ndarray:
    """Returns what is drawn before a step: what it cannot see is dark."""
    drawn = np.zeros(colours.shape[:2], bool)
    drawn[tuple(pixels[: step.place].T)] = True
    picture = np.where(drawn[..., None], colours, EMPTY)
    light = np.where(step.seen | ~drawn, 1.0, DARK)
    picture = np.rint(picture * light[..., None]).astype("uint8")
    picture[step.row, step.column] = HERE
    return picture


def _strip(probabilities: np.ndarray | None):
    """Returns a picture of the probabilities of all intensities, from dark to light."""
    if probabilities is None:
        return None
    return heat_picture(probabilities[None], float(probabilities.max()))
