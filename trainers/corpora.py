"""The corpora of a recipe, and their held-out texts as files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from keras_transformer.data import Corpus, InMemoryCorpus, ParallelFiles, TfdsCorpus, TsvFile
from keras_transformer.io import join_url, local_path, path_or_url
from trainers.recipe import Recipe

TEXT_FILES = [
    f"{part}_{side}" for part in ("train", "validation") for side in ("source", "target", "tsv")
]
Pairs = Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Corpora:
    """The training, validation and held-out text of a run.

    The held-out text is only written to the run folder, for evaluation after training.
    """

    train: Corpus
    validation: Corpus | None
    held_out: dict[str, Pairs] = dataclasses.field(default_factory=dict)
    languages: tuple[str, str] = ("source", "target")


def open_corpora(recipe: Recipe) -> Corpora:
    """Opens the corpora of a recipe, without reading their text.

    Raises:
        ValueError: The recipe has no training text, or its options contradict each other.
    """
    files = [name for name in TEXT_FILES if getattr(recipe, name)]
    if files and recipe.corpus.startswith(("phrasebook", "tfds:")):
        raise ValueError(
            f"corpus {recipe.corpus} has its own text. Received: {files[0]}="
            f"{getattr(recipe, files[0])}. Give --corpus files to use files, or leave them out."
        )
    if recipe.corpus == "phrasebook":
        return _open_phrasebook(recipe)
    languages = (recipe.source_language, recipe.target_language)
    if recipe.corpus.startswith("tfds:"):
        data_dir = recipe.data_folder and local_path(recipe.data_folder, "data_folder of TFDS data")
        train, validation = (
            TfdsCorpus(recipe.corpus, split, *languages, data_dir=data_dir)
            for split in (recipe.train_split, recipe.validation_split)
        )
        return Corpora(train, validation, languages=languages)
    if recipe.corpus != "files":
        raise ValueError(
            f"corpus must be phrasebook, files or tfds:NAME. Received: {recipe.corpus}"
        )
    train = _open_files(recipe, "train")
    if train is None:
        raise ValueError(
            "There is nothing to train on: give --train-source and --train-target, --train-tsv, "
            "--corpus phrasebook, --corpus tfds:NAME, or a --config with one of these."
        )
    return Corpora(train, _open_files(recipe, "validation"), languages=languages)


def _open_phrasebook(recipe: Recipe) -> Corpora:
    from keras_transformer.data.phrasebook import phrasebook

    book = phrasebook(seed=recipe.seed)
    return Corpora(
        InMemoryCorpus(book.train), InMemoryCorpus(book.validation), book.held_out, ("en", "fr")
    )


def _open_files(recipe: Recipe, part: str) -> Corpus | None:
    """Opens the files of one part, `"train"` or `"validation"`; `None` if the recipe has none."""
    folder = recipe.data_folder or Path()
    source, target, tsv = (
        getattr(recipe, f"{part}_{side}") for side in ("source", "target", "tsv")
    )
    if bool(source) != bool(target) or (tsv and source):
        raise ValueError(
            f"The {part} text is a pair of files, --{part}-source and --{part}-target, or one "
            f"file, --{part}-tsv. Received: source={source or None}, target={target or None}, "
            f"tsv={tsv or None}"
        )
    if tsv:
        return TsvFile(_text_file(folder, tsv))
    if not source:
        return None
    return ParallelFiles(_text_file(folder, source), _text_file(folder, target))


def _text_file(folder: Path | str, name: str) -> Path | str:
    """Returns the path or URL of a text file in a folder that is local or at a URL."""
    file = path_or_url(name)
    if isinstance(file, str) or isinstance(folder, Path):
        return file if isinstance(file, str) else folder / file
    return file if file.is_absolute() else join_url(folder, name)


def write_held_out(corpora: Corpora, folder: Path) -> None:
    """Writes the held-out texts as parallel files, `NAME.LANGUAGE`, one sentence per line."""
    for name, pairs in corpora.held_out.items():
        folder.mkdir(parents=True, exist_ok=True)
        for side, language in enumerate(corpora.languages):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{name}.{language}").write_text(text, encoding="utf-8")
