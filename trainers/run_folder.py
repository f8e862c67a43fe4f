"""The folder that a run writes to: gone again if nothing came of it."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from keras_transformer.io import WRITING
from trainers.recipe import Recipe
from trainers.tokenizers import FILES as TOKENIZERS

REPLACED = ("checkpoints", "recipe.yaml", *TOKENIZERS, "model.weights.h5", "held_out", "logs")


@contextlib.contextmanager
def run_folder(recipe: Recipe) -> Iterator[Path]:
    """The run's folder; gone again if nothing came of the run before it was trained.

    Raises:
        ValueError: The folder holds what the run would replace, or is a file.
    """
    output = recipe.output
    if (output / "run.json").exists() and not recipe.overwrite:
        raise ValueError(
            f"{output} holds a finished run. Give another --output, or --overwrite true to replace "
            "it."
        )
    others = [name for name in REPLACED if (output / name).exists()]
    if others and not (recipe.overwrite or _is_a_run(output)):
        raise ValueError(
            f"{output} is no run's folder but holds {others[0]}, which a run would replace. Give "
            "another --output, or --overwrite true to lose it."
        )
    above = [output, *output.parents]
    for path in above:
        if path.exists() and not path.is_dir():
            raise ValueError(f"--output must be a folder; {path} is a file. Give another name.")
    missing = [path for path in above if not path.exists()]
    before = set(output.iterdir()) if output.exists() else set()
    try:
        yield output
    except BaseException:
        if output.exists() and not (output / "checkpoints").exists():
            _remove(set(output.iterdir()) - before)
        with contextlib.suppress(OSError):  # not empty: another run's, or this one was training
            for path in missing:
                path.rmdir()
        raise


def _is_a_run(output: Path) -> bool:
    """Whether a trainer wrote there: a state, or a recipe with every option."""
    if any((output / "checkpoints").glob("state-*.npz")):
        return True
    try:
        recipe = yaml.safe_load((output / "recipe.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(recipe, dict) and {"output", "corpus", "preset", "seed"} <= recipe.keys()


@contextlib.contextmanager
def only_reading(recipe: Recipe) -> Iterator[Path]:
    """The run's folder for a worker that is not the chief, who alone writes to it or to the screen.

    All workers must see the same folder.
    """
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield recipe.output


def clear(output: Path) -> None:
    """Removes what a finished run left, its description first: another takes its place."""
    _remove(output / name for name in ("run.json", *REPLACED))


def remove_left_overs(output: Path) -> None:
    """Removes what was being written when a run was killed."""
    for folder in (output, output / "checkpoints", output / "tokens"):
        _remove(folder.glob(f"{WRITING}*"))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
