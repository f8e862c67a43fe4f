"""Tokenizers: strings to token ids and back."""

from keras_transformer.text.marian_tokenizer import MarianTokenizer
from keras_transformer.text.tags import tag_of
from keras_transformer.text.tokenizer import Tokenizer
from keras_transformer.text.tokenizer_adapter import TokenizerAdapter
from keras_transformer.text.tokenizer_file import load_tokenizer
from keras_transformer.text.tokenizer_protocol import TokenizerProtocol

__all__ = [
    "MarianTokenizer",
    "Tokenizer",
    "TokenizerAdapter",
    "TokenizerProtocol",
    "load_tokenizer",
    "tag_of",
]
