"""Trains a language model, from a text file to a run folder.

    python -m trainers.language_model --train-text FILE --output RUN

Every option of `trainers/language_recipe.py` can be given in a recipe, `--config`, or on the
command line, which overrides the recipe. The same command resumes an interrupted run exactly.
"""

import math
import shutil
import sys
from pathlib import Path

from keras_transformer import cli
from keras_transformer.io import local_path
from trainers.language_job import (
    Job,
    Texts,
    make_batches,
    open_texts,
    resume_job,
    start_job,
    tokenizer_of_chief,
)
from trainers.language_recipe import LanguageRecipe
from trainers.model import compile_model
from trainers.recipe_file import read_recipe
from trainers.remote_output import SentStates, send_run
from trainers.resume import (
    explain_write_errors,
    find_interrupted_state,
    state_folder,
    train_until_stopped,
)
from trainers.run_folder import read_only_run_folder, remove_partial_writes, run_folder

PROGRAM = "python -m trainers.language_model"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return cli.run(PROGRAM, lambda: run(read_recipe(PROGRAM, arguments, LanguageRecipe)))


def run(recipe: LanguageRecipe) -> int:
    """Trains and returns the exit code: 0, or 75 for a run that can be resumed."""
    return train_until_stopped(train, recipe, PROGRAM)


def train(recipe: LanguageRecipe) -> None:
    """Runs a recipe: prepares the text, fits the model, selects its weights, saves the run."""
    import keras

    from keras_transformer.distribution import choose_devices

    texts = open_texts(recipe)
    devices = choose_devices(recipe.strategy, recipe.devices)
    if devices.workers > 1:
        local_path(recipe.output, "The --output of several workers")
    print(f"Training on {devices.description}.", flush=True)
    keras.utils.set_random_seed(recipe.seed)
    with run_folder(recipe) if devices.is_chief else read_only_run_folder(recipe) as output:
        state = find_interrupted_state(recipe, texts, output)
        if devices.is_chief:
            remove_partial_writes(output)
        start = start_job if state is None else resume_job
        job = start(recipe, texts, devices, output, state)
        with explain_write_errors(recipe, output), devices.detect_lost_workers():
            job.generator.about["weights"] = fit(job, texts, devices, output, state)
            if devices.is_chief:
                shutil.rmtree(tokenizer_of_chief(output), ignore_errors=True)
                job.generator.save(output)
                state_folder(output).clear()
                send_run(job.recipe)
        print(f"Saved to {recipe.output}: {job.generator.about['weights']}.")


def fit(job: Job, texts: Texts, devices, output: Path, state=None) -> str:
    """Trains the model and loads the selected weights into it; returns a description of them.

    Raises:
        ValueError: Training has diverged.
    """
    from keras_transformer import (
        KeepCheckpoints,
        NoStopSignal,
        SaveState,
        TokenRate,
        resumable_fit,
    )

    recipe, batches, generator, metadata = job
    model = generator.model
    with devices.scope():
        compile_model(recipe, model, recipe.compile_with_xla and devices.can_jit)
    kept = KeepCheckpoints(
        output / "checkpoints", max(1, recipe.averaged_checkpoints), write=devices.is_chief
    )
    saver = SaveState(
        SentStates(recipe, output),
        recipe.checkpoint_steps,
        metadata,
        write=devices.is_chief,
        stop=None if devices.workers == 1 else NoStopSignal(),
    )
    rows, _, length = batches.shapes[0]
    print(
        f"{len(texts.train):,} documents, {len(batches.cache.labels):,} tokens; "
        f"{model.count_params():,} parameters; batches of {rows}x{length}, "
        f"{batches.padding:.1%} padding",
        flush=True,
    )
    validation = texts.validation and make_batches(
        recipe, texts.validation, generator.tokenizer, devices
    )
    history = resumable_fit(
        model,
        lambda step: batches.dataset(start_step=step),
        saver,
        steps_per_epoch=recipe.steps_per_epoch,
        epochs=recipe.epochs,
        state=state,
        validation_data=validation and validation.each_once(),
        callbacks=[TokenRate(), kept, *_keras_callbacks(recipe, devices, output)],
        verbose=(1 if sys.stdout.isatty() else 2) if devices.is_chief else 0,
    )
    loss = history.history["loss"][-1]
    if not math.isfinite(loss):
        raise ValueError(
            f"The loss became {loss} in epoch {len(history.epoch)}: training has diverged. "
            "With --optimizer adam, lower --learning-rate-scale or raise --warmup-steps."
        )
    devices.from_chief(0.0)  # other workers wait until the chief has written the last files
    return select_weights(generator, kept.paths(), texts.validation)


def select_weights(generator, paths: list[Path], validation) -> str:
    """Loads the weights that predict the validation text best, and returns a description of them.

    They are those of one of the last epochs, or their average, which is taken without validation
    text.
    """
    from keras_transformer import average_checkpoints

    model = generator.model
    average = f"average of the last {len(paths)} epochs" if len(paths) > 1 else "last epoch"
    if validation is None:
        average_checkpoints(model, paths)
        return average
    candidates = {f"epoch {int(path.name[6:10])}": [path] for path in paths} | {average: paths}
    measured = {}
    for name, some in candidates.items():
        average_checkpoints(model, some)
        measured[name] = generator.measure(validation)
    best = min(measured, key=lambda name: measured[name].perplexity)
    average_checkpoints(model, candidates[best])
    return f"{best}, validation {describe_measures(measured[best])}"


def describe_measures(measures) -> str:
    """Returns perplexity and bits per character in words."""
    return (
        f"perplexity {measures.perplexity:.2f}, {measures.bits_per_character:.3f} bits per "
        "character"
    )


def _keras_callbacks(recipe: LanguageRecipe, devices, output: Path) -> list:
    """Returns the callbacks that come from Keras."""
    import keras

    callbacks = [keras.callbacks.TerminateOnNaN()]
    if recipe.tensorboard and devices.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(output / "logs"))
    return callbacks


if __name__ == "__main__":
    raise SystemExit(main())
