"""Local paths and URLs of other file systems, such as `s3://bucket/run`."""

import hashlib
import os
import re
from pathlib import Path

_URL = re.compile(r"[A-Za-z][\w+.-]+(::.*)?://")  # C:\ and C:/ are drives of Windows
_LOCAL = ("file", "local")


def is_url(path: str | os.PathLike) -> bool:
    """Returns whether a path is a URL of another file system.

    Example:

    >>> [is_url(path) for path in ("s3://bucket/run", "runs/mine", "C:/runs", "file:///runs")]
    [True, False, False, False]
    """
    text = os.fspath(path)
    return bool(_URL.match(text)) and text.partition("://")[0].lower() not in _LOCAL


def path_or_url(path: str | os.PathLike) -> Path | str:
    """Returns a `Path`, or a URL as a string without a slash at its end.

    Raises:
        ValueError: A URL was made a `Path`, which drops one of its slashes, or names no folder.
    """
    text = os.fspath(path)
    if is_url(text):
        return _clean(text)
    if _URL.match(text):
        text = text.partition("://")[2]
    _refuse_mangled(Path(text))
    return Path(text)


def local_path(path: str | os.PathLike, what: str = "This") -> Path:
    """Returns a `Path`, or refuses a URL.

    Args:
        path: A path or a URL.
        what: What the path is of, at the start of the error message.

    Raises:
        ValueError: The path is a URL.
    """
    path = path_or_url(path)
    if isinstance(path, str):
        raise ValueError(f"{what} must be on a local disk. Received: {path}. Give a local path.")
    return path


def join_url(url: str, name: str) -> str:
    """Returns the URL of a file in the folder at `url`."""
    return f"{url.rstrip('/')}/{name}"


def _clean(url: str) -> str:
    protocol, _, rest = url.partition("://")
    rest = rest.rstrip("/")
    if "::" in protocol:
        raise ValueError(f"Chained URLs are not supported. Received: {url}")
    if not rest:
        raise ValueError(f"{url} names no folder. Expected a URL such as {protocol}://bucket/run.")
    return f"{protocol.lower()}://{rest}"


def _refuse_mangled(path: Path) -> None:
    schemes = [part[:-1].lower() for part in path.parts if len(part) > 2 and part.endswith(":")]
    if not schemes:
        return
    from fsspec import available_protocols

    if scheme := next((scheme for scheme in schemes if scheme in available_protocols()), None):
        raise ValueError(
            f"{path} looks like a URL that has lost a slash, as in a `Path`. Give a string such as "
            f'"{scheme}://bucket/run".'
        )


def cache_folder() -> Path:
    """Returns the folder of fetched files and working copies, in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "keras_transformer"


def working_folder(url: str) -> Path:
    """Returns the local folder in which the folder at `url` is made."""
    return cache_folder() / "runs" / digest(url)


def digest(text: str) -> str:
    """Returns a short hash of a text, for the name of a folder."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
