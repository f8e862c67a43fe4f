"""Trains a translator, from text to a run folder.

    python -m trainers.translation --config RECIPE --output RUN

Every option of `trainers/recipe.py` can stand in the recipe or on the command line; what stands
later wins. A run that was interrupted goes on, exactly, when the same command is given again.
"""

import math
import sys
from pathlib import Path
from typing import NamedTuple

from keras_transformer import cli
from trainers.batches import Data, parts_of, prepare
from trainers.model import compile_model, make_model
from trainers.model_selection import ModelSelection
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe, write_recipe
from trainers.resume import (
    explained,
    find_unfinished,
    how_to_go_on,
    metadata_of,
    rebuild_translator,
    recipe_to_go_on,
    states_of,
)
from trainers.run_folder import clear, only_reading, remove_left_overs, run_folder
from trainers.tokenizers import load_tokenizers, save_tokenizers

PROGRAM = "python -m trainers.translation"
STOPPED = 75  # what sysexits.h calls a temporary failure: try again


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return cli.run(PROGRAM, lambda: run(read_recipe(PROGRAM, arguments)))


def run(recipe: Recipe) -> int:
    """Trains; returns the exit code."""
    from keras_transformer import Stopped
    from keras_transformer.distribution import WorkerLostError

    try:
        train(recipe)
    except (Stopped, WorkerLostError) as stopped:
        print(f"{PROGRAM}: {stopped} {how_to_go_on(recipe)}", file=sys.stderr)
        return STOPPED
    return 0


def train(recipe: Recipe) -> None:
    """Runs a recipe: text, batches, model, `fit`, the weights to use, the run folder."""
    import keras

    from keras_transformer.distribution import choose_devices
    from trainers.corpora import open_corpora

    devices = choose_devices(recipe.strategy, recipe.devices)
    print(f"Training on {devices.description}.", flush=True)
    keras.utils.set_random_seed(recipe.seed)
    with run_folder(recipe) if devices.is_chief else only_reading(recipe) as output:
        corpora = open_corpora(recipe)
        state = find_unfinished(recipe, corpora, output)
        if devices.is_chief:
            remove_left_overs(output)
        start = begin if state is None else go_on
        job = start(recipe, corpora, devices, state)
        with explained(recipe, output), devices.detect_lost_workers():
            job.translator.about["weights"] = fit(job, devices, output, state)
            if devices.is_chief:
                job.translator.save(output)
                states_of(output).clear()
        print(f"Saved to {output}: {job.translator.about['weights']}.")


class TrainingJob(NamedTuple):
    """What is to be trained on what, and what its states tell besides."""

    recipe: Recipe
    data: Data
    translator: object
    metadata: dict


def begin(recipe: Recipe, corpora, devices, state=None) -> TrainingJob:
    """A job that starts from the beginning, or from the weights of a finished run."""
    from trainers.corpora import write_held_out

    given, output = recipe, recipe.output
    with devices.scope():
        start = _load_start(recipe)
    tokenizers = (start.tokenizer, start.target_tokenizer) if start else None
    data = prepare(recipe, corpora, tokenizers, devices, output)
    recipe = recipe.completed(len(data.batches.cache), data.batches.steps_per_epoch)
    with devices.scope():
        translator = make_translator(recipe, data, start)
    recipe = recipe.with_facts_of(translator.model, corpora.languages)
    if devices.is_chief:
        clear(output)
        write_recipe(recipe, output)  # first: it says whose folder it is
        write_held_out(corpora, output / "held_out")
        save_tokenizers(output, data.tokenizers)
    translator.about |= describe(recipe, corpora, data)
    metadata = metadata_of(given, recipe, corpora, translator)
    return TrainingJob(recipe, data, translator, {**metadata, "parts": parts_of(recipe, devices)})


