"""Weight paths that were renamed after older format versions of the run folder."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Pairs of (pattern, replacement) for the paths of HDF5 groups, by the last format version that has
# the old paths. The oldest comes first.
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
        path: A `.weights.h5` file. It is left unchanged; if paths differ, a temporary copy of it is
            yielded.
        version: Integer. Format version of the run folder with this file.
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
            for pattern, replacement in renames:
                for group in groups:
                    current = re.sub(pattern, replacement, group)
                    if current != group:
                        file.move(group, current)
        yield copy
