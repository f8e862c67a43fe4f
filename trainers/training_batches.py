"""Training batches of a run: rows that pairs share, or padded pairs, whichever costs less."""

import math
from types import SimpleNamespace

from trainers.flops import train_step_flops
from trainers.option_checks import WITHOUT_ROWS
from trainers.recipe import Recipe

# Architectures that do the work of a Transformer, for which there is a formula.
WITH_FORMULA = ("transformer", "fused", "rotary", "multi_query", "grouped_query")
MIN_BATCHES = 10  # of rows in an epoch; a smaller corpus would repeat rows within a batch
MULTIPLE = 8  # of the positions of a row, and of the rows of a batch


def make_training_batches(recipe: Recipe, cache, devices, model=None):
    """Returns `PackedBatches` or `TokenBatches`, as `packed` asks for.

    With `auto`, pairs share rows on devices for which every shape is expensive; elsewhere, if an
    epoch of rows takes fewer operations than one of padded pairs.

    Args:
        recipe: `Recipe`.
        cache: `TokenCache` of the training text.
        devices: `Devices`.
        model: The model, or its sizes as attributes. One without the sizes of a `Transformer`, or
            `None`, takes padded pairs, unless rows are asked for.
    """
    if is_packed(recipe, devices):
        return _rows(recipe, cache, devices, recipe.packed_length or recipe.max_length)
    padded = _padded(recipe, cache, devices)
    has_formula = recipe.architecture in WITH_FORMULA and hasattr(model, "num_layers")
    if recipe.packed == "never" or not has_formula:
        return padded
    rows = [_rows(recipe, cache, devices, length) for length in _lengths(recipe, cache, devices)]
    large = [one for one in rows if one.steps_per_epoch >= MIN_BATCHES]
    return min([padded, *large], key=lambda batches: epoch_flops(batches, model))


def is_packed(recipe: Recipe, devices) -> bool:
    """Returns whether pairs share rows for any corpus, as suits TPUs."""
    if recipe.packed == "auto":
        return devices.wants_one_shape and recipe.architecture not in WITHOUT_ROWS
    return recipe.packed == "always"


def choice_of(batches) -> dict:
    """Returns the options that ask for such batches."""
    from keras_transformer.data import PackedBatches

    if isinstance(batches, PackedBatches):
        return {"packed": "always", "packed_length": batches.shapes[0].source_length}
    return {"packed": "never"}


def epoch_flops(batches, model) -> float:
    """Returns the operations of the matrix products in an average epoch."""
    return sum(
        rows * train_step_flops(model, 1, shape.source_length, shape.target_length)
        for shape, rows in zip(batches.shapes, batches.rows_per_epoch, strict=True)
    )


def model_sizes(recipe: Recipe, cache, tokenizers: tuple) -> SimpleNamespace:
    """Returns the sizes of the model that a recipe makes for a corpus, as attributes."""
    source, target = tokenizers
    sizes = recipe.completed(len(cache), steps_per_epoch=1).model_sizes()
    return SimpleNamespace(
        **{"num_decoder_layers": None, **sizes},
        vocabulary_size=source.vocabulary_size(),
        target_vocabulary_size=target.vocabulary_size(),
    )


def corpus_weights(recipe: Recipe, cache) -> list[float] | None:
    """Returns the weight of each training corpus; `None` if every pair is seen once in an epoch."""
    if recipe.train_weight:
        return list(recipe.train_weight)
    if not recipe.sampling_temperature:
        return None
    return [report.kept ** (1 / recipe.sampling_temperature) for report in cache.reports]


def parts_per_batch(recipe: Recipe, devices) -> int:
    """Returns the number of equal parts of a batch: one per replica and micro-batch."""
    return devices.replicas * recipe.accumulate_steps


def _lengths(recipe: Recipe, cache, devices) -> list[int]:
    """Returns lengths of rows that may cost least; a row holds any pair, a batch enough rows."""
    if recipe.packed_length:
        lengths = [recipe.packed_length]
    else:
        longest = int(cache.lengths.max())
        lengths = [MULTIPLE * math.ceil(factor * longest / MULTIPLE) for factor in (1, 2)]
    most = recipe.tokens_per_batch // math.lcm(MULTIPLE, parts_per_batch(recipe, devices))
    return [length for length in lengths if cache.lengths.max() <= length <= most]


def _padded(recipe: Recipe, cache, devices):
    from keras_transformer.data import TokenBatches

    return TokenBatches(
        cache,
        recipe.tokens_per_batch,
        recipe.max_shapes,
        recipe.seed,
        parts=parts_per_batch(recipe, devices),
        weights=corpus_weights(recipe, cache),
    )


def _rows(recipe: Recipe, cache, devices, length: int):
    from keras_transformer.data import PackedBatches

    return PackedBatches(
        cache,
        recipe.tokens_per_batch,
        length,
        recipe.seed,
        batch_multiple=math.lcm(MULTIPLE, parts_per_batch(recipe, devices)),
        weights=corpus_weights(recipe, cache),
    )
