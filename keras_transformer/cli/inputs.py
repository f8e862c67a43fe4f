"""Files and runs that the commands read, and the errors about them."""

import dataclasses

from keras_transformer.io import decode_lines, read_raw_lines, require_file


@dataclasses.dataclass(frozen=True)
class System:
    """A run, or a file of translations.

    Attributes:
        name: Its path or URL.
        kind: "run" or "file".
        translations: The translation of each line.
    """

    name: str
    kind: str
    translations: list[str]


def holds_language_model(run: str) -> bool:
    """Returns whether a run folder, or its URL, holds a language model."""
    from keras_transformer.translation.run_folder import run_kind

    return run_kind(run) == "language_model"


def refuse_options_of_translators(options: dict, usage: str) -> None:
    """Raises a ValueError if a language model's run is given options of translators."""
    given = [f"--{name}" for name, value in options.items() if value]
    if given:
        raise ValueError(
            f"{', '.join(given)} does not apply to a language model, which the run holds. "
            f"Expected: {usage}"
        )


def given_source(source: str) -> str:
    """Returns the source file, which a translator's run needs."""
    if not source:
        raise ValueError("A translator's run needs --source, the file that is translated.")
    return source


def read_lines(path: str) -> list[str]:
    """Returns the lines of a text file, or of the file at a URL."""
    return decode_lines(read_raw_lines(require_file(path, read_again=False)), path)


def read_pairs(source: str, target: str) -> tuple[list[str], list[str]]:
    """Reads the lines of two parallel files, which must have the same number of lines."""
    files = [(path, require_file(path, read_again=False)) for path in (source, target)]
    sources, targets = (decode_lines(read_raw_lines(file), name) for name, file in files)
    if len(sources) != len(targets):
        raise ValueError(
            f"{source} has {len(sources)} lines, {target} has {len(targets)}: line n of one "
            "must be the translation of line n of the other."
        )
    return sources, targets
