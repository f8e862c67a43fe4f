"""Trains a language model, from a text file to a run folder.

    python -m trainers.language_model --train-text FILE --output RUN

Every option of `trainers/language_recipe.py` can be given in a recipe, `--config`, or on the
command line, which overrides the recipe. The same command resumes an interrupted run exactly.
"""

import dataclasses
import math
import sys
from pathlib import Path
from typing import NamedTuple

from keras_transformer import cli
from keras_transformer.io import local_path
from trainers.architecture import with_architecture_of
from trainers.language_recipe import LanguageRecipe
from trainers.model import compile_model
from trainers.recipe_file import read_recipe, write_recipe
from trainers.remote_output import SentStates, clear_remote, send_run
from trainers.resume import (
    explain_write_errors,
    find_interrupted_state,
    restore_recipe,
    resume_hint,
    resume_metadata,
    state_folder,
)
from trainers.run_folder import clear_run, read_only_run_folder, remove_partial_writes, run_folder
from trainers.tokenizers import (
    existing_tokenizers,
    load_tokenizers,
    save_tokenizers,
    train_tokenizer,
)

PROGRAM = "python -m trainers.language_model"
STOPPED = 75  # EX_TEMPFAIL of sysexits.h: a temporary failure, try again


class Texts(NamedTuple):
    """The training text and the validation text, which may be `None`."""

    train: object
    validation: object | None


class Job(NamedTuple):
    """Recipe, batches and generator of a training, and the metadata of its states."""

    recipe: LanguageRecipe
    batches: object
    generator: object
    metadata: dict


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return cli.run(PROGRAM, lambda: run(read_recipe(PROGRAM, arguments, LanguageRecipe)))


def run(recipe: LanguageRecipe) -> int:
    """Trains and returns the exit code: 0, or 75 for a run that can be resumed."""
    from keras_transformer import Stopped
    from keras_transformer.distribution import WorkerLostError

    try:
        train(recipe)
    except (Stopped, WorkerLostError) as stopped:
        print(f"{PROGRAM}: {stopped} {resume_hint(recipe)}", file=sys.stderr)
        return STOPPED
    return 0


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
                job.generator.save(output)
                state_folder(output).clear()
                send_run(job.recipe)
        print(f"Saved to {recipe.output}: {job.generator.about['weights']}.")


def open_texts(recipe: LanguageRecipe) -> Texts:
    """Reads the text files of a recipe.

    Raises:
        ValueError: There is no text to train on, or a file is not text.
    """
    from keras_transformer.data import TextFile

    if not recipe.train_text:
        raise ValueError("There is nothing to train on: give --train-text, a text file.")
    train = TextFile(recipe.train_text, recipe.documents)
    validation = recipe.validation_text and TextFile(recipe.validation_text, recipe.documents)
    return Texts(train, validation or None)


def make_batches(recipe: LanguageRecipe, documents, tokenizer, devices):
    """Returns the documents as packed batches, equal parts of which fit the devices."""
    from keras_transformer.data import TextBatches, TextPieces

    return TextBatches(
        TextPieces(documents, tokenizer, recipe.max_length),
        recipe.tokens_per_batch,
        recipe.max_length,
        recipe.seed,
        batch_multiple=devices.replicas * recipe.accumulate_steps,
    )


def start_job(recipe: LanguageRecipe, texts: Texts, devices, output: Path, state=None) -> Job:
    """Prepares a new job, with fresh weights or those of a finished run."""
    given = recipe
    with devices.scope():
        initial = load_initial(recipe)
    if initial is not None:
        recipe = with_architecture_of(recipe, initial.about)
    tokenizer = make_tokenizer(recipe, texts, devices, output, initial)
    batches = make_batches(recipe, texts.train, tokenizer, devices)
    recipe = recipe.completed(len(batches.cache.labels), batches.steps_per_epoch)
    with devices.scope():
        generator = make_generator(recipe, tokenizer, initial)
    recipe = dataclasses.replace(
        recipe,
        preset=recipe.preset if initial is None else given.preset,  # sizes are those of the run
        vocabulary_size=tokenizer.vocabulary_size(),
        precision=generator.model.dtype_policy.name,
    )
    generator.about |= describe_run(recipe, batches)
    metadata = resume_metadata(given, recipe, texts, generator)
    if devices.is_chief:  # last: what cannot be trained or saved has failed, and replaces no run
        clear_run(output)
        clear_remote(recipe)
        write_recipe(recipe, output)  # first: it identifies the folder as a run
        save_tokenizers(output, (tokenizer,))
        send_run(recipe)
    return Job(recipe, batches, generator, metadata)


