"""Trains a translator, from text to a run folder.

    python -m trainers.translation --config RECIPE --output RUN

Every option of `trainers/recipe.py` can stand in the recipe or on the command line; what stands
later wins.
"""

import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

from keras_transformer import command_line
from trainers.choice import Choice
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe, write_recipe
from trainers.run_folder import clear, new_run_folder

PROGRAM = "python -m trainers.translation"
AUTO_VOCABULARY = 8000


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return command_line.run(PROGRAM, lambda: train(read_recipe(PROGRAM, arguments)))


def train(recipe: Recipe) -> None:
    """Runs a recipe: text, batches, model, `fit`, the weights to use, the run folder."""
    import keras

    from trainers.corpora import open_corpora, write_held_out

    keras.utils.set_random_seed(recipe.seed)
    with new_run_folder(recipe) as output:
        corpora = open_corpora(recipe)
        start = _load_start(recipe)
        tokenizers = (start.tokenizer, start.target_tokenizer) if start else None
        data = prepare(recipe, corpora, tokenizers or train_tokenizers(recipe, corpora), output)
        recipe = recipe.completed(len(data.batches.cache), data.batches.steps_per_epoch)
        translator = make_translator(recipe, data, start)
        recipe = recipe.with_facts_of(translator.model, corpora.languages)
        clear(output)
        write_held_out(corpora, output / "held_out")
        write_recipe(recipe, output)
        translator.about |= describe(recipe, corpora, data)
        fit(recipe, translator, data, output)
        translator.save(output)
        print(f"Saved to {output}: {translator.about['weights']}.")


class Data(NamedTuple):
    """What a model is trained and judged on."""

    batches: object  # TokenBatches
    validation: object | None  # EvaluationBatches
    validation_text: list[tuple[str, str]]
    tokenizers: tuple


def _load_start(recipe: Recipe):
    """The finished run to go on from, if the recipe names one."""
    if recipe.init_from is None:
        return None
    from keras_transformer import Translator

    return Translator.load(recipe.init_from)


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
    """Learns a vocabulary; if its size is left open, 8000 or what the text allows."""
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


def prepare(recipe: Recipe, corpora, tokenizers: tuple, output: Path) -> Data:
    """Text to batches: filtered, tokenised, cached on disk."""
    from keras_transformer.data import EvaluationBatches, PairFilter, TokenBatches, TokenCache

    source, target = tokenizers
    filters = PairFilter(max_length=recipe.max_length, max_ratio=recipe.max_ratio or None)
    train = TokenCache.build(corpora.train, source, output / "tokens" / "train", filters, target)
    print(f"Training text:\n{train.report}", flush=True)
    batches = TokenBatches(train, recipe.tokens_per_batch, recipe.max_shapes, recipe.seed)
    if corpora.validation is None:
        print("No validation text: the last weights will be used, averaged if there are several.")
        return Data(batches, None, [], tokenizers)
    everything = PairFilter(max_length=recipe.max_length, drop_duplicates=False)
    folder = output / "tokens" / "validation"
    validation = TokenCache.build(corpora.validation, source, folder, everything, target)
    print(f"Validation text:\n{validation.report}", flush=True)
    return Data(
        batches,
        EvaluationBatches(validation, recipe.tokens_per_batch, max_shapes=2),
        list(corpora.validation),
        tokenizers,
    )


def make_translator(recipe: Recipe, data: Data, start):
    """A fresh model of the recipe's sizes, or the one of the run to start from."""
    from keras_transformer import Transformer, Translator

    source, target = data.tokenizers
    if start is not None:
        print(f"Going on from {recipe.init_from}: its sizes, precision and tokenizer are used.")
        length = max(start.max_source_length, recipe.max_length)
        shared = start.target_tokenizer is start.tokenizer
        return Translator(
            start.model,
            start.tokenizer,
            None if shared else start.target_tokenizer,
            max_source_length=length,
            about=start.about,
        )
    model = Transformer.from_preset(
        recipe.preset,
        vocabulary_size=source.vocabulary_size(),
        target_vocabulary_size=None if target is source else target.vocabulary_size(),
        max_length=max(1024, 2 * recipe.max_length + 64),  # results may be longer
        pad_id=source.pad_id,
        dtype=recipe.precision,
        **recipe.sizes(),
    )
    return Translator(
        model, source, None if target is source else target, max_source_length=recipe.max_length
    )


def describe(recipe: Recipe, corpora, data: Data) -> dict:
    """What a run folder tells of its making."""
    source_language, target_language = corpora.languages
    return {
        "source_language": source_language,
        "target_language": target_language,
        "corpus": recipe.corpus,
        "pairs": len(data.batches.cache),
        "data_fingerprint": data.batches.cache.fingerprint,
        "seed": recipe.seed,
    }


def fit(recipe: Recipe, translator, data: Data, output: Path) -> None:
    """Trains, and leaves the weights to use in the model: the best epoch's or the average."""
    import keras

    from keras_transformer import (
        Perplexity,
        TokenAccuracy,
        TokenCrossEntropy,
        TokenRate,
        WarmupSchedule,
    )

    model = translator.model
    schedule = WarmupSchedule(model.d_model, recipe.warmup_steps, recipe.learning_rate_scale)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
        loss=TokenCrossEntropy(recipe.label_smoothing, model.pad_id),
        metrics=[TokenAccuracy(model.pad_id), Perplexity(model.pad_id)],
        jit_compile=recipe.compile_with_xla,
    )
    choice = Choice(recipe, translator, data.validation_text, output / "checkpoints")
    print(
        f"{model.count_params():,} parameters; batches of {_shapes(data)} (sentences x source x "
        f"target), {data.batches.padding:.1%} of it padding",
        flush=True,
    )
    history = model.fit(
        data.batches.dataset(),
        steps_per_epoch=recipe.steps_per_epoch,
        epochs=recipe.epochs,
        shuffle=False,  # the batches are shuffled already
        validation_data=data.validation and data.validation.dataset(),
        callbacks=[TokenRate(), *choice.callbacks, *_watchers(recipe, output)],
        verbose=1 if sys.stdout.isatty() else 2,
    )
    loss = history.history["loss"][-1]
    if not math.isfinite(loss):
        raise ValueError(
            f"The loss became {loss} in epoch {len(history.epoch)}: training has diverged. "
            "Lower --learning-rate-scale, or raise --warmup-steps."
        )
    translator.about["weights"] = choice.decide()


def _watchers(recipe: Recipe, output: Path) -> list:
    """Callbacks that are Keras' own."""
    import keras

    callbacks = [keras.callbacks.TerminateOnNaN()]
    if recipe.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(output / "logs"))
    return callbacks


def _shapes(data: Data) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in data.batches.shapes)


if __name__ == "__main__":
    raise SystemExit(main())
