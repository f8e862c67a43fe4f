"""The corpora of a recipe, and their held-out texts as files."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from keras_transformer.data import (
    Corpus,
    InMemoryCorpus,
    JoinedCorpora,
    ParallelFiles,
    TaggedCorpus,
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
    if recipe.corpus == "phrasebook":
        return _open_phrasebook(recipe)
    if recipe.corpus != "files":
        _check_counts(recipe, 1, 1)
    languages = (recipe.source_language, recipe.target_language)
    if recipe.corpus.startswith("tfds:"):
        data_dir = recipe.data_folder and local_path(recipe.data_folder, "data_folder of TFDS data")
        train, validation = (
            TfdsCorpus(recipe.corpus, split, *languages, data_dir=data_dir)
            for split in (recipe.train_split, recipe.validation_split)
        )
        return Corpora(
            _joined([train], recipe.train_tag),
            _joined([validation], recipe.validation_tag),
            languages=languages,
        )
    if recipe.corpus != "files":
        raise ValueError(
            f"corpus must be phrasebook, files or tfds:NAME. Received: {recipe.corpus}"
        )
    train, validation = _open_training_files(recipe), _open_validation_files(recipe)
    return Corpora(train, validation, languages=languages)


def _open_phrasebook(recipe: Recipe) -> Corpora:
    from keras_transformer.data.phrasebook import phrasebook

    _check_counts(recipe, len(recipe.train_tag) or 1, None)
    book = phrasebook(seed=recipe.seed)
    train, validation = (
        _joined([InMemoryCorpus(_directed(pairs, tag)) for tag in tags or [None]], tags)
        for pairs, tags in (
            (book.train, recipe.train_tag),
            (book.validation, recipe.validation_tag or recipe.train_tag),
        )
    )
    return Corpora(train, validation, book.held_out, ("en", "fr"))


def _directed(pairs: Pairs, tag: str | None) -> Pairs:
    """Returns English-French pairs, or, with the tag of English, French-English ones."""
    if tag not in (None, ">>fr<<", ">>en<<"):
        raise ValueError(
            f"The phrasebook is translated to fr or en. Received: {tag}, of --train-tag or "
            "--validation-tag"
        )
    return [pair[::-1] for pair in pairs] if tag == ">>en<<" else pairs


def _open_training_files(recipe: Recipe) -> Corpus:
    """Opens the pairs of files of a recipe, then its TSV files, as one corpus."""
    corpora = _open_files(recipe, "train")
    if not corpora:
        raise ValueError(
            "There is nothing to train on: give --train-source and --train-target, --train-tsv, "
            "--corpus phrasebook, --corpus tfds:NAME, or a --config with one of these."
        )
    _check_counts(recipe, len(corpora), None)
    return _joined(corpora, recipe.train_tag)


def _open_validation_files(recipe: Recipe) -> Corpus | None:
    """Opens the validation texts of a recipe as one corpus; `None` if it has none."""
    corpora = _open_files(recipe, "validation")
    _check_counts(recipe, None, len(corpora))
    return _joined(corpora, recipe.validation_tag) if corpora else None


def _open_files(recipe: Recipe, part: str) -> list[Corpus]:
    """Opens the pairs of files of a part of a recipe, `"train"` or `"validation"`, then the TSV
    files."""
    folder = recipe.data_folder or Path()
    sources, targets, tsv = (
        getattr(recipe, f"{part}_{side}") for side in ("source", "target", "tsv")
    )
    if len(sources) != len(targets):
        text = {"train": "training", "validation": "validation"}[part]
        raise ValueError(
            f"A {text} text is a pair of files, --{part}-source and --{part}-target, or one file, "
            f"--{part}-tsv. Received: {len(sources)} of --{part}-source, {len(targets)} of "
            f"--{part}-target. Give each as often as the other."
        )
    pairs = zip(sources, targets, strict=True)
    corpora = [
        ParallelFiles(_text_file(folder, source), _text_file(folder, target))
        for source, target in pairs
    ]
    columns = recipe.column_numbers()
    return corpora + [TsvFile(_text_file(folder, file), columns) for file in tsv]


def _joined(corpora: list[Corpus], tags: Sequence[str]) -> Corpus:
    """Returns several corpora as one, each with its tag, if there are tags."""
    if tags:
        corpora = [TaggedCorpus(*pair) for pair in zip(corpora, tags, strict=True)]
    return JoinedCorpora(corpora) if len(corpora) > 1 else corpora[0]


def _check_counts(recipe: Recipe, training: int | None, validation: int | None) -> None:
    """Checks that there are weights and tags for each corpus, or none."""
    for option, corpora, kind in (
        ("train_weight", training, "training corpora"),
        ("train_tag", training, "training corpora"),
        ("validation_tag", validation, "validation texts"),
    ):
        count, name = len(getattr(recipe, option)), option.replace("_", "-")
        if corpora is not None and count not in (0, corpora):
            one = kind.removesuffix("s") if kind.endswith("texts") else "training corpus"
            raise ValueError(
                f"--{name} must be given once for each {one}, or not at all. Received: {count} of "
                f"--{name}, {corpora} {kind}."
            )
    if validation and recipe.train_tag and not recipe.validation_tag:
        raise ValueError(
            "The sources of the training have tags, and those of the validation have none: give "
            "--validation-tag, too."
        )


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
