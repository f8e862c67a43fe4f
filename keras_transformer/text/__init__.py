"""Strings to ids and back: the first and the last step of the road."""

from keras_transformer.text.any_tokenizer import AnyTokenizer
from keras_transformer.text.foreign_tokenizer import ForeignTokenizer
from keras_transformer.text.marian_tokenizer import MarianTokenizer
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.tokenizer_file import load_tokenizer

__all__ = ["AnyTokenizer", "ForeignTokenizer", "MarianTokenizer", "Tokenizer", "load_tokenizer"]
