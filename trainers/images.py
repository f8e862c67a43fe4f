"""Trains an Image Transformer, from images to a run folder.

    python -m trainers.images --config RECIPE --output RUN

Every option of `trainers/image_recipe.py` can be given in the recipe or on the command line, which
overrides the recipe. The same command resumes an interrupted run exactly.
"""

import dataclasses
import math
import sys
from pathlib import Path
from typing import NamedTuple

from keras_transformer import cli
from keras_transformer.io import local_path
from trainers.image_data import ImageData, open_images, shrink
from trainers.image_recipe import ImageRecipe
from trainers.model import make_optimizer
from trainers.recipe_file import plain_values, read_recipe, write_recipe
from trainers.remote_output import SentStates, clear_remote, send_run
from trainers.resume import (
    explain_write_errors,
    find_interrupted_state,
    restore_recipe,
    state_folder,
    train_until_stopped,
)
from trainers.run_folder import (
    clear_run,
    read_only_run_folder,
    remove_partial_writes,
    run_folder,
)

PROGRAM = "python -m trainers.images"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return cli.run(PROGRAM, lambda: run(read_recipe(PROGRAM, arguments, ImageRecipe)))


def run(recipe: ImageRecipe) -> int:
    """Trains and returns the exit code: 0, or 75 for a run that can be resumed."""
    return train_until_stopped(train, recipe, PROGRAM)


class Sequences(NamedTuple):
    """The images of a recipe as ids: `ImageSequences` to train and to validate on."""

    train: object
    validation: object


def train(recipe: ImageRecipe) -> None:
    """Runs a recipe: prepares the images, fits the model, saves the run."""
    import keras

    from keras_transformer.distribution import choose_devices

    data = open_images(recipe)
    devices = choose_devices(recipe.strategy, recipe.devices)
    if devices.workers > 1:
        local_path(recipe.output, "The --output of several workers")
    print(f"Training on {devices.description}.", flush=True)
    keras.utils.set_random_seed(recipe.seed)
    with run_folder(recipe) if devices.is_chief else read_only_run_folder(recipe) as output:
        with devices.scope():
            generator = make_generator(recipe, data)
        sequences = make_sequences(recipe, data, generator.model, devices)
        state = find_interrupted_state(recipe, sequences, output)
        if devices.is_chief:
            remove_partial_writes(output)
        if state is None:
            recipe, metadata = start(recipe, sequences, generator, devices, output)
        else:
            recipe, metadata = restore_recipe(recipe, state), state.metadata["run"]
            progress = state.metadata["progress"]
            print(f"Resuming from step {progress['step']}, epoch {progress['epoch'] + 1}.")
        with explain_write_errors(recipe, output), devices.detect_lost_workers():
            kept = fit(recipe, generator, sequences, metadata, devices, output, state)
            if devices.is_chief:
                weights, bits = select_weights(recipe, generator, data, kept)
                generator.about |= {"weights": weights, "bits_per_dimension": bits}
                generator.save(output)
                state_folder(output).clear()
                send_run(recipe)
                print(
                    f"{bits:.4f} bits a dimension on {len(data.held_out.images):,} images: "
                    f"{weights}."
                )
        print(f"Saved to {recipe.output}.")


def make_generator(recipe: ImageRecipe, data: ImageData):
    """Returns an `ImageGenerator` with a new model."""
    from keras_transformer import create_enlarging_model, create_image_model
    from keras_transformer.images import ImageGenerator

    options = {
        "num_layers": recipe.num_layers,
        "d_model": recipe.d_model,
        "num_heads": recipe.num_heads,
        "d_ff": recipe.d_ff,
        "attention": recipe.attention,
        "block_length": recipe.block_length,
        "query_shape": (recipe.query_rows, recipe.query_columns),
        "memory_flange": (recipe.flange_rows, recipe.flange_columns),
        "output": recipe.distribution,
        "num_mixtures": recipe.num_mixtures,
        "dropout_rate": recipe.dropout_rate,
        "norm": recipe.norm,
        "dtype": recipe.precision,
    }
    if recipe.enlarge:
        small = shrink(data.train.images[:1], recipe.enlarge)
        model = create_enlarging_model(small.shape[1:], data.shape, **options)
    else:
        model = create_image_model(data.shape, num_classes=data.num_classes, **options)
    return ImageGenerator(model, {"data": recipe.data, "seed": recipe.seed})


