"""Runs converted to CTranslate2, each once, in a cache by content."""

import hashlib
import tempfile
import time
from pathlib import Path

from keras_transformer.formats import export_ctranslate2
from keras_transformer.io import FolderInUseError, RemoteError, cache_folder
from keras_transformer.translation import Translator
from keras_transformer.translation.run_folder import FILES, package_versions, read_description

CACHE = "ctranslate2"  # a folder of the run, and of the user's cache folder
WHOLE = "model.bin"  # an export is moved to its place as a whole
CONVERTERS = ("keras-transformer", "ctranslate2")
PAUSE = 0.2  # seconds between two looks at what another process converts


def converted(run: Path, is_fetched: bool = False) -> Path:
    """Returns the folder of a run in CTranslate2's format, which is written if there is none.

    The name of the folder is the fingerprint of the run's files and of the packages that convert
    them. It is in the run folder, or in the user's cache folder if the run folder cannot be
    written. Of several processes at once, one converts and the others wait.

    Args:
        run: Local folder of a finished run of a translator.
        is_fetched: Whether the folder is a copy that will not stay.

    Raises:
        ImportError: CTranslate2 is not installed.
        RemoteError: The run was replaced meanwhile.
        RunError: The folder is missing, incomplete or damaged, or holds a language model.
        ValueError: CTranslate2 cannot express what the translator computes.
    """
    read_description(run)  # says what is wrong with a folder that is not a run
    name = fingerprint(run)
    places = [cache_folder() / CACHE / name]
    if not is_fetched:
        places.insert(0, run / CACHE / name)
    found = next((place for place in places if (place / WHOLE).is_file()), None)
    if found is not None:
        return found
    translator = Translator.load(run)
    if fingerprint(run) != name:
        raise RemoteError(f"{run} was replaced while it was read. Try again.")
    place = places[0] if is_fetched or _is_writable(places[0].parent) else places[-1]
    place.parent.mkdir(parents=True, exist_ok=True)
    _convert(translator, place)
    return place


def fingerprint(run: Path) -> str:
    """Returns a hash of the files of a run and of the versions of the packages that convert it."""
    digest = hashlib.sha256(repr(sorted(package_versions(CONVERTERS).items())).encode())
    for path in (run / name for name in FILES):
        if path.is_file():
            with open(path, "rb") as file:
                digest.update(
                    f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()} ".encode()
                )
    return digest.hexdigest()[:32]


def _convert(translator: Translator, place: Path) -> None:
    """Exports a translator, unless another process does: then waits for it."""
    while not (place / WHOLE).is_file():
        try:
            export_ctranslate2(translator, place)
        except FolderInUseError:
            time.sleep(PAUSE)


def _is_writable(folder: Path) -> bool:
    """Returns whether files can be written to a folder, which is created."""
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:  # read-only, or something else has this name
        return False
