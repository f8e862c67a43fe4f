"""Folders that appear whole or not at all, and never in the place of somebody else's."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_folder(folder: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Gives an empty folder to fill, which becomes `folder` at the end, unless the block fails.

    Args:
        folder: What is to be written. It may be there if it is empty or ours.
        is_ours: Says of a folder whether all that it holds was written by the caller's function.

    Raises:
        FileExistsError: Something else is there.
    """
    try:
        folder = folder.resolve()  # a link's target; the current folder has no name to move it by
    except RuntimeError as error:
        raise FileExistsError(f"{folder} is a link that leads to itself.") from error
    check_free(folder, is_ours)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except BaseException:
            if old.exists():
                os.replace(old, folder)
            raise


def check_free(folder: Path, is_ours: Callable[[Path], bool]) -> None:
    """Raises `FileExistsError` unless the folder is missing, empty or ours."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder.is_dir() and is_ours(folder)):
        raise FileExistsError(
            f"{folder} is there already and holds something else: give another folder, or delete "
            "it first."
        )
