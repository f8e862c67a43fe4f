"""The folder of a finished run: what `Translator.save` writes and `Translator.load` reads."""

import importlib.metadata
import json
import math
import operator
from collections.abc import Iterable
from pathlib import Path

import keras

from keras_transformer.io import atomic_write
from keras_transformer.models import Transformer
from keras_transformer.text import TokenizerProtocol, load_tokenizer
from keras_transformer.translation.renamed_weights import with_current_paths

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
DESCRIPTION = "run.json"
WEIGHTS = "model.weights.h5"
TOKENIZER = "tokenizer.model"
TARGET_TOKENIZER = "target_tokenizer.model"
PACKAGES = ("keras-transformer", "keras", "tensorflow", "jax", "sentencepiece")
SPECIAL_IDS = ("pad_id", "bos_id", "eos_id", "unk_id")
NOT_SIZES = ("name", "trainable", "dtype")  # of a model's config: not arguments a run may set


class RunError(ValueError):
    """A run folder cannot be used; the message says why and what to do."""


def save_run(translator, folder: Path) -> None:
    """Writes weights and tokenizers, and `run.json` last, each whole or not at all.

    An older `run.json` goes first: a folder with parts of two runs is none.

    Raises:
        TypeError: A tokenizer cannot be saved.
    """
    for tokenizer in (translator.tokenizer, translator.target_tokenizer):
        if not hasattr(tokenizer, "save"):
            raise TypeError(
                "A run folder holds the package's own tokenizers, `keras_transformer.Tokenizer`. "
                f"Received: {type(tokenizer).__name__}. Keep it in a file of your own, and the "
                "model with `model.save_weights`."
            )
    shared = translator.target_tokenizer is translator.tokenizer
    config = translator.model.get_config()
    description = {
        **translator.about,
        "format_version": FORMAT_VERSION,
        "model": {key: value for key, value in config.items() if key not in NOT_SIZES},
        "dtype": translator.model.dtype_policy.name,
        "max_source_length": translator.max_source_length,
        "shared_vocabulary": shared,
        "special_ids": {name: getattr(translator.target_tokenizer, name) for name in SPECIAL_IDS},
        "versions": package_versions(PACKAGES),
    }
    content = (json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (DESCRIPTION, TARGET_TOKENIZER):
        (folder / name).unlink(missing_ok=True)
    translator.tokenizer.save(folder / TOKENIZER)
    if not shared:
        translator.target_tokenizer.save(folder / TARGET_TOKENIZER)
    save_weights(translator.model, folder / WEIGHTS)
    with atomic_write(folder / DESCRIPTION) as scratch:
        scratch.write_bytes(content)


def save_weights(model, path: Path) -> None:
    """Saves a model's weights to `path`, which appears whole or not at all.

    The optimizer's state, with Adam two thirds of what Keras would write, is left out.
    """
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        with atomic_write(path) as scratch:
            model.save_weights(scratch)
    finally:
        model.optimizer = optimizer


def load_run(folder: Path) -> dict:
    """The arguments of the `Translator` that a run folder holds.

    Raises:
        RunError: The folder is missing, incomplete or damaged.
    """
    description = read_description(folder)
    try:
        model = Transformer(**description["model"], dtype=description["dtype"])
        model.build()
        arguments = {
            "max_source_length": operator.index(description["max_source_length"]),
            "about": {k: v for k, v in description.items() if k not in _OURS},
        }
        shared = description["shared_vocabulary"]
        special_ids = dict(description["special_ids"])
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder / DESCRIPTION} does not describe a model ({error!r}): it is damaged or of "
            "another version. Train again, or copy the whole folder once more."
        ) from error
    arguments["tokenizer"] = read_tokenizer(folder / TOKENIZER)
    if not shared:
        arguments["target_tokenizer"] = read_tokenizer(folder / TARGET_TOKENIZER)
    _check_ids(arguments.get("target_tokenizer", arguments["tokenizer"]), special_ids, folder)
    load_weights(model, folder / WEIGHTS, description["format_version"])
    return {"model": model, **arguments}


_OURS = ("format_version", "model", "dtype", "max_source_length", "shared_vocabulary")
_OURS += ("special_ids", "versions")


def read_description(folder: Path) -> dict:
    """What `run.json` says."""
    path = folder / DESCRIPTION
    if not path.is_file():
        what = "is a file" if folder.exists() else "does not exist"
        what = "holds no run.json" if folder.is_dir() else what
        raise RunError(
            f"{folder} {what}, so it is not a finished run. Give the folder that a trainer wrote "
            "(--output)."
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        version = description["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{path} is damaged ({error!r}). Train again, or copy the whole folder once more."
        ) from error
    if version not in READABLE_VERSIONS:
        known = " and ".join(map(str, READABLE_VERSIONS))
        raise RunError(
            f"{path} has format version {version!r}; this package reads {known}. "
            "Use the package version named in it."
        )
    return description


def read_tokenizer(path: Path) -> TokenizerProtocol:
    """The tokenizer of a run folder."""
    try:
        return load_tokenizer(path)
    except (OSError, ValueError) as error:
        raise RunError(f"The run's tokenizer cannot be read: {error}") from error


def load_weights(model: keras.Model, path: Path, version: int = FORMAT_VERSION) -> None:
    """Fills a built model with the weights of a file, which must fit it, no more and no less."""
    if not path.is_file():
        raise RunError(f"{path} is missing: copy the whole run folder once more, or train again.")
    try:
        with with_current_paths(path, version) as current:
            model.load_weights(current)
        found, wanted = _numbers_in(path), sum(math.prod(w.shape) for w in model.weights)
        if found != wanted:
            raise ValueError(f"it holds {found:,} numbers, the model {wanted:,}")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise RunError(
            f"{path} is damaged or belongs to another model ({reason}). Copy the whole run folder "
            "once more, or train again."
        ) from error


def _numbers_in(path: Path) -> int:
    """How many numbers a file of weights holds."""
    import h5py

    sizes = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    return sum(sizes)


def _check_ids(tokenizer, special_ids: dict, folder: Path) -> None:
    found = {name: getattr(tokenizer, name) for name in SPECIAL_IDS}
    if found != special_ids:
        raise RunError(
            f"{folder / DESCRIPTION} and the run's tokenizer do not belong together: it says "
            f"{special_ids}, the tokenizer has {found}. Copy the whole run folder once more."
        )


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Returns the versions of those packages that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
