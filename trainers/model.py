"""The model of a recipe and its compilation: optimizer, loss and metrics."""

import math

from trainers.recipe import Recipe


def make_model(recipe: Recipe, vocabulary_size: int, target_vocabulary_size: int | None, pad_id=0):
    """Returns a newly initialized model of the architecture and with the sizes of a recipe.

    Args:
        recipe: `Recipe`.
        vocabulary_size: Integer. Size of the source vocabulary.
        target_vocabulary_size: Integer. Size of the target vocabulary, or `None` if both sides
            share one.
        pad_id: Integer. Id of the padding token.
    """
    from keras_transformer.models import create_model

    return create_model(
        recipe.architecture,
        recipe.architecture_options,
        vocabulary_size=vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        max_length=max(1024, 2 * recipe.max_length + 64),  # translations may be longer
        pad_id=pad_id,
        dtype=recipe.precision,
        **recipe.model_sizes(),
    )


def compile_model(recipe: Recipe, model, jit_compile: bool) -> None:
    """Compiles a built model with the optimizer, loss and metrics of a recipe."""
    from keras_transformer import Perplexity, TokenAccuracy, TokenCrossEntropy

    model.compile(
        optimizer=make_optimizer(recipe, model.d_model),
        loss=TokenCrossEntropy(recipe.label_smoothing, model.pad_id),
        metrics=[TokenAccuracy(model.pad_id), Perplexity(model.pad_id)],
        jit_compile=jit_compile,
        steps_per_execution=recipe.steps_per_execution,
        accumulate_steps=recipe.accumulate_steps,
    )
    model.optimizer.build(model.trainable_variables)  # in the caller's strategy scope


def make_optimizer(recipe: Recipe, d_model: int):
    """Returns Adam with the paper's coefficients and schedule, or Adafactor."""
    import keras

    from keras_transformer import Adafactor, WarmupSchedule

    if recipe.optimizer == "adafactor":
        return Adafactor()
    scale = recipe.learning_rate_scale or recipe.learning_rate * math.sqrt(
        d_model * recipe.warmup_steps
    )
    schedule = WarmupSchedule(d_model, recipe.warmup_steps, scale)
    return keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9)
