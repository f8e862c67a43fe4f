"""Reading a saved tokenizer, whichever of the package's it is."""

import os
from pathlib import Path

from keras_transformer.text.marian_tokenizer import MarianTokenizer
from keras_transformer.text.tokenizer import Tokenizer


def load_tokenizer(path: str | os.PathLike) -> Tokenizer | MarianTokenizer:
    """Read a tokenizer from a file that its `save` wrote: JSON, or else a SentencePiece model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or something else.
    """
    path = Path(path)
    if path.is_file() and path.read_bytes()[:1] == b"{":
        return MarianTokenizer.load(path)
    return Tokenizer.load(path)
