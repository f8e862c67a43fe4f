"""Training on from a finished run: its languages, and an adapter instead of all weights."""

import dataclasses
import math

from trainers.recipe import Recipe

UNKNOWN_LANGUAGES = ("source", "target")  # of a recipe that names none


def with_languages_of(corpora, about: dict):
    """Returns the corpora with the languages of the run to start from, if they have none."""
    if corpora.languages != UNKNOWN_LANGUAGES:
        return corpora
    languages = (about.get(f"{side}_language", side) for side in UNKNOWN_LANGUAGES)
    return dataclasses.replace(corpora, languages=tuple(languages))


def check_initial(recipe: Recipe, initial) -> None:
    """Raises a `ValueError` if the run to start from cannot be trained on."""
    import keras

    if not all(keras.backend.is_float_dtype(weight.dtype) for weight in initial.model.weights):
        raise ValueError(
            f"init_from {recipe.init_from} is quantized, and rounded weights cannot be trained. "
            "Give the run that it was made from."
        )


def start_adapter(recipe: Recipe, model) -> dict:
    """Adds the adapter of a recipe to a model, if it has one.

    Returns:
        Metadata by which `resume_adapter` knows the base again.
    """
    if not recipe.lora_rank:
        return {}
    from keras_transformer import add_adapter, base_fingerprint

    total = model.count_params()
    add_adapter(model, recipe.lora_rank)
    trained = sum(math.prod(variable.shape) for variable in model.trainable_weights)
    print(
        f"Training an adapter of rank {recipe.lora_rank}: {trained:,} parameters, "
        f"{trained / total:.1%} of the {total:,} of the run, which are frozen.",
        flush=True,
    )
    return {"base": base_fingerprint(model)}


def resume_adapter(recipe: Recipe, metadata: dict, load_initial):
    """Returns the model of an interrupted training of an adapter; `None` for other trainings.

    States do not hold the frozen weights, which come from the run to start from.

    Args:
        recipe: `Recipe` of the interrupted training.
        metadata: What `start_adapter` returned, and more.
        load_initial: Function that loads the run to start from.

    Raises:
        ValueError: That run has other weights now.
    """
    if not recipe.lora_rank:
        return None
    from keras_transformer import add_adapter, base_fingerprint

    model = load_initial(recipe).model
    if base_fingerprint(model) != metadata["base"]:
        raise ValueError(
            f"{recipe.output} holds an interrupted run that trains an adapter of another base: the "
            f"weights of {recipe.init_from} have changed. Put that run back, or give --overwrite "
            "true to start afresh."
        )
    add_adapter(model, recipe.lora_rank)
    return model
