"""Page that follows an image through an image model, step by step."""

import numpy as np

from keras_transformer.illustrate.figure import Figure, render, safe
from keras_transformer.illustrate.image_steps import image_steps_figure


def image_page(
    generator,
    image=None,
    image_class: int | None = None,
    small=None,
    seed: int = 0,
    num_steps: int = 12,
    layer: int | None = None,
) -> Figure:
    """Draws how a model draws an image: in what order, what each step sees, and where it looks.

    Args:
        generator: `ImageGenerator`.
        image: Integer array of shape `(h, w, channels)`, the image. `None` lets the model draw one.
        image_class: Class of the image, of a model with classes.
        small: Small image to enlarge, of a model that enlarges images.
        seed: Seed of the image that the model draws.
        num_steps: Number of steps that are shown.
        layer: Index of the layer whose attention is shown. `None` selects the last one.

    Returns:
        A `Figure`. Its `data` are those of `image_steps_figure`.

    Raises:
        ValueError: `num_steps` or `layer` is out of range; or the image, the class or the small
            image does not fit the model.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    from keras_transformer.illustrate import image_extraction

    model, embedding = generator.model, generator.model.target_embedding
    blocks, cells = model.decoder.blocks, len(embedding.order)
    layer = len(blocks) - 1 if layer is None else layer
    for name, number, least, most in (
        ("layer", layer, 0, len(blocks) - 1),
        ("num_steps", num_steps, 1, cells),
    ):
        if not least <= number <= most:
            raise ValueError(f"`{name}` must be from {least} to {most}. Received: {number}")
    if (small is None) != (generator.small_shape is None):
        raise ValueError(
            "`small` must be given to a model that enlarges images, and to no other. Received: "
            f"{'None' if small is None else 'an image'}"
        )
    is_drawn = image is None
    if is_drawn:
        classes = None if image_class is None else [image_class]
        begun = None if small is None else small[None]
        image = generator.generate(1, classes, seed=seed, small=begun, batch_size=1)[0]
    places = (np.arange(num_steps) + 0.5) * cells / num_steps
    found = image_extraction.drawing_of(
        generator, np.asarray(image), image_class, small, places.astype(int).tolist(), layer
    )
    figure = image_steps_figure(**found, num_levels=embedding.num_levels)
    body = render(
        "page_image.html",
        shape=generator.image_shape,
        cells=cells,
        num_levels=embedding.num_levels,
        is_drawn=is_drawn,
        seed=seed,
        image_class=image_class,
        small=generator.small_shape,
        layer=layer,
        layers=len(blocks),
        heads=blocks[layer].self_attention.num_heads,
        attention=type(blocks[layer].self_attention.attention).__name__,
        is_in_blocks=embedding.query_shape is not None,
        figure=safe(figure.body),
    )
    return Figure("An image, step by step", body, figure.data, 900)
