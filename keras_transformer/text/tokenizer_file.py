"""Loading of a saved tokenizer of either class."""

import os

from keras_transformer.io import local_path
from keras_transformer.text.marian_tokenizer import MarianTokenizer
from keras_transformer.text.tokenizer import Tokenizer


def load_tokenizer(path: str | os.PathLike) -> Tokenizer | MarianTokenizer:
    """Loads a tokenizer from a file written by its `save`.

    A JSON file holds a `MarianTokenizer`, any other file a SentencePiece model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or not a tokenizer.
    """
    path = local_path(path, "A tokenizer")
    if path.is_file() and path.read_bytes()[:1] == b"{":
        return MarianTokenizer.load(path)
    return Tokenizer.load(path)
