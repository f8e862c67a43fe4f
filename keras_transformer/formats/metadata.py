"""`translator.json`: the description of an exported folder, for people and programs."""

import json
from pathlib import Path

from keras_transformer.translation.run_folder import SPECIAL_IDS, package_versions

NAME = "translator.json"
PACKAGES = ("keras-transformer", "keras", "tensorflow", "tensorflow-text", "sentencepiece")
MADE_BY = {"made_by": "keras_transformer"}  # marks the folders of this package


def write_description(path: Path, translator, **fields) -> None:
    """Writes a description of a translator: package versions, special ids and further fields."""
    settings = translator.run_settings()
    settings.pop("shared_vocabulary", None)  # the special ids are those of both sides
    description = {
        **translator.about,
        **MADE_BY,
        **fields,
        **settings,
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
    """Returns whether a file is a description that this package wrote for a format."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        return {**MADE_BY, "format": format}.items() <= description.items()
    except (OSError, ValueError, AttributeError, TypeError):
        return False
