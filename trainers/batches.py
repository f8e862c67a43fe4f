"""Data of a run: text that is filtered, tokenized, cached on disk and split for the devices."""

import re
from pathlib import Path
from typing import NamedTuple

from trainers.recipe import Recipe
from trainers.task_images import open_images
from trainers.tokenizers import load_tokenizers, save_tokenizers, train_tokenizers
from trainers.training_batches import (
    corpus_weights,
    make_training_batches,
    model_sizes,
    parts_per_batch,
)


class Data(NamedTuple):
    """Training batches, validation batches, validation text and the tokenizers of both sides.

    A run of several tasks may have images beside the texts.
    """

    batches: object  # TokenBatches or PackedBatches
    validation: object | None  # EvaluationBatches
    validation_text: list[tuple[str, str]]
    tokenizers: tuple
    validation_parts: dict[str, int] = {}  # noqa: RUF012  # names of the texts, and their lengths
    images: object | None = None  # `Images`

    def dataset(self, step: int):
        """Returns the dataset of training batches after a number of steps."""
        texts = self.batches.dataset(start_step=step)
        return texts if self.images is None else self.images.train.beside(texts, step)


def prepare_data(
    recipe: Recipe, corpora, tokenizers: tuple | None, devices, output: Path, model=None
) -> Data:
    """Prepares the data of a run.

    With several workers, the chief trains the tokenizers and fills the token cache; the other
    workers then read both from the run folder.

    Args:
        recipe: `Recipe`.
        corpora: `Corpora`.
        tokenizers: Tokenizers of source and target, or `None` to train them.
        devices: `Devices`.
        output: Run folder.
        model: The model that is trained, or `None` for one with the sizes of the recipe.
    """
    tokens = output / "tokens"
    with devices.chief_first():
        if tokenizers is None and devices.is_chief:
            tokenizers = train_tokenizers(recipe, corpora)
            if devices.workers > 1:
                tokens.mkdir(parents=True, exist_ok=True)
                save_tokenizers(tokens, tokenizers)
        tokenizers = tokenizers or load_tokenizers(tokens)
        return _tokenize_and_batch(recipe, corpora, tokenizers, devices, tokens, model)


def _tokenize_and_batch(
    recipe: Recipe, corpora, tokenizers: tuple, devices, folder: Path, model
) -> Data:
    from keras_transformer.data import EvaluationBatches, PairFilter, TokenCache

    source, target = tokenizers
    filters = PairFilter(max_length=recipe.max_length, max_ratio=recipe.max_ratio or None)
    train = TokenCache.build(corpora.train, source, folder / "train", filters, target)
    print(format_training_report(recipe, corpora.train, train), flush=True)
    model = model or model_sizes(recipe, train, tokenizers)
    batches = make_training_batches(recipe, train, devices, model)
    images = recipe.image_task and open_images(recipe, parts_per_batch(recipe, devices))
    if corpora.validation is None:
        print("No validation text: the last weights will be used, averaged if there are several.")
        return Data(batches, None, [], tokenizers, images=images)
    length_only = PairFilter(max_length=recipe.max_length, drop_duplicates=False)
    cache = TokenCache.build(corpora.validation, source, folder / "validation", length_only, target)
    print(f"Validation text:\n{cache.report}", flush=True)
    shapes = 1 if devices.wants_one_shape else 2
    validation = EvaluationBatches(
        cache, recipe.tokens_per_batch, max_shapes=shapes, parts=devices.replicas
    )
    text, parts = read_validation_text(recipe, corpora.validation)
    return Data(batches, validation, text, tokenizers, parts, images)


def read_validation_text(recipe: Recipe, corpus) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Returns the pairs of all validation texts; and of several, their names and lengths."""
    texts = [list(one) for one in getattr(corpus, "corpora", (corpus,))]
    pairs = [pair for text in texts for pair in text]
    if len(texts) == 1:
        return pairs, {}
    tags = recipe.validation_tag or recipe.train_tag or [""] * len(texts)
    names = [re.sub(r"\W", "", tag).removeprefix("2") for tag in tags]
    named = (
        name if name and names.count(name) == 1 else f"{name}{number}"
        for number, name in enumerate(names, start=1)
    )
    return pairs, dict(zip(named, map(len, texts), strict=True))


def format_training_report(recipe: Recipe, corpus, cache) -> str:
    """Formats the reports of the training corpora, each with its share of an epoch."""
    if len(cache.reports) == 1:
        return f"Training text:\n{cache.report}"
    weights = corpus_weights(recipe, cache) or [report.kept for report in cache.reports]
    parts = [
        f"Training text, {weight / sum(weights):.1%} of each epoch, {part.name}:\n{report}"
        for part, report, weight in zip(corpus.corpora, cache.reports, weights, strict=True)
    ]
    return "\n".join([*parts, f"Training text, together:\n{cache.report}"])
