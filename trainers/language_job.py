"""The job of training a language model: recipe, batches and generator, new or resumed."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from trainers.architecture import with_architecture_of
from trainers.fine_tuning import check_initial, resume_adapter, start_adapter
from trainers.language_recipe import LanguageRecipe
from trainers.recipe_file import write_recipe
from trainers.remote_output import clear_remote, send_run
from trainers.resume import restore_recipe, resume_metadata
from trainers.run_folder import clear_run
from trainers.tokenizers import (
    existing_tokenizers,
    load_tokenizers,
    save_tokenizers,
    train_tokenizer,
)


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
        check_initial(recipe, initial)
        recipe = with_architecture_of(recipe, initial.about)
    tokenizer = make_tokenizer(recipe, texts, devices, output, initial)
    batches = make_batches(recipe, texts.train, tokenizer, devices)
    recipe = recipe.completed(len(batches.cache.labels), batches.steps_per_epoch)
    with devices.scope():
        generator = make_generator(recipe, tokenizer, initial)
        base = start_adapter(recipe, generator.model)
    recipe = dataclasses.replace(
        recipe,
        preset=recipe.preset if initial is None else given.preset,  # sizes are those of the run
        vocabulary_size=tokenizer.vocabulary_size(),
        precision=generator.model.dtype_policy.name,
    )
    generator.about |= describe_run(recipe, batches)
    metadata = resume_metadata(given, recipe, texts, generator) | base
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
    tokenizers, scratch = existing_tokenizers(recipe), tokenizer_of_chief(output)
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


def tokenizer_of_chief(output: Path) -> Path:
    """Returns the folder in which other workers find the tokenizer that the chief has trained."""
    return output / "tokens"


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
        model = resume_adapter(recipe, metadata, load_initial)
        model = model or model_from_description(metadata["model"])
        generator = TextGenerator(model, tokenizer, metadata["trained_length"], metadata["about"])
    progress = state.metadata["progress"]
    print(f"Resuming from step {progress['step']}, epoch {progress['epoch'] + 1}.", flush=True)
    return Job(recipe, batches, generator, metadata)


def describe_run(recipe: LanguageRecipe, batches) -> dict:
    """Returns the training metadata of `run.json`."""
    return {
        "architecture": recipe.architecture,
        "architecture_options": recipe.architecture_options,
        "documents": recipe.documents,
        "tokens": len(batches.cache.labels),
        "data_fingerprint": batches.cache.fingerprint,
        "seed": recipe.seed,
    }
