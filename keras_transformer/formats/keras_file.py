"""Export to Keras' own format: a `.keras` file, with the tokenizer beside it."""

import os
from pathlib import Path

from keras_transformer.forking import refused_after_fork
from keras_transformer.formats import metadata
from keras_transformer.io import output_folder
from keras_transformer.keras_patches import layers_of
from keras_transformer.text import MarianTokenizer, Tokenizer

FORMAT = "keras"
MODEL = "model.keras"
TOKENIZER, TARGET_TOKENIZER = "tokenizer.model", "target_tokenizer.model"
FILES = {MODEL, TOKENIZER, TARGET_TOKENIZER, metadata.NAME}


@refused_after_fork
def export_keras(translator, folder: str | os.PathLike) -> None:
    """Writes `model.keras`, which `keras.saving.load_model` loads, and the tokenizer beside it.

    The file holds the configuration and the weights of the model, but no optimizer, loss or code.
    It loads in Keras' safe mode, once `keras_transformer.models` has been imported. The folder is
    written atomically.

    Args:
        translator: A `Translator` or `TextGenerator` with a `Tokenizer`, or a `Translator` that
            was imported by `import_marian`.
        folder: Folder to write, or its URL. It may exist if it is empty or was written by this
            function.

    Raises:
        FileExistsError: The folder holds something else.
        ValueError: The tokenizer is of another class.

    Example:

    ```python
    export_keras(Translator.load("runs/mine"), "mine")

    import keras_transformer.models  # registers the classes with Keras

    model = keras.saving.load_model("mine/model.keras")
    translator = Translator(model, Tokenizer.load("mine/tokenizer.model"))
    ```
    """
    tokenizers = {TOKENIZER: translator.tokenizer}
    if translator.target_tokenizer is not translator.tokenizer:
        tokenizers[TARGET_TOKENIZER] = translator.target_tokenizer
    for tokenizer in tokenizers.values():
        if not isinstance(tokenizer, Tokenizer | MarianTokenizer):
            raise ValueError(
                "Only SentencePiece tokenizers, `keras_transformer.Tokenizer` and those of "
                "imported Marian models, can be saved with the model. "
                f"Received: {type(tokenizer).__name__}. Call `translator.model.save` to save the "
                "model alone."
            )
    with output_folder(folder, is_ours, last=MODEL) as new:
        copy_model(translator.model).save(new / MODEL)
        for name, tokenizer in tokenizers.items():
            tokenizer.save(new / name)
        metadata.write_description(new / metadata.NAME, translator, format=FORMAT)


def is_ours(folder: Path) -> bool:
    """Returns whether everything in a folder was written by this module."""
    names = {path.name for path in folder.iterdir()}
    return names <= FILES and metadata.is_of_format(folder / metadata.NAME, FORMAT)


def copy_model(model):
    """Returns an uncompiled copy of a model that shares no variables with the original.

    Args:
        model: A built `Transformer` or `LanguageModel`.

    Raises:
        ValueError: The model is quantized, which its config does not say.
    """
    if any(getattr(layer, "quantization_mode", None) for layer in layers_of(model)):
        raise ValueError(
            "The model is quantized, which its config does not say, so it cannot be copied or "
            "saved in this format. Export it before it is quantized, or save a run with "
            "`Translator.save`."
        )
    copy = type(model).from_config(model.get_config())
    copy.build()
    copy.set_weights(model.get_weights())
    return copy
