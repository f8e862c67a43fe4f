"""Files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file; if that fails, nothing of it is left, and an older one stays.

    Args:
        path: The file, in a folder that is there.
        content: What it is to hold.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as scratch:
        new = Path(scratch) / path.name
        new.write_bytes(content)
        os.replace(new, path)
