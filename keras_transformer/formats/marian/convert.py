"""Conversion of a Marian checkpoint to a translator."""

import os
from pathlib import Path

from keras_transformer.forking import refused_after_fork
from keras_transformer.formats.marian.config import CONFIG, MarianConfig, read_config
from keras_transformer.formats.marian.release import DECODER, read_release, release_files
from keras_transformer.formats.marian.tokenizers import read_tokenizers
from keras_transformer.formats.marian.weights import (
    Weights,
    read_weights,
    scale_activations,
    set_weights,
)
from keras_transformer.io import fetched_folder, has_file, path_or_url
from keras_transformer.models import Transformer
from keras_transformer.text import MarianTokenizer
from keras_transformer.translation import Translator

FILES = ("config.json", "model.safetensors", "vocab.json", "source.spm", "target.spm")
FILES += ("generation_config.json", "tokenizer_config.json", "target_vocab.json")


@refused_after_fork
def import_marian(folder: str | os.PathLike) -> Translator:
    """Converts a Marian model, such as one of the OPUS-MT models, to a translator.

    A folder with a `config.json` is in the form of the
    [Transformers](https://huggingface.co/docs/transformers) library, which need not be installed.
    Required files: `config.json`, `model.safetensors`, `vocab.json`, `source.spm` and
    `target.spm`. Optional files: `generation_config.json`, `tokenizer_config.json` and
    `target_vocab.json`.

    Any other folder with a `decoder.yml` is in Marian's own form, that of the OPUS-MT releases.
    Required files: `decoder.yml`; the `.npz` file and the two vocabularies that it names, `.yml`
    or `.spm`, which are read from the same folder; beside `.yml` vocabularies, `source.spm` and
    `target.spm`. Nothing in any of these files is executed.

    The translator computes the same as `MarianMTModel`, with one difference: padding, a token that
    the original Marian does not have, gets zero probability, as in
    `generate(renormalize_logits=True)`. Search settings of the checkpoint are ignored: beam size,
    lengths and penalties are those of `Translator.translate`. Kinds of dropout that a
    `Transformer` does not have are ignored, too.

    Args:
        folder: Folder that `MarianMTModel.save_pretrained` and `MarianTokenizer.save_pretrained`
            wrote, or that of a release of Marian's, or its URL.

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
    is_release = not has_file(folder, CONFIG) and has_file(folder, DECODER)
    files, read = (release_files(folder), read_release) if is_release else (FILES, read_pretrained)
    with fetched_folder(folder, files) as local:
        config, weights, tokenizers = read(local)
        model = Transformer(**config.model)
        model.build()
        set_weights(model, weights, config.scales_embedding)
        scale_activations(model, config.activation_scale)
    name = folder.resolve().name if isinstance(folder, Path) else folder.rpartition("/")[2]
    return Translator(
        model,
        *tokenizers,
        max_source_length=config.max_source_length,
        about={"imported_from": f"Marian checkpoint {name}", **config.languages},
    )


def read_pretrained(folder: Path) -> tuple[MarianConfig, Weights, list[MarianTokenizer]]:
    """Reads what `save_pretrained` wrote.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or does not match the others.
    """
    config = read_config(folder)
    return config, read_weights(folder), read_tokenizers(folder, config.special_ids)
