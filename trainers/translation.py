"""Trains a translator, from text to a run folder.

    python -m trainers.translation --config RECIPE --output RUN

Every option of `trainers/recipe.py` can be given in the recipe or on the command line, which
overrides the recipe. The same command resumes an interrupted run exactly.
"""

import dataclasses
import math
import sys
from pathlib import Path
from typing import NamedTuple

from keras_transformer import cli
from keras_transformer.io import local_path
from trainers.architecture import with_architecture_of
from trainers.batches import Data, prepare_data
from trainers.fine_tuning import (
    check_initial,
    resume_adapter,
    start_adapter,
    with_languages_of,
)
from trainers.model import compile_model, make_model
from trainers.model_selection import ModelSelection
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe, write_recipe
from trainers.remote_output import SentStates, clear_remote, send_run
from trainers.resume import (
    explain_write_errors,
    find_interrupted_state,
    rebuild_translator,
    restore_recipe,
    resume_metadata,
    state_folder,
    train_until_stopped,
)
from trainers.run_folder import (
    clear_run,
    read_only_run_folder,
    remove_partial_writes,
    run_folder,
)
from trainers.tokenizers import (
    check_commands,
    check_tags,
    existing_tokenizers,
    load_tokenizers,
    round_trip_report,
    save_tokenizers,
)
from trainers.training_batches import choice_of, is_packed, parts_per_batch

PROGRAM = "python -m trainers.translation"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return cli.run(PROGRAM, lambda: run(read_recipe(PROGRAM, arguments)))


def run(recipe: Recipe, program: str = PROGRAM) -> int:
    """Trains and returns the exit code: 0, or 75 for a run that can be resumed."""
    return train_until_stopped(train, recipe, program)


def train(recipe: Recipe) -> None:
    """Runs a recipe: prepares the data, fits the model, selects its weights, saves the run."""
    import keras

    from keras_transformer import make_bleu
    from keras_transformer.distribution import choose_devices
    from trainers.corpora import open_corpora

    make_bleu(recipe.bleu_tokenizer)  # fails now, not after the first epoch
    devices = choose_devices(recipe.strategy, recipe.devices)
    if devices.workers > 1:
        local_path(recipe.output, "The --output of several workers")
    print(f"Training on {devices.description}.", flush=True)
    keras.utils.set_random_seed(recipe.seed)
    with run_folder(recipe) if devices.is_chief else read_only_run_folder(recipe) as output:
        corpora = open_corpora(recipe)
        state = find_interrupted_state(recipe, corpora, output)
        if devices.is_chief:
            remove_partial_writes(output)
        if state is None:
            job = start_job(recipe, corpora, devices, output)
        else:
            job = resume_job(recipe, corpora, devices, output, state)
        with explain_write_errors(recipe, output), devices.detect_lost_workers():
            job.translator.about["weights"] = fit(job, devices, output, state)
            if devices.is_chief:
                job.translator.save(output)
                state_folder(output).clear()
                send_run(job.recipe)
        print(f"Saved to {recipe.output}: {job.translator.about['weights']}.")


class TrainingJob(NamedTuple):
    """Recipe, data and translator of a training, and the metadata of its states."""

    recipe: Recipe
    data: Data
    translator: object
    metadata: dict


def start_job(recipe: Recipe, corpora, devices, output: Path) -> TrainingJob:
    """Prepares a new job, with fresh weights or those of a finished run."""
    from trainers.corpora import write_held_out

    given = recipe
    with devices.scope():
        initial = _load_initial(recipe)
    tokenizers = existing_tokenizers(recipe)
    if initial is not None:
        check_initial(recipe, initial)
        recipe = with_architecture_of(recipe, initial.about)
        corpora = with_languages_of(corpora, initial.about)
        tokenizers = (initial.tokenizer, initial.target_tokenizer)
    if tokenizers is not None:
        check_tags(recipe, tokenizers[0])
    data = prepare_data(recipe, corpora, tokenizers, devices, output, initial and initial.model)
    print(round_trip_report(data.tokenizers, corpora), flush=True)
    recipe = dataclasses.replace(recipe, **choice_of(data.batches))
    recipe = recipe.completed(len(data.batches.cache), data.batches.steps_per_epoch)
    with devices.scope():
        translator = make_translator(recipe, data, initial)
        check_commands(recipe, translator)
        base = start_adapter(recipe, translator.model)
        compile_model(recipe, translator.model, recipe.compile_with_xla and devices.can_jit)
    recipe = recipe.with_model_settings(translator.model, corpora.languages)
    translator.about |= describe_run(recipe, corpora, data)
    metadata = resume_metadata(given, recipe, corpora, translator) | base
    metadata["parts"] = parts_per_batch(recipe, devices)
    metadata["images"] = data.images and data.images.fingerprint
    if devices.is_chief:  # last: what cannot be trained or saved has failed, and replaces no run
        clear_run(output)
        clear_remote(recipe)
        write_recipe(recipe, output)  # first: it identifies the folder as a run
        write_held_out(corpora, output / "held_out")
        save_tokenizers(output, data.tokenizers)
        send_run(recipe)
    return TrainingJob(recipe, data, translator, metadata)


