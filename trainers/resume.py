"""Support for resuming interrupted runs, and validation of the recipe that resumes them."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from trainers.corpora import Corpora
from trainers.recipe import Recipe
from trainers.recipe_file import plain_values, recipe_from_values

STOPPED = 75  # EX_TEMPFAIL of sysexits.h: a temporary failure, try again
# Options that do not change the resulting model.
FREE_OPTIONS = ("output", "overwrite", "checkpoint_steps", "tensorboard")
# Options that locate the texts, which are compared by their content instead.
TEXT_OPTIONS = ("data_folder", "train_source", "train_target", "train_tsv", "validation_source")
TEXT_OPTIONS += ("validation_target", "validation_tsv", "train_split", "validation_split")
TEXT_OPTIONS += ("tsv_columns", "train_text", "validation_text")


def state_folder(output: Path):
    """Returns the folder of a run's states."""
    from keras_transformer import StateFolder

    return StateFolder(output / "checkpoints")


def resume_metadata(given: Recipe, chosen: Recipe, corpora: Corpora, translator) -> dict:
    """Returns the metadata that a state needs for another process to resume the run.

    Args:
        given: Recipe as the user gave it.
        chosen: The same recipe with every open option chosen.
        corpora: `Corpora` of the recipe.
        translator: `Translator` or `TextGenerator` with the model in training.
    """
    from keras_transformer import describe_model

    return {
        "given": plain_values(given),
        "chosen": plain_values(chosen),
        "texts": fingerprints(corpora),
        "model": describe_model(translator.model),
        **translator.run_settings(),
        "about": translator.about,
    }


def fingerprints(corpora: Corpora) -> dict:
    """Returns the fingerprints of the training and validation text, which change with the text."""
    texts = {"training": corpora.train, "validation": corpora.validation}
    return {name: text and text.fingerprint() for name, text in texts.items()}


def find_interrupted_state(recipe: Recipe, corpora: Corpora, output: Path):
    """Returns the newest intact state of an interrupted run in a folder, or `None`.

    Raises:
        ValueError: The state belongs to another recipe or to other texts, or all states are
            damaged.
    """
    if recipe.overwrite:
        return None
    from keras_transformer import StateError

    try:
        state = state_folder(output).newest(warn=lambda line: print(line, file=sys.stderr))
    except StateError as error:
        raise ValueError(f"{error} (--overwrite true starts afresh.)") from error
    if state is None:
        return None
    differences = _differences(recipe, fingerprints(corpora), state.metadata["run"])
    if differences:
        raise ValueError(
            f"{recipe.output} holds an interrupted run of another recipe "
            f"({'; '.join(differences)}). Give its options to resume it, another --output, or "
            "--overwrite true to replace it."
        )
    return state


def _differences(recipe: Recipe, texts: dict, metadata: dict) -> list[str]:
    """Describes each difference between a recipe and that of an interrupted run.

    An option that was left open may be left open again, or have the value that was chosen for it.
    """
    given, chosen, defaults = (
        metadata["given"],
        metadata["chosen"],
        plain_values(type(recipe)(output=Path())),
    )
    differences = []
    for name, value in plain_values(recipe).items():
        values = (given.get(name, defaults[name]), chosen.get(name, defaults[name]))
        if name == "packed" and values[1] == "auto":  # an older package did not say its choice
            continue
        if name not in (*FREE_OPTIONS, *TEXT_OPTIONS) and value not in values:
            differences.append(f"{name} was {values[1]}, now {value}")
    changed = "images have" if getattr(recipe, "MATERIAL", "") == "images" else "text has"
    return differences + [
        f"the {name} {changed} changed"
        for name, fingerprint in texts.items()
        if fingerprint != metadata["texts"][name]
    ]


def restore_recipe(recipe: Recipe, state) -> Recipe:
    """Returns the completed recipe of an interrupted run, with the free options of `recipe`."""
    chosen = recipe_from_values(state.metadata["run"]["chosen"], type(recipe))
    names = {field.name for field in dataclasses.fields(recipe)}
    free = {name: getattr(recipe, name) for name in names.intersection(FREE_OPTIONS + TEXT_OPTIONS)}
    return dataclasses.replace(chosen, **free)


def rebuild_translator(state, tokenizers: tuple, model=None):
    """Returns the translator of an interrupted run, whose weights are yet to be restored.

    Args:
        state: `SavedState`.
        tokenizers: Tokenizers of source and target.
        model: The model, if it has more than its description says, such as an adapter.
    """
    from keras_transformer import Transformer, Translator, model_from_description

    metadata = state.metadata["run"]
    if model is None and "class_name" in metadata["model"]:
        model = model_from_description(metadata["model"])
    elif model is None:  # a state of an older package
        model = Transformer.from_config(metadata["model"])
        model.build()
    source, target = tokenizers
    return Translator(
        model,
        source,
        None if target is source else target,
        max_source_length=metadata["max_source_length"],
        about=metadata["about"],
    )


def train_until_stopped(train: Callable, recipe: Recipe, program: str) -> int:
    """Trains and returns the exit code: 0, or 75 for a run that can be resumed.

    Args:
        train: Function of a recipe that trains and saves.
        recipe: `Recipe`, or that of another program.
        program: How the program is called.
    """
    from keras_transformer import Stopped
    from keras_transformer.distribution import WorkerLostError

    try:
        train(recipe)
    except (Stopped, WorkerLostError) as stopped:
        print(f"{program}: {stopped} {resume_hint(recipe)}", file=sys.stderr)
        return STOPPED
    return 0


def resume_hint(recipe: Recipe) -> str:
    """Returns a sentence that says how to resume the run after an interruption."""
    command = "The same command without --overwrite" if recipe.overwrite else "The same command"
    return f"{command} resumes the run."


@contextlib.contextmanager
def explain_write_errors(recipe: Recipe, output: Path) -> Iterator[None]:
    """Returns a context manager that adds the latest intact state and a remedy to write errors."""
    try:
        yield
    except OSError as error:
        latest = state_folder(output).paths()[-1:]
        hint = "No state was saved yet: the same command starts again."
        if latest:
            hint = f"{latest[0]} is intact. {resume_hint(recipe)}"
        raise ValueError(f"{error} Free disk space, or fix the cause. {hint}") from error
