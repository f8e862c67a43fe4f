"""Export to, and import from, the formats of other programs."""

import inspect
import os

from keras_transformer.forking import refused_after_fork
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


@refused_after_fork
def export(
    translator, folder: str | os.PathLike, format: str = "saved_model", **options: object
) -> None:
    """Exports a translator or a text generator to a format of other programs.

    The folder is written atomically.

    Args:
        translator: A `Translator` or `TextGenerator`.
        folder: Folder to write, or its URL, such as `s3://bucket/mine/1`. It may exist if it is
            empty or was written in the same format.
        format: `"saved_model"`: strings to strings, for TensorFlow alone and TensorFlow Serving
            (`export_saved_model`). `"ctranslate2"`: tokens to tokens (`export_ctranslate2`).
            `"keras"`: the model as a `.keras` file, with the tokenizer beside it (`export_keras`).
        **options: Options of the function of the format. Those of `"saved_model"` are `beam_size`,
            `top_beams`, `length_penalty`, `max_length`, `xla` and `quantize`; the other formats
            have none.

    Raises:
        FileExistsError: The folder holds something else.
        FolderInUseError: Another process writes the folder.
        RemoteError: The URL cannot be written.
        ImportError: A package that the format needs is not installed.
        ValueError: The format is unknown, does not have a given option, or cannot express what the
            model computes.

    Example:

    ```python
    export(Translator.load("runs/mine"), "served/mine/1", beam_size=5, top_beams=5)
    ```
    """
    if format not in EXPORTS:
        raise ValueError(f"`format` must be one of {', '.join(EXPORTS)}. Received: {format!r}")
    _, _, *accepted = inspect.signature(EXPORTS[format]).parameters
    unknown = [name for name in options if name not in accepted]
    if unknown:
        expected = f"only takes {', '.join(accepted)}" if accepted else "takes no options"
        raise ValueError(f"The format {format!r} {expected}. Received: {', '.join(unknown)}")
    EXPORTS[format](translator, folder, **options)