def go_on(recipe: Recipe, corpora, devices, state) -> TrainingJob:
    """The job of an interrupted run: its recipe, its tokenizers, its tokens.

    Raises:
        ValueError: Batches would be split otherwise, or the text became other tokens.
    """
    recipe = recipe_to_go_on(recipe, state)
    parts, now = state.metadata["run"]["parts"], parts_of(recipe, devices)
    if parts != now:
        raise ValueError(
            f"{recipe.output} holds an interrupted run whose batches were split into {parts} parts "
            f"(devices times accumulate_steps), not {now}. Go on with as many, or give "
            "--overwrite true to replace it."
        )
    data = prepare(recipe, corpora, load_tokenizers(recipe.output), devices, recipe.output)
    with devices.scope():
        translator = rebuild_translator(state, data.tokenizers)
    if data.batches.cache.fingerprint != translator.about["data_fingerprint"]:
        raise ValueError(
            f"{recipe.output} holds an interrupted run whose text became other tokens. Go on with "
            "the package version it was begun with, or give --overwrite true to replace it."
        )
    place = state.metadata["progress"]
    print(f"Going on from step {place['step']}, epoch {place['epoch'] + 1}.", flush=True)
    return TrainingJob(recipe, data, translator, state.metadata["run"])


def _load_start(recipe: Recipe):
    """The finished run to go on from, if the recipe names one."""
    if recipe.init_from is None:
        return None
    from keras_transformer import Translator

    return Translator.load(recipe.init_from)


def make_translator(recipe: Recipe, data: Data, start):
    """A fresh model of the recipe's sizes, or the one of the run to start from."""
    from keras_transformer import Translator

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
    target = None if target is source else target
    target_size = target and target.vocabulary_size()
    model = make_model(recipe, source.vocabulary_size(), target_size, source.pad_id)
    return Translator(model, source, target, max_source_length=recipe.max_length)


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


def fit(job: TrainingJob, devices, output: Path, state=None) -> str:
    """Trains, and leaves the weights to use in the model; returns which they are.

    Raises:
        ValueError: Training has diverged.
    """
    from keras_transformer import NoStopSignal, SaveState, TokenRate, resumable_fit

    recipe, data, translator, metadata = job
    model = translator.model
    with devices.scope():
        compile_model(recipe, model, recipe.compile_with_xla and devices.can_jit)
    choice = ModelSelection(
        recipe, translator, data.validation_text, output / "checkpoints", devices
    )
    saver = SaveState(
        states_of(output),
        recipe.checkpoint_steps,
        metadata,
        write=devices.is_chief,
        stop=None if devices.workers == 1 else NoStopSignal(),
    )
    print(
        f"{model.count_params():,} parameters; batches of {_shapes(data)} (sentences x source x "
        f"target), {data.batches.padding:.1%} of it padding",
        flush=True,
    )
    history = resumable_fit(
        model,
        lambda step: data.batches.dataset(start_step=step),
        saver,
        steps_per_epoch=recipe.steps_per_epoch,
        epochs=recipe.epochs,
        state=state,
        validation_data=data.validation and data.validation.dataset(),
        callbacks=[TokenRate(), *choice.callbacks, *_watchers(recipe, devices, output)],
        verbose=(1 if sys.stdout.isatty() else 2) if devices.is_chief else 0,
    )
    loss = history.history["loss"][-1]
    if not math.isfinite(loss):
        raise ValueError(
            f"The loss became {loss} in epoch {len(history.epoch)}: training has diverged. "
            "With --optimizer adam, lower --learning-rate-scale or raise --warmup-steps."
        )
    devices.from_chief(0.0)  # who is not the chief waits until the last files are written
    return choice.decide()


def _watchers(recipe: Recipe, devices, output: Path) -> list:
    """Callbacks that are Keras' own."""
    import keras

    callbacks = [keras.callbacks.TerminateOnNaN()]
    if recipe.tensorboard and devices.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(output / "logs"))
    return callbacks


def _shapes(data: Data) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in data.batches.shapes)


if __name__ == "__main__":
    raise SystemExit(main())
