"""The part of a recipe that is chosen by the size of the corpus."""

import dataclasses
import math


def complete_schedule(recipe, steps_per_epoch: int, small: bool):
    """Returns a recipe with every option chosen that was left to the size of the corpus.

    A small corpus gets many epochs, and a warm-up that ends within the first quarter of the
    training; a large one gets fewer epochs and the paper's settings. A warm-up that is cut short
    does not raise the highest learning rate, as the paper's schedule would.

    Args:
        recipe: `Recipe` or `LanguageRecipe`.
        steps_per_epoch: Integer. Number of batches that the corpus makes.
        small: Boolean. Whether the corpus is small.
    """
    steps_per_epoch = recipe.steps_per_epoch or steps_per_epoch
    epochs = recipe.epochs or max(3, min(60, 20_000 // steps_per_epoch))
    if not recipe.epochs and not small:
        epochs = max(3, min(60, 100_000 // steps_per_epoch))
    full_warmup, scale = (2000, 2.0) if small else (4000, 1.0)
    warmup = max(1, min(full_warmup, epochs * steps_per_epoch // 4))
    if not recipe.warmup_steps:
        scale *= math.sqrt(warmup / full_warmup)
    schedule = {"warmup_steps": recipe.warmup_steps or warmup}
    if not recipe.learning_rate:
        schedule["learning_rate_scale"] = recipe.learning_rate_scale or scale
    return dataclasses.replace(
        recipe,
        preset=recipe.preset if recipe.preset != "auto" else ("tiny" if small else "base"),
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        **(schedule if recipe.optimizer == "adam" else {}),
    )
