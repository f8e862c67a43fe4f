"""Creation, cleanup and replacement of run folders."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from keras_transformer.io import LOCK, WRITING, folder_lock
from trainers.recipe import Recipe
from trainers.remote_output import FINISHED, open_copy, send_run, working_copy
from trainers.tokenizers import FILES as TOKENIZERS

WEIGHTS = ("model.weights.h5", "adapter.weights.h5")
RUN_FILES = (
    "checkpoints",
    "recipe.yaml",
    *TOKENIZERS,
    *WEIGHTS,
    "shortlist.npz",
    "held_out",
    "logs",
)


@contextlib.contextmanager
def run_folder(recipe: Recipe) -> Iterator[Path]:
    """Returns a context manager that yields the run folder, locked against other processes.

    If an error ends the run before it has checkpoints, the files and folders that it created are
    removed.

    Raises:
        FolderInUseError: Another process writes to the folder.
        ValueError: The folder holds files that the run would replace, or is a file.
    """
    copy = working_copy(recipe)
    output = copy.folder if copy else recipe.output
    if copy is None:
        _check_output(recipe, output)
    with folder_lock(output, "training", name=str(recipe.output)):
        if copy is not None:
            open_copy(recipe, copy)
        _check_output(recipe, output)  # another process may have finished a run meanwhile
        before = set(output.iterdir()) | {output / LOCK}
        try:
            yield output
        except BaseException:
            if not (output / "checkpoints").exists():
                _remove(set(output.iterdir()) - before)
                with contextlib.suppress(OSError):  # the first error is the one to report
                    send_run(recipe)
            raise


def _check_output(recipe: Recipe, folder: Path) -> None:
    """Raises a `ValueError` if the output is a file, or holds what a run must not replace.

    Args:
        recipe: `Recipe`.
        folder: The output, or its working copy.
    """
    output = recipe.output
    if (folder / "run.json").exists() and not recipe.overwrite:
        raise ValueError(FINISHED.format(output))
    replaced = [name for name in RUN_FILES if (folder / name).exists()]
    if replaced and not (recipe.overwrite or _is_run_folder(folder)):
        raise ValueError(
            f"{output} is not a run folder, but it holds {replaced[0]}, which a run would replace. "
            "Give another --output, or --overwrite true to delete it."
        )
    for path in [folder, *folder.parents]:
        if path.exists() and not path.is_dir():
            raise ValueError(f"--output must be a folder; {path} is a file. Give another name.")


def _is_run_folder(output: Path) -> bool:
    """Returns whether a trainer wrote this folder: it holds a state or a complete recipe."""
    if any((output / "checkpoints").glob("state-*.npz")):
        return True
    try:
        recipe = yaml.safe_load((output / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(recipe, dict) and {"output", "epochs", "seed"} <= recipe.keys()


@contextlib.contextmanager
def read_only_run_folder(recipe: Recipe) -> Iterator[Path]:
    """Returns a context manager that yields the run folder to workers other than the chief.

    Their standard output is discarded: only the chief prints, and only the chief writes to the
    folder. All workers must have access to the same folder.
    """
    with open(os.devnull, "w") as devnull, contextlib.redirect_stdout(devnull):
        yield recipe.output


def clear_run(output: Path) -> None:
    """Removes the files of an earlier run, so that a new one can take its place.

    `run.json` is removed first: an interruption never leaves a loadable mixture of two runs.
    """
    _remove(output / name for name in ("run.json", *RUN_FILES))


def remove_partial_writes(output: Path) -> None:
    """Removes the temporary files of atomic writes that a killed run left behind."""
    for folder in (output, output / "checkpoints", output / "tokens"):
        _remove(folder.glob(f"{WRITING}*"))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
