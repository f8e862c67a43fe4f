"""Run folder of an `ImageGenerator`: `run.json` and the weights."""

import json
import tempfile
from pathlib import Path

from keras_transformer.io import RemoteFolder, atomic_write, locked_output, path_or_url
from keras_transformer.layers.parts import UnregisteredError
from keras_transformer.models import describe_model, model_from_description
from keras_transformer.translation.run_folder import (
    DESCRIPTION,
    FORMAT_VERSION,
    PACKAGES,
    RESERVED_KEYS,
    WEIGHTS,
    RunError,
    check_kind,
    load_weights,
    package_versions,
    read_description,
    save_weights,
)

KIND = "images"
FILES = (DESCRIPTION, WEIGHTS)


def save_run(generator, folder) -> None:
    """Saves an image generator to a run folder, or a URL; `run.json` comes last.

    Raises:
        FolderInUseError: Another process writes to the folder.
        ValueError: The class of a part of the model is not registered with Keras.
    """
    description = {
        **{key: value for key, value in generator.about.items() if key not in RESERVED_KEYS},
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "model": describe_model(generator.model),
        "versions": package_versions(PACKAGES),
    }
    content = (json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode()
    folder = path_or_url(folder)
    with locked_output(folder, "saving"):
        if isinstance(folder, Path):
            _write_files(generator, folder, content)
            return
        remote = RemoteFolder(folder)
        remote.check_writable()
        with tempfile.TemporaryDirectory() as local:
            _write_files(generator, Path(local), content)
            remote.replace(Path(local), DESCRIPTION)


def _write_files(generator, folder: Path, description: bytes) -> None:
    (folder / DESCRIPTION).unlink(missing_ok=True)
    save_weights(generator.model, folder / WEIGHTS)
    with atomic_write(folder / DESCRIPTION) as scratch:
        scratch.write_bytes(description)


def load_run(folder: Path) -> dict:
    """Reads a run folder.

    Returns:
        Dict of arguments of `ImageGenerator`.

    Raises:
        RunError: The folder is missing, incomplete or damaged, or holds another kind of run.
    """
    description = read_description(folder)
    check_kind(description, KIND, folder)
    path = folder / DESCRIPTION
    try:
        model = model_from_description(description["model"])
        model.target_embedding.to_images  # noqa: B018 (what it must have)
    except UnregisteredError as error:
        raise RunError(f"{path} needs code of your own. {error}") from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} does not describe an image model ({error!r}): it is damaged or was written by "
            "another version. Copy the whole run folder again, or train again."
        ) from error
    load_weights(model, folder / WEIGHTS)
    about = {key: value for key, value in description.items() if key not in RESERVED_KEYS}
    return {"model": model, "about": about}