def load_initial(recipe: LanguageRecipe):
    """Loads the finished run to start from, if the recipe has one."""
    from keras_transformer import TextGenerator

    if recipe.init_from is None:
        return None
    print(
        f"Starting from {recipe.init_from}: its architecture, sizes, precision and tokenizer are "
        "used."
    )
    return TextGenerator.load(recipe.init_from)


def make_tokenizer(recipe: LanguageRecipe, texts: Texts, devices, output: Path, initial):
    """Returns the tokenizer of `initial` or of the recipe, or a trained one; the chief's for all.

    Raises:
        ValueError: The recipe describes another tokenizer than that of the run to start from.
    """
    if initial is not None:
        size = initial.tokenizer.vocabulary_size()
        if recipe.vocabulary_size not in (0, size):
            raise ValueError(
                f"init_from brings the tokenizer of its run, with vocabulary_size={size}. "
                f"Received: vocabulary_size={recipe.vocabulary_size}. Leave it out."
            )
        return initial.tokenizer
    tokenizers, scratch = existing_tokenizers(recipe), output / "tokens"
    if tokenizers is not None:
        return tokenizers[0]
    tokenizer = None
    with devices.chief_first():
        if devices.is_chief:
            tokenizer = train_tokenizer(recipe, lambda: iter(texts.train))
            if devices.workers > 1:
                scratch.mkdir(parents=True, exist_ok=True)
                save_tokenizers(scratch, (tokenizer,))
        return tokenizer or load_tokenizers(scratch)[0]


def make_generator(recipe: LanguageRecipe, tokenizer, initial):
    """Returns a generator with a new model, or with that of the generator `initial`."""
    from keras_transformer import LanguageModel, TextGenerator
    from keras_transformer.models import create_model

    if initial is not None:
        length = max(initial.trained_length, recipe.max_length)
        return TextGenerator(initial.model, tokenizer, length, initial.about)
    model = create_model(
        recipe.architecture,
        recipe.architecture_options,
        base=LanguageModel.from_sizes,
        vocabulary_size=tokenizer.vocabulary_size(),
        max_length=max(1024, 2 * recipe.max_length),
        pad_id=tokenizer.pad_id,
        dtype=recipe.precision,
        **recipe.model_sizes(),
    )
    return TextGenerator(model, tokenizer, recipe.max_length)


def resume_job(recipe: LanguageRecipe, texts: Texts, devices, output: Path, state) -> Job:
    """Prepares the job of an interrupted run, with its recipe and tokenizer.

    Raises:
        ValueError: The text is tokenized differently.
    """
    from keras_transformer import TextGenerator, model_from_description

    recipe, metadata = restore_recipe(recipe, state), state.metadata["run"]
    tokenizer, _ = load_tokenizers(output)
    batches = make_batches(recipe, texts.train, tokenizer, devices)
    if batches.cache.fingerprint != metadata["about"]["data_fingerprint"]:
        raise ValueError(
            f"{recipe.output} holds an interrupted run whose text is now tokenized differently. "
            "Resume it with the package version that started it, or give --overwrite true to "
            "replace it."
        )
    with devices.scope():
        model = model_from_description(metadata["model"])
        generator = TextGenerator(model, tokenizer, metadata["trained_length"], metadata["about"])
    progress = state.metadata["progress"]
    print(f"Resuming from step {progress['step']}, epoch {progress['epoch'] + 1}.", flush=True)
    return Job(recipe, batches, generator, metadata)


def describe_run(recipe: LanguageRecipe, batches) -> dict:
    """Returns the training metadata of `run.json`."""
    return {
        "architecture": recipe.architecture,
        "architecture_options": recipe.architecture_options,
        "tokens": len(batches.cache.labels),
        "data_fingerprint": batches.cache.fingerprint,
        "seed": recipe.seed,
    }


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
