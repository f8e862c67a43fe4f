"""Translation of texts: a tokenizer, a model and a search behind one class, `Translator`."""

from keras_transformer.translation.batch_shapes import EXTRA_LENGTH, SLOTS
from keras_transformer.translation.results import Hypothesis, Score, Translation
from keras_transformer.translation.run_folder import RunError
from keras_transformer.translation.translator import Translator

__all__ = ["EXTRA_LENGTH", "SLOTS", "Hypothesis", "RunError", "Score", "Translation", "Translator"]