def make_sequences(recipe: ImageRecipe, data: ImageData, model, devices) -> Sequences:
    """Returns the images as ids, in batches of which equal parts fit the devices."""
    from keras_transformer.data import ImageSequences

    parts = devices.replicas * recipe.accumulate_steps
    size = -(-recipe.images_per_batch // parts) * parts
    sequences = []
    for images, classes in (data.train, data.held_out):
        known = classes if data.num_classes else None
        ids, labels = model.target_embedding.to_ids(images, known)
        sources = None
        if recipe.enlarge:
            sources = model.source_embedding.read(shrink(images, recipe.enlarge))
        sequences.append(ImageSequences(ids, labels, size, recipe.seed, sources))
    return Sequences(*sequences)


def start(recipe: ImageRecipe, sequences: Sequences, generator, devices, output: Path):
    """Prepares the folder of a new run; returns the completed recipe and the states' metadata."""
    from keras_transformer import describe_model

    given = recipe
    steps = recipe.steps_per_epoch or sequences.train.steps_per_epoch
    recipe = dataclasses.replace(recipe, steps_per_epoch=steps)
    metadata = {
        "given": plain_values(given),
        "chosen": plain_values(recipe),
        "texts": {
            "training": sequences.train.fingerprint(),
            "validation": sequences.validation.fingerprint(),
        },
        "model": describe_model(generator.model),
        "about": generator.about,
    }
    if devices.is_chief:  # last: what cannot be trained or saved has failed, and replaces no run
        clear_run(output)
        clear_remote(recipe)
        write_recipe(recipe, output)  # first: it identifies the folder as a run
        send_run(recipe)
    return recipe, metadata


def fit(recipe, generator, sequences: Sequences, metadata, devices, output: Path, state) -> list:
    """Trains the model; returns the files of the weights after the last epochs.

    Raises:
        ValueError: Training has diverged.
    """
    import keras

    from keras_transformer import (
        KeepCheckpoints,
        NoStopSignal,
        SaveState,
        resumable_fit,
    )

    model, train = generator.model, sequences.train
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
    print(
        f"{len(train.ids):,} images of {' x '.join(map(str, generator.image_shape))}; "
        f"{model.count_params():,} parameters; batches of {train.batch_size} images, "
        f"{train.batch_size * train.ids.shape[1]:,} tokens",
        flush=True,
    )
    callbacks = [keras.callbacks.TerminateOnNaN()]
    if recipe.tensorboard and devices.is_chief:
        callbacks.append(keras.callbacks.TensorBoard(output / "logs"))
    history = resumable_fit(
        model,
        lambda step: train.dataset(start_step=step),
        saver,
        steps_per_epoch=recipe.steps_per_epoch,
        epochs=recipe.epochs,
        state=state,
        validation_data=sequences.validation.each_once(),
        callbacks=[kept, *callbacks],
        verbose=(1 if sys.stdout.isatty() else 2) if devices.is_chief else 0,
    )
    loss = history.history["loss"][-1]
    if not math.isfinite(loss):
        raise ValueError(
            f"The loss became {loss} in epoch {len(history.epoch)}: training has diverged. Lower "
            "--learning-rate-scale, or raise --warmup-steps."
        )
    devices.from_chief(0.0)  # other workers wait until the chief has written the last files
    return kept.paths()


def select_weights(recipe: ImageRecipe, generator, data: ImageData, kept: list) -> tuple:
    """Loads the weights of the last epoch or the average of the last ones, whichever is better.

    An average is better as a rule, but not while the model still learns fast.

    Returns:
        What they are, and the bits a dimension of the images that the model has not seen.
    """
    from keras_transformer import average_checkpoints

    candidates = {"weights of the last epoch": kept[-1:]}
    if len(kept) > 1:
        candidates[f"average of the last {len(kept)} epochs"] = kept
    bits = {}
    for name, paths in candidates.items():
        average_checkpoints(generator.model, paths)
        bits[name] = measure(recipe, generator, data)
    best = min(bits, key=bits.get)
    average_checkpoints(generator.model, candidates[best])
    return best, bits[best]


def compile_model(recipe: ImageRecipe, model, jit_compile: bool) -> None:
    """Compiles a built model with the optimizer and loss of a recipe."""
    from keras_transformer import DiscretizedLogisticMixture, TokenCrossEntropy

    loss = TokenCrossEntropy(0.0)
    if recipe.distribution == "mixture":
        loss = DiscretizedLogisticMixture.of(model.target_embedding)
    model.compile(
        optimizer=make_optimizer(recipe, model.d_model),
        loss=loss,
        jit_compile=jit_compile,
        steps_per_execution=recipe.steps_per_execution,
        accumulate_steps=recipe.accumulate_steps,
    )
    model.optimizer.build(model.trainable_variables)  # in the caller's strategy scope


def measure(recipe: ImageRecipe, generator, data: ImageData) -> float:
    """Returns the bits a dimension of the images that the model has not seen."""
    images, classes = data.held_out
    small = shrink(images, recipe.enlarge) if recipe.enlarge else None
    return float(generator.bits(images, classes if data.num_classes else None, small).mean())


if __name__ == "__main__":
    raise SystemExit(main())
