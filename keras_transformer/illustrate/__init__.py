"""Figures of *The Illustrated Transformer*, drawn from the numbers of a model.

The functions take arrays and return a `Figure`, which notebooks display and which can be saved as a
self-contained HTML file. `page` combines all figures for one sentence and its translation,
`image_page` follows an image that a model draws.
"""

from keras_transformer.illustrate.attention_steps import attention_steps_figure, six_steps
from keras_transformer.illustrate.attention_view import Attention, attention_figure
from keras_transformer.illustrate.distances import (
    biases_figure,
    learned_figure,
    rotary_figure,
    vectors_figure,
)
from keras_transformer.illustrate.distributions import distributions_figure
from keras_transformer.illustrate.experts import experts_figure
from keras_transformer.illustrate.figure import Figure
from keras_transformer.illustrate.image_page import image_page
from keras_transformer.illustrate.image_steps import DrawingStep, image_steps_figure
from keras_transformer.illustrate.latents import LatentChange, latents_figure
from keras_transformer.illustrate.page import page
from keras_transformer.illustrate.positions import positions_figure
from keras_transformer.illustrate.search_view import SearchStep, search_figure

__all__ = [
    "Attention",
    "DrawingStep",
    "Figure",
    "LatentChange",
    "SearchStep",
    "attention_figure",
    "attention_steps_figure",
    "biases_figure",
    "distributions_figure",
    "experts_figure",
    "image_page",
    "image_steps_figure",
    "latents_figure",
    "learned_figure",
    "page",
    "positions_figure",
    "rotary_figure",
    "search_figure",
    "six_steps",
    "vectors_figure",
]
