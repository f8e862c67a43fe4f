"""The vocabularies of a run: learned from its text, kept in its folder."""

import re
from pathlib import Path

from trainers.recipe import Recipe

AUTO_VOCABULARY = 8000
FILES = ("tokenizer.model", "target_tokenizer.model")


def train_tokenizers(recipe: Recipe, corpora) -> tuple:
    """Learns one vocabulary from both sides, or one from each."""
    if recipe.shared_vocabulary:
        tokenizer = train_tokenizer(recipe, lambda: corpora.train.sentences())
        return tokenizer, tokenizer
    return tuple(
        train_tokenizer(recipe, lambda side=side: (pair[side] for pair in corpora.train))
        for side in (0, 1)
    )


def train_tokenizer(recipe: Recipe, sentences):
    """Learns a vocabulary; if its size is left open, of 8000 ids, or fewer for little text."""
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
    """Writes the tokenizers of source and target, or the one of both, as a finished run has them.

    Args:
        output: The run's folder.
        tokenizers: Two tokenizers, or the same one twice.
    """
    (output / FILES[1]).unlink(missing_ok=True)
    for name, tokenizer in zip(FILES, dict.fromkeys(tokenizers), strict=False):
        tokenizer.save(output / name)


def load_tokenizers(output: Path) -> tuple:
    """What `save_tokenizers` wrote."""
    from keras_transformer import load_tokenizer

    paths = [output / name for name in FILES if (output / name).exists()]
    tokenizers = [load_tokenizer(path) for path in paths or [output / FILES[0]]]
    return tokenizers[0], tokenizers[-1]
