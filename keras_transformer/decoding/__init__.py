"""Search, and the translator that puts tokenizer, model and search together."""

from keras_transformer.decoding.generate import generate
from keras_transformer.decoding.greedy_search import greedy_search
from keras_transformer.decoding.run_folder import RunError
from keras_transformer.decoding.translator import Translation, Translator

__all__ = ["RunError", "Translation", "Translator", "generate", "greedy_search"]
