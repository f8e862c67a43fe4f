"""Run folder: the files of a `Translator` or `TextGenerator`, written and read."""

import importlib.metadata
import json
import math
import operator
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import keras

from keras_transformer.checkpoints.adapter import (
    ADAPTER,
    adapted_layers,
    base_fingerprint,
    merged_adapter,
    save_adapter,
)
from keras_transformer.decoding.shortlist import Shortlist
from keras_transformer.io import (
    RemoteError,
    RemoteFolder,
    atomic_write,
    fetched_folder,
    is_url,
    locked_output,
    path_or_url,
)
from keras_transformer.layers.parts import UnregisteredError
from keras_transformer.models import (
    LanguageModel,
    Transformer,
    describe_model,
    model_from_description,
)
from keras_transformer.text import TokenizerProtocol, load_tokenizer
from keras_transformer.translation.quantization import quantize, read_modes
from keras_transformer.translation.renamed_weights import with_current_paths

FORMAT_VERSION = 4  # from 4 on, the model is described with its class and its parts
READABLE_VERSIONS = (1, 2, 3, FORMAT_VERSION)  # 3: as 2, of a quantized model
DESCRIPTION = "run.json"
WEIGHTS = "model.weights.h5"
TOKENIZER = "tokenizer.model"
TARGET_TOKENIZER = "target_tokenizer.model"
PACKAGES = ("keras-transformer", "keras", "tensorflow", "jax", "sentencepiece")
SHORTLIST = "shortlist.npz"
FILES = (DESCRIPTION, TOKENIZER, TARGET_TOKENIZER, WEIGHTS)
SPECIAL_IDS = ("pad_id", "bos_id", "eos_id", "unk_id")
RESERVED_KEYS = ("format_version", "model", "dtype", "max_source_length", "shared_vocabulary")
RESERVED_KEYS += ("quantization", "special_ids", "versions", "kind", "trained_length", "adapter")
# Keys of `run.json`; all others are `Translator.about`.
KINDS = {  # by the key `kind` of `run.json`, which runs of translators do not have
    "translator": "a translator: use `Translator.load`, or `python -m keras_transformer translate`",
    "language_model": "a language model, which continues texts: use `TextGenerator.load`, or "
    "`python -m keras_transformer generate`",
    "images": "an image model: use `keras_transformer.images.ImageGenerator.load`",
}


class RunError(ValueError):
    """Error raised if a run folder cannot be used; the message says why and what to do."""


