"""The state of a training on disk: files that are whole or not there; damage is noticed."""

import dataclasses
import json
import os
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from keras_transformer.io import atomic_write

FORMAT = 2
METADATA = "metadata.json"
NAME = re.compile(r"state-(\d+)\.npz")


class StateError(ValueError):
    """A saved state cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class SavedState:
    """A state that was found whole.

    Attributes:
        path: Its file.
        metadata: What it tells besides the variables, of types that JSON has.
    """

    path: Path
    metadata: dict

    def arrays(self, *groups: str) -> dict[str, np.ndarray]:
        """The values of the variables of some groups, as `read_variables` gave them."""
        with np.load(self.path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name.split("/")[0] in groups}


class StateFolder:
    """A folder with the newest states of one training, `state-00001234.npz` and so on.

    The number is that of the steps. A file is a NumPy archive, whose
    members carry CRC-32 checksums.

    Args:
        folder: Where it is, or is to be. Other files in it are left alone.
        keep: Integer, at least 1. How many states are kept.

    Example:

    >>> import tempfile
    >>> states = StateFolder(tempfile.mkdtemp())
    >>> path = states.write(1234, {"epoch": 5}, {"model/0/kernel": np.ones((2, 3))})
    >>> path.name, states.newest().metadata
    ('state-00001234.npz', {'epoch': 5})
    """

    def __init__(self, folder: str | os.PathLike, keep: int = 2):
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1. Received: {keep}")
        self.folder = Path(folder)
        self.keep = keep

    def paths(self) -> list[Path]:
        """The files of the states that are there, oldest first."""
        if not self.folder.is_dir():
            return []
        states = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(filter(Path.is_file, states), key=_step)

    def write(self, step: int, metadata: dict, arrays: dict[str, np.ndarray]) -> Path:
        """Writes a state, and removes those that it makes old and those of later steps.

        Raises:
            OSError: It could not be written; the ones before it are untouched.
        """
        path = self.folder / f"state-{step:08d}.npz"
        with atomic_write(path) as writing, open(writing, "wb") as file:
            text = json.dumps({"format": FORMAT, "metadata": metadata}, default=float)
            np.savez(file, **{METADATA: np.frombuffer(text.encode(), np.uint8)}, **arrays)
        until_now = [one for one in self.paths() if _step(one) <= step]
        for other in set(self.paths()) - set(until_now[-self.keep :]):
            other.unlink(missing_ok=True)
        return path

    def newest(self, warn: Callable[[str], None] = warnings.warn) -> SavedState | None:
        """The newest state that is whole, or `None` if there is none at all.

        Args:
            warn: Function that is told, in a sentence, of each damaged one that is passed over.

        Raises:
            StateError: There are states, and all of them are damaged; or the newest is of another
                version; or the folder is a file.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise StateError(f"{self.folder} is a file. Expected a folder: move the file away.")
        for path in reversed(self.paths()):
            try:
                return SavedState(path, _read_metadata(path))
            except OSError as error:
                reason = error.strerror or str(error)
                warn(f"{path} is damaged ({reason}) and is passed over.")
        if self.paths():
            raise StateError(
                f"No state in {self.folder} is whole. Copy the folder once more, or start afresh."
            )
        return None

    def clear(self) -> None:
        """Removes all states."""
        for path in self.paths():
            path.unlink(missing_ok=True)


def _step(path: Path) -> int:
    return int(NAME.fullmatch(path.name)[1])


def _read_metadata(path: Path) -> dict:
    """Returns the metadata of a state, once every member's CRC-32 has been verified.

    Raises:
        OSError: The file is damaged or cannot be read.
        StateError: Another version of the package wrote it.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if archive.testzip() is not None:
                    raise OSError("its checksum is wrong")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                name = METADATA if METADATA in archive.files else "facts.json"  # of format 1
                description = json.loads(archive[name].tobytes())
            version = description["format"]
        except (zipfile.BadZipFile, zlib.error, struct.error, LookupError) as error:
            raise OSError(f"it is not a whole archive: {error}") from error
        except (NotImplementedError, RuntimeError, ValueError) as error:
            raise OSError(f"it is not a state: {error}") from error
    if version != FORMAT:
        raise StateError(
            f"{path} has format {version}; this package reads {FORMAT}. Go on with the package "
            "version that wrote it, or start afresh."
        )
    return description["metadata"]


def read_variables(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of all that `fit` changes: weights, seeds, the optimizer's and the metrics'.

    With several workers all of them must read, for a metric's value is summed over them.

    Returns:
        Arrays by `GROUP/NUMBER/PATH`, where the group is `model`, `optimizer` or `metrics`.
    """
    return {
        f"{group}/{number:04d}/{variable.path}": keras.ops.convert_to_numpy(variable)
        for group in ("model", "optimizer", "metrics")
        for number, variable in enumerate(variables_of(model, group))
    }


def variables_of(model: keras.Model, group: str) -> list:
    """The variables of one group, always in the same order."""
    if group == "metrics":
        return model.metrics_variables
    return (model if group == "model" else model.optimizer).variables


def assign_variables(model: keras.Model, state: SavedState, *groups: str) -> None:
    """Fills all variables of some groups with the values of a state, or none of them.

    Raises:
        StateError: The values are of a model with other variables.
    """
    arrays, pairs = state.arrays(*groups), []
    for group in groups:
        values = [array for name, array in arrays.items() if name.startswith(f"{group}/")]
        variables = variables_of(model, group)
        if len(values) != len(variables):
            raise StateError(
                f"{state.path} is of another model: {group} has {len(values)} variables there, "
                f"{len(variables)} here. Go on with the model it was saved from, or start afresh."
            )
        pairs += [
            (variable, value.view(variable.dtype) if value.dtype.kind == "V" else value)
            for variable, value in zip(variables, values, strict=True)  # NumPy forgets bfloat16
        ]
    for variable, value in pairs:
        found, expected = _kind(value), _kind(variable)
        if found != expected:
            raise StateError(
                f"{state.path} is of another model or backend: {variable.path} is {found} there, "
                f"{expected} here. Go on with those it was saved from, or start afresh."
            )
    for variable, value in pairs:
        variable.assign(value)


def _kind(values) -> str:
    dtype = keras.backend.standardize_dtype(values.dtype)
    return f"{dtype} {tuple(values.shape)}"
