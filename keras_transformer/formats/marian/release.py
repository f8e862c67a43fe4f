"""A release in Marian's own form: an `.npz` file, its `decoder.yml` and vocabularies."""

import os
from pathlib import Path, PurePosixPath

from keras_transformer.formats.marian.config import MarianConfig
from keras_transformer.formats.marian.npz import NpzWeights, read_npz
from keras_transformer.formats.marian.options import read_options
from keras_transformer.formats.marian.vocabularies import SENTENCEPIECE, read_vocabularies
from keras_transformer.formats.marian.yaml_files import read_mapping, shown
from keras_transformer.io import fetched_folder
from keras_transformer.text import MarianTokenizer

DECODER = "decoder.yml"


def release_files(folder: str | os.PathLike) -> list[str]:
    """Returns the names of the files of a release.

    Raises:
        ValueError: `decoder.yml` is damaged, or does not name one model and two vocabularies.
    """
    with fetched_folder(folder, (DECODER,)) as local:
        model, *vocabularies = _read_decoder(local / DECODER)
    return [DECODER, model, *dict.fromkeys(vocabularies), *SENTENCEPIECE]


def read_release(folder: Path) -> tuple[MarianConfig, NpzWeights, list[MarianTokenizer]]:
    """Reads a release.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, does not match the others, or is of a model that a
            `Transformer` cannot represent.
    """
    model, *vocabularies = _read_decoder(folder / DECODER)
    path = folder / model
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}, the model that {DECODER} names: copy the whole release."
        )
    text, tensors = read_npz(path)
    options = read_options(text, path)
    tokenizers = read_vocabularies(folder, vocabularies, options.vocabulary_sizes)
    weights = NpzWeights(path, tensors, options.vocabulary_sizes, options.model["norm"])
    return options.config(tokenizers[1].special_ids), weights, tokenizers


def _read_decoder(path: Path) -> list[str]:
    """Reads the names of model, source and target vocabulary, which lie beside `decoder.yml`."""
    mapping = read_mapping(path.read_bytes(), str(path))
    models, vocabularies = mapping.get("models"), mapping.get("vocabs")
    for names, count, key in ((models, 1, "models"), (vocabularies, 2, "vocabs")):
        is_list = isinstance(names, list) and len(names) == count
        if not is_list or not all(isinstance(name, str) and name for name in names):
            raise ValueError(
                f"{path} must name one .npz file as `models`, and the vocabularies of source and "
                f"target as `vocabs`. Received `{key}`: {shown(names)}"
            )
    return [PurePosixPath(name).name for name in (*models, *vocabularies)]
