"""The catalogue: the architectures that a recipe can name."""

from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.transformer import Transformer


@register_architecture
def transformer(**sizes):
    """Returns a `Transformer`, the model of the paper."""
    return Transformer(**sizes)
