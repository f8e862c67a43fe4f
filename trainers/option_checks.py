"""Checks of options that the recipes of several programs have."""

import math

INNER_RATES = ("attention_dropout_rate", "feed_forward_dropout_rate")
WITHOUT_ROWS = ("latent",)  # architectures that take one pair a row
TRAINED_TOKENIZER = {"tokenizer_type": "unigram", "normalization": "nfc"}  # with their defaults


def check_at_least(recipe, limits: dict) -> None:
    """Raises a `ValueError` if an option is less than its limit, or no number."""
    for name, least in limits.items():
        if not math.isfinite(value := getattr(recipe, name)):
            raise ValueError(f"{name} must be a number, at least {least}. Received: {value}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}. Received: {value}")


def check_rates(recipe) -> None:
    """Raises a `ValueError` if label smoothing or a dropout rate is out of its range."""
    for name in ("label_smoothing", *INNER_RATES):
        if not 0 <= (rate := getattr(recipe, name)) < 1:
            raise ValueError(f"{name} must be at least 0 and less than 1. Received: {rate}")
    if not recipe.dropout_rate < 1:
        raise ValueError(f"dropout_rate must be less than 1. Received: {recipe.dropout_rate}")


def check_optimizer(recipe) -> None:
    """Raises a `ValueError` if a schedule is given to an optimizer that has its own."""
    if recipe.optimizer == "adafactor" and (recipe.learning_rate_scale or recipe.warmup_steps):
        raise ValueError(
            "optimizer adafactor has its own step sizes. Received: learning_rate_scale="
            f"{recipe.learning_rate_scale}, warmup_steps={recipe.warmup_steps}. Leave both out, or "
            "give --learning-rate-scale 0 --warmup-steps 0."
        )


def check_rows(recipe) -> None:
    """Raises a `ValueError` if pairs are to share rows in a model that takes one pair a row."""
    if recipe.packed == "always" and recipe.architecture in WITHOUT_ROWS:
        raise ValueError(
            f"The architecture {recipe.architecture} takes one pair a row: one of its latents "
            "would stand for words of two sentences. Received: packed=always. Leave --packed out."
        )


def check_fine_tuning(recipe) -> None:
    """Raises a `ValueError` if there is nothing to adapt, or two learning rates contradict."""
    if recipe.lora_rank and recipe.init_from is None:
        raise ValueError(
            f"lora_rank adapts a finished run. Received: lora_rank={recipe.lora_rank} without "
            "init_from. Give --init-from RUN, or leave --lora-rank out."
        )
    is_adafactor = recipe.optimizer == "adafactor"
    if recipe.learning_rate and (recipe.learning_rate_scale or is_adafactor):
        other = "optimizer=adafactor" if is_adafactor else "learning_rate_scale"
        raise ValueError(
            f"learning_rate is an option of adam without learning_rate_scale. Received: "
            f"learning_rate={recipe.learning_rate} with {other}. Leave one of the two out."
        )


def check_tokenizer(recipe) -> None:
    """Raises a `ValueError` if options describe a tokenizer that is not to be trained."""
    if not recipe.tokenizer:
        return
    if recipe.init_from is not None:
        raise ValueError(
            f"init_from brings the tokenizer of its run. Received: tokenizer={recipe.tokenizer}. "
            "Leave one of the two out."
        )
    for name, default in TRAINED_TOKENIZER.items():
        if getattr(recipe, name) != default:
            raise ValueError(
                f"{name} is an option of a tokenizer to be trained. Received: {name}="
                f"{getattr(recipe, name)} with tokenizer={recipe.tokenizer}. Leave one of the two "
                "out."
            )
