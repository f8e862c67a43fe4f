"""Training states on disk: atomic writes, with checksums that reveal damaged files."""

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

from keras_transformer.checkpoints.adapter import adapted_layers, base_weights
from keras_transformer.forking import refused_after_fork
from keras_transformer.io import atomic_write, local_path

FORMAT = 2
METADATA = "metadata.json"
FILE_NAME = re.compile(r"state-(\d+)\.npz")


class StateError(ValueError):
    """Error raised if a saved state cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class SavedState:
    """A training state on disk whose checksums have been verified.

    Attributes:
        path: Path of the file.
        metadata: Dict of JSON values that is stored with the variables.
    """

    path: Path
    metadata: dict

    def arrays(self, *groups: str) -> dict[str, np.ndarray]:
        """Reads the variables of the given groups, in the form that `read_variables` returns."""
        with np.load(self.path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name.split("/")[0] in groups}


class StateFolder:
    """Folder with the most recent states of a training run.

    A state is the file `state-STEP.npz`, where `STEP` is the number of training steps: a NumPy
    archive, whose members carry CRC-32 checksums.

    Args:
        folder: Path of the folder, which is created when the first state is written. Other files in
            it are left alone.
        keep: Integer, at least 1. Number of states to keep.

    Raises:
        ValueError: `keep` is less than 1.

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
        self.folder = local_path(folder, "A folder of states")
        self.keep = keep

    def paths(self) -> list[Path]:
        """Returns the paths of the saved states, oldest first."""
        if not self.folder.is_dir():
            return []
        states = [path for path in self.folder.iterdir() if FILE_NAME.fullmatch(path.name)]
        return sorted(filter(Path.is_file, states), key=_step)

    def write(self, step: int, metadata: dict, arrays: dict[str, np.ndarray]) -> Path:
        """Writes a state, then deletes all but the `keep` newest and those of later steps.

        Args:
            step: Integer. Number of training steps.
            metadata: Dict of JSON values.
            arrays: Arrays by name, as `read_variables` returns them.

        Returns:
            The path of the file.

        Raises:
            OSError: The state could not be written; the earlier states are unchanged.
        """
        path = self.folder / f"state-{step:08d}.npz"
        with atomic_write(path) as scratch, open(scratch, "wb") as file:
            text = json.dumps({"format": FORMAT, "metadata": metadata}, default=float)
            np.savez(file, **{METADATA: np.frombuffer(text.encode(), np.uint8)}, **arrays)
        states = self.paths()
        kept = [state for state in states if _step(state) <= step][-self.keep :]
        for outdated in set(states) - set(kept):
            outdated.unlink(missing_ok=True)
        return path

    def newest(self, warn: Callable[[str], None] = warnings.warn) -> SavedState | None:
        """Returns the newest undamaged state, or `None` if the folder has no states.

        Args:
            warn: Function that is called with a message for each damaged state that is skipped.

        Raises:
            StateError: All states are damaged; or the newest undamaged one has another format
                version; or the folder is a file.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise StateError(f"{self.folder} is a file. Expected a folder: move the file away.")
        for path in reversed(self.paths()):
            try:
                return SavedState(path, _read_metadata(path))
            except OSError as error:
                reason = error.strerror or str(error)
                warn(f"{path} is damaged ({reason}) and is skipped.")
        if self.paths():
            raise StateError(
                f"All states in {self.folder} are damaged. Copy the folder again, or start afresh."
            )
        return None

    def clear(self) -> None:
        """Deletes all states."""
        for path in self.paths():
            path.unlink(missing_ok=True)


def _step(path: Path) -> int:
    return int(FILE_NAME.fullmatch(path.name)[1])


def _read_metadata(path: Path) -> dict:
    """Returns the metadata of a state, after verifying the CRC-32 of every member.

    Raises:
        OSError: The file is damaged or cannot be read.
        StateError: The state has another format version.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if archive.testzip() is not None:
                    raise OSError("its checksum is wrong")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                name = METADATA if METADATA in archive.files else "facts.json"  # in format 1
                description = json.loads(archive[name].tobytes())
            version = description["format"]
        except (zipfile.BadZipFile, zlib.error, struct.error, LookupError) as error:
            raise OSError(f"it is not a complete archive: {error}") from error
        except (NotImplementedError, RuntimeError, ValueError) as error:
            raise OSError(f"it is not a state: {error}") from error
    if version != FORMAT:
        raise StateError(
            f"{path} has format {version}; this package reads {FORMAT}. Continue with the package "
            "version that wrote it, or start afresh."
        )
    return description["metadata"]


@refused_after_fork
def read_variables(model: keras.Model) -> dict[str, np.ndarray]:
    """Reads all variables that `fit` changes: weights, seeds, optimizer state and metrics.

    With several workers, all of them must call it, because metrics are summed over the workers.

    Returns:
        Dict of arrays by `GROUP/NUMBER/PATH`, where `GROUP` is `model`, `optimizer` or `metrics`.
    """
    return {
        f"{group}/{number:04d}/{variable.path}": keras.ops.convert_to_numpy(variable)
        for group in ("model", "optimizer", "metrics")
        for number, variable in enumerate(variables_of(model, group))
    }


def variables_of(model: keras.Model, group: str) -> list:
    """Returns the variables of a group, always in the same order.

    Those of a model with an adapter are without the frozen weights of its base.
    """
    if group == "metrics":
        return model.metrics_variables
    if group == "optimizer":
        return model.optimizer.variables
    frozen = {id(variable) for variable in base_weights(model)} if adapted_layers(model) else ()
    return [variable for variable in model.variables if id(variable) not in frozen]


@refused_after_fork
def assign_variables(model: keras.Model, state: SavedState, *groups: str) -> None:
    """Assigns the values of a state to all variables of the given groups.

    Raises:
        StateError: The values do not fit the variables; none of them is changed.
    """
    arrays, pairs = state.arrays(*groups), []
    for group in groups:
        values = [array for name, array in arrays.items() if name.startswith(f"{group}/")]
        variables = variables_of(model, group)
        if len(values) != len(variables):
            raise StateError(
                f"{state.path} belongs to another model: {group} has {len(values)} variables "
                f"there, {len(variables)} here. Continue with the model that it was saved from, or "
                "start afresh."
            )
        pairs += [
            (variable, value.view(variable.dtype) if value.dtype.kind == "V" else value)
            for variable, value in zip(variables, values, strict=True)  # bfloat16 loads as bytes
        ]
    for variable, value in pairs:
        found, expected = _dtype_and_shape(value), _dtype_and_shape(variable)
        if found != expected:
            raise StateError(
                f"{state.path} belongs to another model or backend: {variable.path} is {found} "
                f"there, {expected} here. Continue with the model and backend that it was saved "
                "from, or start afresh."
            )
    for variable, value in pairs:
        variable.assign(value)


def _dtype_and_shape(values) -> str:
    """Returns the dtype and shape of an array or a variable, for comparison and messages."""
    dtype = keras.backend.standardize_dtype(values.dtype)
    return f"{dtype} {tuple(values.shape)}"
