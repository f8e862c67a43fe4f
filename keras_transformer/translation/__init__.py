"""Translation and continuation of texts: `Translator` and `TextGenerator`.

Each joins a tokenizer, a model and a search.
"""

from keras_transformer.translation.batch_shapes import EXTRA_LENGTH, SLOTS
from keras_transformer.translation.rescoring import rescore
from keras_transformer.translation.results import Hypothesis, Score, Translation
from keras_transformer.translation.run_folder import RunError
from keras_transformer.translation.shortlisting import make_shortlist
from keras_transformer.translation.text_generator import Generation, TextGenerator, TextMeasures
from keras_transformer.translation.translator import Translator

__all__ = [
    "EXTRA_LENGTH",
    "SLOTS",
    "Generation",
    "Hypothesis",
    "RunError",
    "Score",
    "TextGenerator",
    "TextMeasures",
    "Translation",
    "Translator",
    "make_shortlist",
    "rescore",
]
