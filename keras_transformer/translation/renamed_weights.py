"""Renamed weight paths, to load run folders of older format versions."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Pairs of (pattern, replacement) for the paths of HDF5 groups, by the last format version with the
# old paths; oldest version first.
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
    """Yields the path of a weights file in which renamed weights have their current paths.

    Args:
        path: Path of a `.weights.h5` file, which is not changed. If it may have old paths, the path
            of a temporary copy is yielded.
        version: Format version of the run folder.
    """
    renames = [pair for last, pairs in sorted(RENAMED.items()) if last >= version for pair in pairs]
    if not renames:
        yield path
        return
    import h5py

    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / path.name
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            groups = []
            file.visit(groups.append)
            for group in groups:
                current = group
                for pattern, replacement in renames:
                    current = re.sub(pattern, replacement, current)
                if current != group:
                    file.move(group, current)
        yield copy
