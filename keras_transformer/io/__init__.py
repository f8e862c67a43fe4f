"""Input and output: atomic writes and lines of text."""

from keras_transformer.io.atomic import WRITING, atomic_folder, atomic_write, check_free
from keras_transformer.io.text_files import decoded, existing_file, raw_lines, without_ends

__all__ = [
    "WRITING",
    "atomic_folder",
    "atomic_write",
    "check_free",
    "decoded",
    "existing_file",
    "raw_lines",
    "without_ends",
]