def save_run(translator, folder: str | os.PathLike) -> None:
    """Saves a translator or a text generator to a run folder.

    Tokenizers and weights come first and `run.json` last. An adapter of the model is saved as
    `adapter.weights.h5`, and merged into the weights, so that the run is complete. Every file is
    written atomically. An existing `run.json` is deleted first, so that an interrupted save never
    leaves a loadable mixture of two runs.

    Args:
        translator: `Translator` or `TextGenerator` to save.
        folder: Path of the folder, which is created if it does not exist, or its URL.

    Raises:
        FolderInUseError: Another process writes to the folder.
        TypeError: A tokenizer has no method `save`.
        ValueError: The model is quantized in a way that the folder cannot describe, or the class of
            the model or of one of its parts is not registered with Keras.
    """
    for tokenizer in (translator.tokenizer, translator.target_tokenizer):
        if not hasattr(tokenizer, "save"):
            raise TypeError(
                "A run folder needs tokenizers that can be saved, such as "
                f"`keras_transformer.Tokenizer`. Received: {type(tokenizer).__name__}. Save this "
                "tokenizer in a file yourself, and the model with `model.save_weights`."
            )
    adapter = describe_adapter(translator.model)
    modes = read_modes(translator.model)
    description = {
        **{key: value for key, value in translator.about.items() if key not in RESERVED_KEYS},
        "format_version": FORMAT_VERSION,
        "model": describe_model(translator.model),
        **({"quantization": modes} if modes else {}),
        **({"adapter": adapter} if adapter else {}),
        **translator.run_settings(),
        "special_ids": {name: getattr(translator.target_tokenizer, name) for name in SPECIAL_IDS},
        "versions": package_versions(PACKAGES),
    }
    content = (json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode()
    folder = path_or_url(folder)
    with locked_output(folder, "saving"):
        if isinstance(folder, Path):
            _write_files(translator, folder, content)
            return
        remote = RemoteFolder(folder)
        remote.check_writable()
        with tempfile.TemporaryDirectory() as local:
            _write_files(translator, Path(local), content)
            remote.replace(
                Path(local), DESCRIPTION, outdated=[TARGET_TOKENIZER, ADAPTER, SHORTLIST]
            )


def _write_files(translator, folder: Path, description: bytes) -> None:
    for name in (DESCRIPTION, TARGET_TOKENIZER, ADAPTER, SHORTLIST):
        (folder / name).unlink(missing_ok=True)
    translator.tokenizer.save(folder / TOKENIZER)
    if translator.target_tokenizer is not translator.tokenizer:
        translator.target_tokenizer.save(folder / TARGET_TOKENIZER)
    if adapted_layers(translator.model):
        save_adapter(translator.model, folder / ADAPTER)
    if getattr(translator, "shortlist", None) is not None:
        save_shortlist(translator.shortlist, folder)
    with merged_adapter(translator.model):
        save_weights(translator.model, folder / WEIGHTS)
    with atomic_write(folder / DESCRIPTION) as scratch:
        scratch.write_bytes(description)


def save_shortlist(shortlist, folder: Path) -> None:
    """Writes the shortlist of a run with an atomic write."""
    with atomic_write(folder / SHORTLIST) as scratch:
        shortlist.save(scratch)


def load_shortlist(folder: Path, name) -> Shortlist:
    """Reads the shortlist of a run folder.

    Args:
        folder: The run folder.
        name: What the folder is called in messages, such as its URL.

    Raises:
        RunError: The file is missing or damaged.
    """
    if not (folder / SHORTLIST).is_file():
        place = "a local copy of it" if is_url(name) else "it"
        raise RunError(
            f"{name} has no shortlist. Add one to {place} with `python -m keras_transformer "
            "shortlist --run RUN --source FILE --target FILE`, from the sentence pairs that the "
            "run was trained on."
        )
    try:
        return Shortlist.load(folder / SHORTLIST)
    except ValueError as error:
        raise RunError(str(error)) from error


def describe_adapter(model) -> dict | None:
    """Returns the rank of an adapter and the fingerprint of its base; `None` without one."""
    layers = adapted_layers(model)
    return {"rank": layers[0].lora_rank, "base": base_fingerprint(model)} if layers else None


def save_weights(model, path: Path) -> None:
    """Saves the weights of a model with an atomic write, without the state of the optimizer.

    With Adam, that state is two thirds of the file that `model.save_weights` would write.
    """
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        with atomic_write(path) as scratch:
            model.save_weights(scratch)
    finally:
        model.optimizer = optimizer


def load_run(folder: Path, kind: str = "translator") -> dict:
    """Reads a run folder.

    Args:
        folder: The run folder.
        kind: What it must hold, a key of `KINDS`.

    Returns:
        Dict of arguments of `Translator` or `TextGenerator`.

    Raises:
        RunError: The folder is missing, incomplete or damaged, or holds another kind of run.
    """
    description = read_description(folder)
    found = check_kind(description, kind, folder)
    try:
        model = _make_model(description)
        if "quantization" in description:
            quantize(model, description["quantization"])
        if found != kind or (kind == "language_model") != isinstance(model, LanguageModel):
            raise ValueError(f"a {type(model).__name__} as a run of the kind {found!r}")
        settings = read_settings(description, kind)
        shared = kind == "language_model" or description["shared_vocabulary"]
        special_ids = dict(description["special_ids"])
    except UnregisteredError as error:
        raise RunError(f"{folder / DESCRIPTION} needs code of your own. {error}") from error
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise RunError(
            f"{folder / DESCRIPTION} does not describe a model ({error!r}): it is damaged or was "
            "written by another version. Copy the whole run folder again, or train again."
        ) from error
    tokenizers = load_tokenizers(folder, shared, special_ids)
    load_weights(model, folder / WEIGHTS, description["format_version"])
    return {"model": model, **settings, **tokenizers}


def read_settings(description: dict, kind: str = "translator") -> dict:
    """Returns what a description says of `Translator` or `TextGenerator` beside their parts."""
    length = "max_source_length" if kind == "translator" else "trained_length"
    about = {key: value for key, value in description.items() if key not in RESERVED_KEYS}
    return {length: operator.index(description[length]), "about": about}


def load_tokenizers(folder: Path, shared: bool, special_ids: dict) -> dict:
    """Loads the tokenizers of a run folder: `tokenizer` and, unless shared, `target_tokenizer`.

    Raises:
        RunError: A file is missing or damaged, or has other special ids.
    """
    tokenizers = {"tokenizer": read_tokenizer(folder / TOKENIZER)}
    if not shared:
        tokenizers["target_tokenizer"] = read_tokenizer(folder / TARGET_TOKENIZER)
    _check_ids(tokenizers.get("target_tokenizer", tokenizers["tokenizer"]), special_ids, folder)
    return tokenizers


def check_kind(description: dict, kind: str, folder) -> str:
    """Returns what a run holds; raises a RunError if that is another known kind."""
    found = str(description.get("kind", "translator"))
    if found != kind and found in KINDS:
        raise RunError(f"{folder} holds the run of {KINDS[found]}.")
    return found


def check_translator(folder: str | os.PathLike) -> None:
    """Raises a RunError unless a folder, or its URL, describes the run of a translator.

    This reads no weights, so that a command can fail before its work.
    """
    with fetched_folder(folder, [DESCRIPTION]) as local:
        check_kind(read_description(local), "translator", folder)


def run_kind(folder: str | os.PathLike) -> str:
    """Returns what a run folder, or its URL, holds, a key of `KINDS`.

    It is a translator if the folder cannot be read; `Translator.load` then says why.
    """
    try:
        with fetched_folder(folder, [DESCRIPTION]) as local:
            kind = read_description(local).get("kind")
    except (RunError, RemoteError):
        kind = None
    return kind if kind in KINDS else "translator"


def _make_model(description: dict) -> keras.Model:
    """Returns the built model that a `run.json` of any readable version describes."""
    if description["format_version"] == FORMAT_VERSION:
        model = model_from_description(description["model"])
        if not isinstance(model, keras.Model) or not hasattr(model, "decode_step"):
            raise TypeError(f"{type(model).__name__} is not a model that translates")
        return model
    model = Transformer(**description["model"], dtype=description["dtype"])
    model.build()
    return model


def read_description(folder: Path) -> dict:
    """Returns the contents of `run.json`.

    Raises:
        RunError: The file is missing, damaged or of another format version.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        reason = "is a file" if folder.exists() else "does not exist"
        reason = "holds no run.json" if folder.is_dir() else reason
        raise RunError(
            f"{folder} {reason}, so it is not a finished run. Give the folder that a trainer wrote "
            "(--output)."
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        version = description["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{path} is damaged ({error!r}). Copy the whole run folder again, or train again."
        ) from error
    if version not in READABLE_VERSIONS:
        readable = ", ".join(map(str, READABLE_VERSIONS))
        raise RunError(
            f"{path} has format version {version!r}; this package reads {readable}. "
            "Use the package version named in the file."
        )
    return description


def read_tokenizer(path: Path) -> TokenizerProtocol:
    """Loads a tokenizer of a run folder.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        return load_tokenizer(path)
    except (OSError, ValueError) as error:
        raise RunError(f"The run's tokenizer cannot be read: {error}") from error


def load_weights(model: keras.Model, path: Path, version: int = FORMAT_VERSION) -> None:
    """Loads the weights of a file into a built model.

    Args:
        model: A built model.
        path: A `.weights.h5` file with weights for all of the model's variables, and no others.
        version: Integer. Format version of the run folder, by which renamed weights are found.

    Raises:
        RunError: The file is missing or damaged, or does not fit the model.
    """
    if not path.is_file():
        raise RunError(f"{path} is missing: copy the whole run folder again, or train again.")
    try:
        with with_current_paths(path, version) as current:
            model.load_weights(current)
        found = _count_parameters(path)
        expected = sum(math.prod(weight.shape) for weight in model.weights)
        if found != expected:
            raise ValueError(f"it holds {found:,} parameters, the model {expected:,}")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise RunError(
            f"{path} is damaged or belongs to another model ({reason}). Copy the whole run folder "
            "again, or train again."
        ) from error


def _count_parameters(path: Path) -> int:
    """Returns the total size of the weights in a `.weights.h5` file."""
    import h5py

    sizes = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    return sum(sizes)


def _check_ids(tokenizer, special_ids: dict, folder: Path) -> None:
    """Raises a `RunError` if a tokenizer's special ids differ from those in `run.json`."""
    found = {name: getattr(tokenizer, name) for name in SPECIAL_IDS}
    if found != special_ids:
        raise RunError(
            f"{folder / DESCRIPTION} and the run's tokenizer do not belong together: the file has "
            f"{special_ids}, the tokenizer {found}. Copy the whole run folder again."
        )


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Returns the versions of the given packages, without those that are not installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
