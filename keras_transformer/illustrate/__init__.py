"""The figures of *The Illustrated Transformer*, from a model's own numbers.

Arrays in; figures out that a notebook shows and that save themselves as one file each. `page` puts
all of them together for a sentence that a `Translator` translates.
"""

from keras_transformer.illustrate.attention_steps import attention_steps_figure, six_steps
from keras_transformer.illustrate.attention_view import Attention, attention_figure
from keras_transformer.illustrate.distributions import distributions_figure
from keras_transformer.illustrate.figure import Figure
from keras_transformer.illustrate.page import page
from keras_transformer.illustrate.positions import positions_figure
from keras_transformer.illustrate.search_view import SearchStep, search_figure

__all__ = [
    "Attention",
    "Figure",
    "SearchStep",
    "attention_figure",
    "attention_steps_figure",
    "distributions_figure",
    "page",
    "positions_figure",
    "search_figure",
    "six_steps",
]
