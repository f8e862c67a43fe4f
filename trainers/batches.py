"""Text to batches: filtered, tokenised, cached on disk, split as the devices need it."""

import math
from pathlib import Path
from typing import NamedTuple

from trainers.recipe import Recipe
from trainers.tokenizers import load_tokenizers, save_tokenizers, train_tokenizers


class Data(NamedTuple):
    """What a model is trained and judged on."""

    batches: object  # TokenBatches or PackedBatches
    validation: object | None  # EvaluationBatches
    validation_text: list[tuple[str, str]]
    tokenizers: tuple


def prepare(recipe: Recipe, corpora, tokenizers: tuple | None, devices, output: Path) -> Data:
    """The data of a run. With several workers the chief does the work, and the others read it.

    Args:
        recipe: `Recipe`.
        corpora: `Corpora`.
        tokenizers: Those of source and target, or `None` to learn them.
        devices: `Devices`.
        output: The run's folder.
    """
    tokens = output / "tokens"
    with devices.chief_first():
        if tokenizers is None and devices.is_chief:
            tokenizers = train_tokenizers(recipe, corpora)
            if devices.workers > 1:
                tokens.mkdir(parents=True, exist_ok=True)
                save_tokenizers(tokens, tokenizers)
        tokenizers = tokenizers or load_tokenizers(tokens)
        return _read(recipe, corpora, tokenizers, devices, tokens)


def _read(recipe: Recipe, corpora, tokenizers: tuple, devices, folder: Path) -> Data:
    from keras_transformer.data import EvaluationBatches, PairFilter, TokenCache

    source, target = tokenizers
    filters = PairFilter(max_length=recipe.max_length, max_ratio=recipe.max_ratio or None)
    train = TokenCache.build(corpora.train, source, folder / "train", filters, target)
    print(f"Training text:\n{train.report}", flush=True)
    batches = _training_batches(recipe, train, devices)
    if corpora.validation is None:
        print("No validation text: the last weights will be used, averaged if there are several.")
        return Data(batches, None, [], tokenizers)
    everything = PairFilter(max_length=recipe.max_length, drop_duplicates=False)
    cache = TokenCache.build(corpora.validation, source, folder / "validation", everything, target)
    print(f"Validation text:\n{cache.report}", flush=True)
    shapes = 1 if is_packed(recipe, devices) else 2
    validation = EvaluationBatches(
        cache, recipe.tokens_per_batch, max_shapes=shapes, parts=devices.replicas
    )
    return Data(batches, validation, list(corpora.validation), tokenizers)


def _training_batches(recipe: Recipe, cache, devices):
    from keras_transformer.data import PackedBatches, TokenBatches

    parts = parts_of(recipe, devices)
    if not is_packed(recipe, devices):
        return TokenBatches(
            cache, recipe.tokens_per_batch, recipe.max_shapes, recipe.seed, parts=parts
        )
    return PackedBatches(
        cache,
        recipe.tokens_per_batch,
        recipe.packed_length or recipe.max_length,
        recipe.seed,
        batch_multiple=math.lcm(8, parts),
    )


def parts_of(recipe: Recipe, devices) -> int:
    """Into how many equal parts every batch is split."""
    return devices.replicas * recipe.accumulate_steps


def is_packed(recipe: Recipe, devices) -> bool:
    """Whether several pairs share a row of the one static shape that TPUs want."""
    return recipe.packed == "always" or (recipe.packed == "auto" and devices.wants_one_shape)
