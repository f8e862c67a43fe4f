"""Modules of the user that a command line names, `--import MODULE`."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

IMPORT_HELP = (
    "Python module of yours to import first, which registers layers, models or architectures. May "
    "be given again."
)


def add_import_option(parser) -> None:
    """Adds the option `--import` to a parser; `import_modules` imports what it names."""
    parser.add_argument("--import", type=list[str], default=[], help=IMPORT_HELP)


def import_modules(names: Sequence[str]) -> None:
    """Imports modules, installed ones or ones of the current folder.

    Raises:
        ValueError: There is no such module, or it fails; the message names the line.
    """
    if names and not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    for name in names:
        _import_module(name)


def _import_module(name: str) -> None:
    if not all(part.isidentifier() for part in name.split(".")) or name.endswith(".py"):
        raise ValueError(
            f"--import takes the name of a Python module, such as my_layers for my_layers.py. "
            f"Received: {name}"
        )
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise ValueError(
                f"There is no module {missing} to --import: it is neither installed nor in the "
                f"current folder, {os.getcwd()}"
            ) from error
        raise ValueError(
            f"The module {name} could not be imported: {type(error).__name__}: {error}"
            f"{_place(error)}"
        ) from error


def _place(error: BaseException) -> str:
    """Returns the file and the line of a module that an import failed at."""
    if isinstance(error, SyntaxError):  # names them itself
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if frame.name == "<module>"]
    return f" ({lines[-1].filename}, line {lines[-1].lineno})" if lines else ""
