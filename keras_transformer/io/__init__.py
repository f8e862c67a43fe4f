"""Input and output: atomic writes and text files."""

from keras_transformer.io.atomic import WRITING, atomic_folder, atomic_write, check_free
from keras_transformer.io.text_files import (
    decode_lines,
    read_raw_lines,
    require_file,
    strip_line_ends,
)

__all__ = [
    "WRITING",
    "atomic_folder",
    "atomic_write",
    "check_free",
    "decode_lines",
    "read_raw_lines",
    "require_file",
    "strip_line_ends",
]
