"""Formats of other programs, written from a translator or read as one."""

import inspect
import os

from keras_transformer.formats.ctranslate2 import export_ctranslate2
from keras_transformer.formats.keras_file import export_keras
from keras_transformer.formats.marian import import_marian
from keras_transformer.formats.saved_model import export_saved_model

__all__ = ["export", "export_ctranslate2", "export_keras", "export_saved_model", "import_marian"]

EXPORTS = {
    "saved_model": export_saved_model,
    "ctranslate2": export_ctranslate2,
    "keras": export_keras,
}


def export(
    translator, folder: str | os.PathLike, format: str = "saved_model", **options: object
) -> None:
    """Writes a translator in a format that others read; the folder appears whole or not at all.

    Args:
        translator: A `Translator`.
        folder: What to write. It may be there if it is empty or was written in this format.
        format: `"saved_model"`: strings to strings, for TensorFlow alone and TensorFlow Serving
            (`export_saved_model`). `"ctranslate2"`: tokens to tokens (`export_ctranslate2`).
            `"keras"`: the model, a `.keras` file, and the tokenizer beside it (`export_keras`).
        **options: Those of the format's function; `"saved_model"` has `beam_size`, `top_beams`,
            `length_penalty`, `max_length`, `xla` and `quantize`.

    Raises:
        FileExistsError: Something else is in the folder.
        ImportError: A package that the format needs is not installed.
        ValueError: There is no such format, it has no such option, or it cannot say what the
            translator does.

    Example:

    ```python
    export(Translator.load("runs/mine"), "served/mine/1", beam_size=5, top_beams=5)
    ```
    """
    if format not in EXPORTS:
        raise ValueError(f"`format` must be one of {', '.join(EXPORTS)}. Received: {format!r}")
    _, _, *known = inspect.signature(EXPORTS[format]).parameters
    unknown = [name for name in options if name not in known]
    if unknown:
        takes = f"only takes {', '.join(known)}" if known else "takes no options"
        raise ValueError(f"The format {format!r} {takes}. Received: {', '.join(unknown)}")
    EXPORTS[format](translator, folder, **options)
