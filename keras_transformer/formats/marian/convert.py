"""From the folder of a Marian checkpoint to a translator."""

import os
from pathlib import Path

from keras_transformer.formats.marian.config import read_config
from keras_transformer.formats.marian.tokenizers import read_tokenizers
from keras_transformer.formats.marian.weights import read_weights, set_weights
from keras_transformer.models import Transformer
from keras_transformer.translation import Translator


def import_marian(folder: str | os.PathLike) -> Translator:
    """Reads a `MarianMTModel`, such as one of the OPUS-MT models, from its folder on disk.

    The format is that of the [Transformers](https://huggingface.co/docs/transformers) library,
    which is not needed: `config.json`, `model.safetensors`, `vocab.json`, `source.spm` and
    `target.spm`, and, if they are there, `generation_config.json`, `tokenizer_config.json` and
    `target_vocab.json`. The translator computes what `MarianMTModel` does, with one difference:
    padding, a token that the original Marian does not have, gets no probability. That is what
    `generate(renormalize_logits=True)` does there.

    How to search is not read: beams, lengths and penalties are `Translator.translate`'s. Nor are
    kinds of dropout that a `Transformer` does not have.

    Args:
        folder: What `MarianMTModel.save_pretrained` and `MarianTokenizer.save_pretrained` wrote.

    Returns:
        A `Translator`. Its `save` writes a run folder like any other.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The folder holds another kind of model, a damaged file, or a Marian model that
            a `Transformer` cannot compute; the message says which.

    Example:

    ```python
    translator = import_marian("downloads/opus-mt-en-de")
    translator.translate(["A dog runs."])[0].text  # "Ein Hund rennt."
    translator.save("runs/opus-mt-en-de")
    ```
    """
    folder = Path(folder)
    config = read_config(folder)
    weights = read_weights(folder)
    tokenizers = read_tokenizers(folder, config.special_ids)
    model = Transformer(**config.model)
    model.build()
    set_weights(model, weights, config.scales_embedding)
    return Translator(
        model,
        *tokenizers,
        max_source_length=config.max_source_length,
        about={"imported_from": f"Marian checkpoint {folder.resolve().name}", **config.languages},
    )
