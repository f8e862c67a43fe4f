"""From a translator to Keras' own format: a `.keras` file, with the tokenizer beside it."""

import os
from pathlib import Path

from keras_transformer.formats import metadata
from keras_transformer.io import atomic_folder
from keras_transformer.text import Tokenizer

FORMAT = "keras"
MODEL = "model.keras"
TOKENIZER, TARGET_TOKENIZER = "tokenizer.model", "target_tokenizer.model"
FILES = {MODEL, TOKENIZER, TARGET_TOKENIZER, metadata.NAME}


def export_keras(translator, folder: str | os.PathLike) -> None:
    """Writes `model.keras`, which `keras.saving.load_model` loads, and the tokenizer beside it.

    The file holds sizes and weights, neither optimizer nor loss, and no code: it loads in Keras'
    safe mode, once the package's models are imported. The folder appears whole or not at all.

    Args:
        translator: A `Translator` with a `Tokenizer`.
        folder: What to write. It may be there if it is empty or was written by this function.

    Raises:
        FileExistsError: Something else is there.
        ValueError: The tokenizer is no `Tokenizer`.

    Example:

    ```python
    export_keras(Translator.load("runs/mine"), "mine")

    import keras_transformer.models  # so that Keras knows the classes

    model = keras.saving.load_model("mine/model.keras")
    translator = Translator(model, Tokenizer.load("mine/tokenizer.model"))
    ```
    """
    tokenizers = {TOKENIZER: translator.tokenizer}
    if translator.target_tokenizer is not translator.tokenizer:
        tokenizers[TARGET_TOKENIZER] = translator.target_tokenizer
    for tokenizer in tokenizers.values():
        if not isinstance(tokenizer, Tokenizer):
            raise ValueError(
                "Beside the model a SentencePiece tokenizer is written, a `Tokenizer`. Received: "
                f"{type(tokenizer).__name__}. Save the model alone, with `translator.model.save`."
            )
    with atomic_folder(Path(folder), is_ours) as new:
        copy_model(translator.model).save(new / MODEL)
        for name, tokenizer in tokenizers.items():
            tokenizer.save(new / name)
        metadata.write_description(new / metadata.NAME, translator, format=FORMAT)


def is_ours(folder: Path) -> bool:
    """Whether all that a folder holds was written here."""
    names = {path.name for path in folder.iterdir()}
    return names <= FILES and metadata.is_of_format(folder / metadata.NAME, FORMAT)


def copy_model(model):
    """A copy that was never compiled: what is done to it leaves the original as it is.

    Args:
        model: A built `Transformer`.
    """
    copy = type(model).from_config(model.get_config())
    copy.build()
    copy.set_weights(model.get_weights())
    return copy
