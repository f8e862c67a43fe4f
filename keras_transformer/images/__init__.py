"""Images from image models: `ImageGenerator`, and sheets of pictures."""

from keras_transformer.images.generator import ImageGenerator, draw_ids
from keras_transformer.images.sheet import make_sheet

__all__ = ["ImageGenerator", "draw_ids", "make_sheet"]
