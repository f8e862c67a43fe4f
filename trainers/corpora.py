"""The corpora of a recipe, and their held-out texts as files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from keras_transformer.data import (
    Corpus,
    InMemoryCorpus,
    JoinedCorpora,
    ParallelFiles,
    TfdsCorpus,
    TsvFile,
)
from keras_transformer.io import join_url, local_path, path_or_url
from trainers.recipe import Recipe
from trainers.recipe_file import plain_values

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
            f"{plain_values(recipe)[files[0]]}. Give --corpus files to use files, or leave them "
            "out."
        )
    if recipe.corpus != "files":
        _check_weights(recipe, 1)
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
    train, validation = _open_training_files(recipe), _open_validation_files(recipe)
    return Corpora(train, validation, languages=languages)


def _open_phrasebook(recipe: Recipe) -> Corpora:
    from keras_transformer.data.phrasebook import phrasebook

    book = phrasebook(seed=recipe.seed)
    return Corpora(
        InMemoryCorpus(book.train), InMemoryCorpus(book.validation), book.held_out, ("en", "fr")
    )


def _open_training_files(recipe: Recipe) -> Corpus:
    """Opens the pairs of files of a recipe, then its TSV files, as one corpus."""
    folder = recipe.data_folder or Path()
    sources, targets = recipe.train_source, recipe.train_target
    if len(sources) != len(targets):
        raise ValueError(
            "A training text is a pair of files, --train-source and --train-target, or one file, "
            f"--train-tsv. Received: {len(sources)} of --train-source, {len(targets)} of "
            "--train-target. Give each as often as the other."
        )
    pairs = zip(sources, targets, strict=True)
    corpora = [
        ParallelFiles(_text_file(folder, source), _text_file(folder, target))
        for source, target in pairs
    ]
    columns = recipe.column_numbers()
    corpora += [TsvFile(_text_file(folder, tsv), columns) for tsv in recipe.train_tsv]
    if not corpora:
        raise ValueError(
            "There is nothing to train on: give --train-source and --train-target, --train-tsv, "
            "--corpus phrasebook, --corpus tfds:NAME, or a --config with one of these."
        )
    _check_weights(recipe, len(corpora))
    return JoinedCorpora(corpora) if len(corpora) > 1 else corpora[0]


def _check_weights(recipe: Recipe, corpora: int) -> None:
    """Checks that there is a weight for each corpus, or none."""
    if len(recipe.train_weight) not in (0, corpora):
        raise ValueError(
            "--train-weight must be given once for each training corpus, or not at all. Received: "
            f"{len(recipe.train_weight)} of --train-weight, {corpora} training corpora."
        )


def _open_validation_files(recipe: Recipe) -> Corpus | None:
    """Opens the validation text of a recipe; `None` if it has none."""
    folder = recipe.data_folder or Path()
    source, target, tsv = (
        recipe.validation_source,
        recipe.validation_target,
        recipe.validation_tsv,
    )
    if bool(source) != bool(target) or (tsv and source):
        raise ValueError(
            "The validation text is a pair of files, --validation-source and --validation-target, "
            f"or one file, --validation-tsv. Received: source={source or None}, "
            f"target={target or None}, tsv={tsv or None}"
        )
    if tsv:
        return TsvFile(_text_file(folder, tsv), recipe.column_numbers())
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