def resume_job(recipe: Recipe, corpora, devices, output: Path, state) -> TrainingJob:
    """Prepares the job of an interrupted run, with its recipe, tokenizers and tokens.

    Raises:
        ValueError: Batches would be split into another number of parts, or the text is tokenized
            differently.
    """
    recipe = restore_recipe(recipe, state)
    if recipe.packed == "auto":  # an older package packed on TPUs alone, and did not say so
        recipe = dataclasses.replace(
            recipe, packed="always" if is_packed(recipe, devices) else "never"
        )
    parts, parts_now = state.metadata["run"]["parts"], parts_per_batch(recipe, devices)
    if parts != parts_now:
        raise ValueError(
            f"{recipe.output} holds an interrupted run whose batches were split into {parts} parts "
            f"(devices times accumulate_steps), not {parts_now}. Resume it with as many, "
            "or give --overwrite true to replace it."
        )
    data = prepare_data(recipe, corpora, load_tokenizers(output), devices, output)
    with devices.scope():
        model = resume_adapter(recipe, state.metadata["run"], _load_initial)
        translator = rebuild_translator(state, data.tokenizers, model)
        compile_model(recipe, translator.model, recipe.compile_with_xla and devices.can_jit)
    if data.batches.cache.fingerprint != translator.about["data_fingerprint"]:
        raise ValueError(
            f"{recipe.output} holds an interrupted run whose text is now tokenized differently. "
            "Resume it with the package version that started it, or give --overwrite true to "
            "replace it."
        )
    fingerprint = data.images and data.images.fingerprint
    if fingerprint != state.metadata["run"].get("images", fingerprint):
        raise ValueError(
            f"{recipe.output} holds an interrupted run whose images have changed. Give it those "
            "that it had, another --output, or --overwrite true to replace it."
        )
    progress = state.metadata["progress"]
    print(f"Resuming from step {progress['step']}, epoch {progress['epoch'] + 1}.", flush=True)
    return TrainingJob(recipe, data, translator, state.metadata["run"])


def _load_initial(recipe: Recipe):
    """Loads the finished run to start from, if the recipe has one."""
    if recipe.init_from is None:
        return None
    from keras_transformer import Translator

    return Translator.load(recipe.init_from)


def make_translator(recipe: Recipe, data: Data, initial):
    """Returns a translator with a new model, or with that of the translator `initial`."""
    from keras_transformer import Translator

    source, target = data.tokenizers
    if initial is not None:
        print(
            f"Starting from {recipe.init_from}: its architecture, sizes, precision and tokenizer "
            "are used."
        )
        length = max(initial.max_source_length, recipe.max_length)
        shared = initial.target_tokenizer is initial.tokenizer
        return Translator(
            initial.model,
            initial.tokenizer,
            None if shared else initial.target_tokenizer,
            max_source_length=length,
            about=initial.about,
        )
    target = None if target is source else target
    target_size = target and target.vocabulary_size()
    model = make_model(recipe, source.vocabulary_size(), target_size, source.pad_id)
    return Translator(model, source, target, max_source_length=recipe.max_length)


def describe_run(recipe: Recipe, corpora, data: Data) -> dict:
    """Returns the training metadata of `run.json`."""
    source_language, target_language = corpora.languages
    return {
        "source_language": source_language,
        "target_language": target_language,
        "architecture": recipe.architecture,
        "architecture_options": recipe.architecture_options,
        "corpus": recipe.corpus,
        "pairs": len(data.batches.cache),
        "data_fingerprint": data.batches.cache.fingerprint,
        "seed": recipe.seed,
    }


def fit(job: TrainingJob, devices, output: Path, state=None) -> str:
    """Trains the model and loads the selected weights into it; returns a description of them.

    Raises:
        ValueError: Training has diverged.
    """
    from keras_transformer import NoStopSignal, SaveState, TokenRate, resumable_fit

    recipe, data, translator, metadata = job
    model = translator.model
    selection = ModelSelection(
        recipe,
        translator,
        data.validation_text,
        output / "checkpoints",
        devices,
        data.validation_parts,
    )
    saver = SaveState(
        SentStates(recipe, output),
        recipe.checkpoint_steps,
        metadata,
        write=devices.is_chief,
        stop=None if devices.workers == 1 else NoStopSignal(),
    )
    print(
        f"{model.count_params():,} parameters; batches of {_format_shapes(data)} "
        f"(rows x source x target), {data.batches.padding:.1%} padding",
        flush=True,
    )
    history = resumable_fit(
        model,
        data.dataset,
        saver,
        steps_per_epoch=recipe.steps_per_epoch,
        epochs=recipe.epochs,
        state=state,
        validation_data=data.validation and data.validation.dataset(),
        callbacks=[
            TokenRate(),
            *selection.callbacks,
            *([] if data.images is None else [data.images.callback()]),
            *_keras_callbacks(recipe, devices, output),
        ],
        verbose=(1 if sys.stdout.isatty() else 2) if devices.is_chief else 0,
    )
    loss = history.history["loss"][-1]
    if not math.isfinite(loss):
        raise ValueError(
            f"The loss became {loss} in epoch {len(history.epoch)}: training has diverged. "
            "With --optimizer adam, lower --learning-rate-scale or raise --warmup-steps."
        )
    devices.from_chief(0.0)  # other workers wait until the chief has written the last files
    return selection.select_weights()


def _keras_callbacks(recipe: Recipe, devices, output: Path) -> list:
    """Returns the callbacks that come from Keras."""
    import keras

    callbacks = [keras.callbacks.TerminateOnNaN()]
    if recipe.tensorboard and devices.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(output / "logs"))
    return callbacks


def _format_shapes(data: Data) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in data.batches.shapes)


if __name__ == "__main__":
    raise SystemExit(main())
