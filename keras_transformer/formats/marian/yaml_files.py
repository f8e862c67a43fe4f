"""Reading of YAML as plain data; nothing in it can be executed."""

import reprlib

import yaml

# Every scalar stays a string: among the pieces of a vocabulary are `null`, `1.0` and `=`.
StringLoader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 2, 80, 80


def read_mapping(text: str | bytes, source: str, strings: bool = False) -> dict:
    """Reads a YAML document that holds a mapping.

    Args:
        text: The document; bytes are UTF-8.
        source: Where it stands, for messages.
        strings: Whether to read every scalar as a string.

    Raises:
        ValueError: It is not YAML, or not a mapping.
    """
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        mapping = yaml.load(text, Loader=StringLoader) if strings else yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{source} is not YAML ({reason}): it is damaged. Copy it again."
        ) from error
    if not isinstance(mapping, dict):
        raise ValueError(
            f"{source} must hold a YAML mapping. Received: {type(mapping).__name__}. It is damaged "
            "or another file: copy it again."
        )
    return mapping


def shown(value: object) -> str:
    """Returns a value for a message; a small file may expand, by aliases, to a huge value."""
    return SHORT.repr(value)
