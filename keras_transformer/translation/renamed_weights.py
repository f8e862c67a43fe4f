"""Paths of weights that were renamed since older versions of the run folder."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Format version: (pattern, replacement) of the paths of groups in its `.weights.h5`, oldest first.
RENAMED = {
    1: [
        (
            r"^(encoder/blocks/encoder_block(?:_\d+)?)/attention_residual$",
            r"\1/self_attention_residual",
        )
    ],
}


@contextlib.contextmanager
def with_current_paths(path: Path, version: int) -> Iterator[Path]:
    """Yields a file of weights whose paths are those of this version of the package.

    Args:
        path: A `.weights.h5` file. It is not changed.
        version: The format version of the run folder that holds it.
    """
    renamed = [
        pair for since, pairs in sorted(RENAMED.items()) if since >= version for pair in pairs
    ]
    if not renamed:
        yield path
        return
    import h5py

    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / path.name
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            groups = []
            file.visit(groups.append)
            for pattern, replacement in renamed:
                for group in groups:
                    current = re.sub(pattern, replacement, group)
                    if current != group:
                        file.move(group, current)
        yield copy
