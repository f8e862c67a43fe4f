"""Input and output: atomic writes, locks, text files, and files at URLs."""

from keras_transformer.io.atomic import WRITING, atomic_folder, atomic_write, check_free
from keras_transformer.io.locking import LOCK, FolderInUseError, folder_lock, replacement_lock
from keras_transformer.io.remote import RemoteError, RemoteFolder
from keras_transformer.io.remote_files import (
    check_output,
    fetched_folder,
    has_file,
    local_file,
    locked_output,
    output_folder,
)
from keras_transformer.io.text_files import (
    decode_lines,
    decoded_lines,
    read_raw_lines,
    require_file,
    strip_line_ends,
)
from keras_transformer.io.urls import (
    cache_folder,
    is_url,
    join_url,
    local_path,
    path_or_url,
    working_folder,
)
from keras_transformer.io.working_copy import WorkingCopy

__all__ = [
    "LOCK",
    "WRITING",
    "FolderInUseError",
    "RemoteError",
    "RemoteFolder",
    "WorkingCopy",
    "atomic_folder",
    "atomic_write",
    "cache_folder",
    "check_free",
    "check_output",
    "decode_lines",
    "decoded_lines",
    "fetched_folder",
    "folder_lock",
    "has_file",
    "is_url",
    "join_url",
    "local_file",
    "local_path",
    "locked_output",
    "output_folder",
    "path_or_url",
    "read_raw_lines",
    "replacement_lock",
    "require_file",
    "strip_line_ends",
    "working_folder",
]
