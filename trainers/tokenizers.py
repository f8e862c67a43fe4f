"""Training, saving and loading of a run's tokenizers."""

import itertools
import re
from pathlib import Path

from keras_transformer.io import fetched_folder, has_file, local_file, path_or_url
from trainers.recipe import Recipe

AUTO_VOCABULARY = 8000
ROUND_TRIP_LINES = 100_000
FILES = ("tokenizer.model", "target_tokenizer.model")


def existing_tokenizers(recipe: Recipe) -> tuple | None:
    """Loads the tokenizers of source and target that a recipe names; `None` if it names none.

    Raises:
        ValueError: The recipe describes other tokenizers.
        FileNotFoundError: There is no such file or run.
    """
    from keras_transformer import load_tokenizer

    if not recipe.tokenizer:
        return None
    path = path_or_url(recipe.tokenizer)
    if has_file(path, FILES[0]):
        with fetched_folder(path, FILES) as run:
            tokenizers = load_tokenizers(run)
    else:
        tokenizers = (load_tokenizer(local_file(path)),) * 2
    actual = {
        "vocabulary_size": tokenizers[0].vocabulary_size(),
        "shared_vocabulary": tokenizers[0] is tokenizers[1],
    }
    for name, default in (("vocabulary_size", 0), ("shared_vocabulary", True)):
        value = getattr(recipe, name, default)  # a language model has one vocabulary alone
        if value not in (default, actual[name]):
            raise ValueError(
                f"{path} has {name}={actual[name]}. Received: {name}={value}. "
                "Leave this option out, or give another tokenizer."
            )
    return tokenizers


def check_tags(recipe: Recipe, tokenizer) -> None:
    """Raises a `ValueError` if a source tokenizer has other tags than those of a recipe.

    One without any tags takes them for text.
    """
    for tag in recipe.train_tag:
        tokenizer.check_tags(tag, "A training text")


def check_commands(recipe: Recipe, translator) -> None:
    """Raises a `ValueError` if a model has commands, and some tags of a recipe are none of them."""
    commands = getattr(getattr(translator.model, "source_embedding", None), "commands", ())
    ids = {tag: translator.tokenizer.token_to_id(tag) for tag in sorted(set(recipe.train_tag))}
    if commands and not set(ids.values()) <= set(commands):
        raise ValueError(
            f"The commands of a multimodel are the first tokens of a vocabulary that was made for "
            f"them. Received: {', '.join(ids)}, which are tokens "
            f"{', '.join(map(str, ids.values()))}. Leave --tokenizer out."
        )


def round_trip_report(tokenizers: tuple, corpora) -> str:
    """Counts the training lines that the tokenizers do not restore, and shows one of each side.

    Only the first `ROUND_TRIP_LINES` lines are looked at.
    """
    pairs = list(itertools.islice(corpora.train, ROUND_TRIP_LINES))
    parts = []
    for side, tokenizer, texts in zip(
        ("source", "target"), tokenizers, zip(*pairs, strict=True), strict=True
    ):
        restored = tokenizer.detokenize(tokenizer.tokenize(list(texts)))
        changed = [pair for pair in zip(texts, restored, strict=True) if pair[0] != pair[1]]
        example = f", such as {changed[0][0]!r:.60} to {changed[0][1]!r:.60}" if changed else ""
        parts.append(f"{len(changed)} {side} lines{example}")
    return f"Of {len(pairs):,} pairs, tokenizing and detokenizing changes {', '.join(parts)}."


def train_tokenizers(recipe: Recipe, corpora) -> tuple:
    """Trains one tokenizer on both sides, or one on each; returns those of source and target."""
    if recipe.shared_vocabulary:
        tokenizer = train_tokenizer(recipe, lambda: corpora.train.sentences())
        return tokenizer, tokenizer
    return tuple(
        train_tokenizer(recipe, lambda side=side: (pair[side] for pair in corpora.train))
        for side in (0, 1)
    )


def train_tokenizer(recipe: Recipe, sentences):
    """Trains a tokenizer.

    If the recipe gives no vocabulary size, it is 8000, or the largest that a small text allows.

    Args:
        recipe: `Recipe`.
        sentences: Function that returns an iterator over the training sentences.
    """
    from keras_transformer import Tokenizer

    size = recipe.vocabulary_size or AUTO_VOCABULARY
    while True:
        try:
            return Tokenizer.train(
                sentences(),
                size,
                model_type=recipe.tokenizer_type,
                normalization=recipe.normalization,
                tags=sorted(set(getattr(recipe, "train_tag", ()))),  # a language model has none
                seed=recipe.seed,
            )
        except ValueError as error:
            possible = re.search(r"the largest possible is (\d+)", str(error))
            if recipe.vocabulary_size or not possible:
                raise
            size = min(size // 2, int(possible[1]))


def save_tokenizers(output: Path, tokenizers: tuple) -> None:
    """Saves the tokenizers of source and target in the layout of a finished run.

    Args:
        output: Run folder.
        tokenizers: Tokenizers of source and target. If both are the same object, one file is
            written.
    """
    (output / FILES[1]).unlink(missing_ok=True)
    for name, tokenizer in zip(FILES, dict.fromkeys(tokenizers), strict=False):
        tokenizer.save(output / name)


def load_tokenizers(output: Path) -> tuple:
    """Loads the tokenizers of source and target that `save_tokenizers` wrote."""
    from keras_transformer import load_tokenizer

    paths = [output / name for name in FILES if (output / name).exists()]
    tokenizers = [load_tokenizer(path) for path in paths or [output / FILES[0]]]
    return tokenizers[0], tokenizers[-1]
