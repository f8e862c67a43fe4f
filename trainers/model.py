"""The model of a recipe, and how it is compiled: optimizer, loss, what is reported."""

from trainers.recipe import Recipe


def make_model(recipe: Recipe, vocabulary_size: int, target_vocabulary_size: int | None, pad_id=0):
    """A fresh `Transformer` of the recipe's sizes.

    Args:
        recipe: `Recipe`.
        vocabulary_size: How many ids the source has.
        target_vocabulary_size: How many the target has; `None` if it shares the source's.
        pad_id: The id of padding.
    """
    from keras_transformer import Transformer

    return Transformer.from_preset(
        recipe.preset,
        vocabulary_size,
        target_vocabulary_size=target_vocabulary_size,
        max_length=max(1024, 2 * recipe.max_length + 64),  # results may be longer
        pad_id=pad_id,
        dtype=recipe.precision,
        **recipe.sizes(),
    )


def compile_model(recipe: Recipe, model, jit_compile: bool) -> None:
    """Gives a built model the optimizer, the loss, and what is reported."""
    from keras_transformer import Perplexity, TokenAccuracy, TokenCrossEntropy

    model.compile(
        optimizer=make_optimizer(recipe, model.d_model),
        loss=TokenCrossEntropy(recipe.label_smoothing, model.pad_id),
        metrics=[TokenAccuracy(model.pad_id), Perplexity(model.pad_id)],
        jit_compile=jit_compile,
        steps_per_execution=recipe.steps_per_execution,
        accumulate_steps=recipe.accumulate_steps,
    )
    model.optimizer.build(model.trainable_variables)  # where the model is


def make_optimizer(recipe: Recipe, d_model: int):
    """Adam with the paper's values and schedule, or Adafactor, which has its own."""
    import keras

    from keras_transformer import Adafactor, WarmupSchedule

    if recipe.optimizer == "adafactor":
        return Adafactor()
    schedule = WarmupSchedule(d_model, recipe.warmup_steps, recipe.learning_rate_scale)
    return keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9)
