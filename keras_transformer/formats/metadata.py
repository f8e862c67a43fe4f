"""`translator.json`: what a written folder says of itself, to people and to programs."""

import json
from pathlib import Path

from keras_transformer.translation.run_folder import SPECIAL_IDS, package_versions

NAME = "translator.json"
PACKAGES = ("keras-transformer", "keras", "tensorflow", "tensorflow-text", "sentencepiece")
MADE_BY = {"made_by": "keras_transformer"}  # whose folder it is


def write_description(path: Path, translator, **fields) -> None:
    """Writes what a translator is, with package versions, special ids and further fields."""
    description = {
        **translator.about,
        **MADE_BY,
        **fields,
        "max_source_length": translator.max_source_length,
        "special_ids": {
            side: {name: getattr(tokenizer, name) for name in SPECIAL_IDS}
            for side, tokenizer in (
                ("source", translator.tokenizer),
                ("target", translator.target_tokenizer),
            )
        },
        "versions": package_versions(PACKAGES),
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
