"""Images from image models: `ImageGenerator`, and sheets of pictures."""

from keras_transformer.images.generator import ImageGenerator
from keras_transformer.images.sheet import make_sheet

__all__ = ["ImageGenerator", "make_sheet"]
