"""`translator.json`: what a written folder says of itself, to people and to programs."""

import importlib.metadata
import json
from pathlib import Path

NAME = "translator.json"
PACKAGES = ("keras-transformer", "keras", "tensorflow", "tensorflow-text", "sentencepiece")
SPECIAL_IDS = ("pad_id", "bos_id", "eos_id", "unk_id")
MADE_BY = {"made_by": "keras_transformer"}  # whose folder it is


def write_description(path: Path, translator, **facts) -> None:
    """Writes what a translator is, with versions of packages, special ids and further facts."""
    description = {
        **translator.about,
        **MADE_BY,
        **facts,
        "max_source_length": translator.max_source_length,
        "special_ids": {
            side: {name: getattr(tokenizer, name) for name in SPECIAL_IDS}
            for side, tokenizer in (
                ("source", translator.tokenizer),
                ("target", translator.target_tokenizer),
            )
        },
        "versions": _versions(),
    }
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def is_of_format(path: Path, format: str) -> bool:
    """Whether there is such a file, of this package and of a format."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        return {**MADE_BY, "format": format}.items() <= description.items()
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
