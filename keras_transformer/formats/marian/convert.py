"""Conversion of a Marian checkpoint to a translator."""

import os
from pathlib import Path

from keras_transformer.forking import refused_after_fork
from keras_transformer.formats.marian.config import read_config
from keras_transformer.formats.marian.tokenizers import read_tokenizers
from keras_transformer.formats.marian.weights import read_weights, set_weights
from keras_transformer.io import fetched_folder, path_or_url
from keras_transformer.models import Transformer
from keras_transformer.translation import Translator

FILES = ("config.json", "model.safetensors", "vocab.json", "source.spm", "target.spm")
FILES += ("generation_config.json", "tokenizer_config.json", "target_vocab.json")


@refused_after_fork
def import_marian(folder: str | os.PathLike) -> Translator:
    """Converts a `MarianMTModel`, such as one of the OPUS-MT models, to a translator.

    The format is that of the [Transformers](https://huggingface.co/docs/transformers) library,
    which need not be installed. Required files: `config.json`, `model.safetensors`, `vocab.json`,
    `source.spm` and `target.spm`. Optional files: `generation_config.json`,
    `tokenizer_config.json` and `target_vocab.json`.

    The translator computes the same as `MarianMTModel`, with one difference: padding, a token that
    the original Marian does not have, gets zero probability, as in
    `generate(renormalize_logits=True)`. Search settings of the checkpoint are ignored: beam size,
    lengths and penalties are those of `Translator.translate`. Kinds of dropout that a
    `Transformer` does not have are ignored, too.

    Args:
        folder: Folder that `MarianMTModel.save_pretrained` and `MarianTokenizer.save_pretrained`
            wrote, or its URL.

    Returns:
        A `Translator`, which can be saved as a run folder.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The folder holds another kind of model, a damaged file, or a Marian model that
            a `Transformer` cannot represent; the message says which.

    Example:

    ```python
    translator = import_marian("downloads/opus-mt-en-de")
    translator.translate(["A dog runs."])[0].text  # "Ein Hund rennt."
    translator.save("runs/opus-mt-en-de")
    ```
    """
    folder = path_or_url(folder)
    with fetched_folder(folder, FILES) as local:
        config = read_config(local)
        weights = read_weights(local)
        tokenizers = read_tokenizers(local, config.special_ids)
        model = Transformer(**config.model)
        model.build()
        set_weights(model, weights, config.scales_embedding)
    name = folder.resolve().name if isinstance(folder, Path) else folder.rpartition("/")[2]
    return Translator(
        model,
        *tokenizers,
        max_source_length=config.max_source_length,
        about={"imported_from": f"Marian checkpoint {name}", **config.languages},
    )
