"""Training, saving and loading of a run's tokenizers."""

import re
from pathlib import Path

from trainers.recipe import Recipe

AUTO_VOCABULARY = 8000
FILES = ("tokenizer.model", "target_tokenizer.model")


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
                sentences(), size, model_type=recipe.tokenizer_type, seed=recipe.seed
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
