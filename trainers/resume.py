"""Runs that were interrupted: what they need to go on, and who may go on with them."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from trainers.corpora import Corpora
from trainers.recipe import Recipe
from trainers.recipe_file import plain_values, recipe_of

# Options that do not change what comes out.
FREE = ("output", "overwrite", "checkpoint_steps", "tensorboard")
# Options that say where the texts are: what counts is what the texts hold.
TEXTS = ("data_folder", "train_source", "train_target", "train_tsv", "validation_source")
TEXTS += ("validation_target", "validation_tsv", "train_split", "validation_split")


def states_of(output: Path):
    """Where a run keeps its states."""
    from keras_transformer import StateFolder

    return StateFolder(output / "checkpoints")


def metadata_of(given: Recipe, chosen: Recipe, corpora: Corpora, translator) -> dict:
    """What a state has to tell besides the training, for another process to go on.

    Args:
        given: The recipe as the user gave it.
        chosen: The same with all that was left open.
        corpora: Its corpora.
        translator: What is trained.
    """
    return {
        "given": plain_values(given),
        "chosen": plain_values(chosen),
        "texts": fingerprints(corpora),
        "model": translator.model.get_config(),
        "max_source_length": translator.max_source_length,
        "about": translator.about,
    }


def fingerprints(corpora: Corpora) -> dict:
    """What changes when the texts do."""
    texts = {"training": corpora.train, "validation": corpora.validation}
    return {name: text and text.fingerprint() for name, text in texts.items()}


def find_unfinished(recipe: Recipe, corpora: Corpora, output: Path):
    """The newest whole state of an interrupted run in a folder, or `None`.

    Raises:
        ValueError: It is of another recipe, or of other texts; or no state is whole.
    """
    if recipe.overwrite:
        return None
    from keras_transformer import StateError

    try:
        state = states_of(output).newest(warn=lambda line: print(line, file=sys.stderr))
    except StateError as error:
        raise ValueError(f"{error} (--overwrite true starts afresh.)") from error
    if state is None:
        return None
    differences = _differences(recipe, fingerprints(corpora), state.metadata["run"])
    if differences:
        raise ValueError(
            f"{output} holds an interrupted run of another recipe ({'; '.join(differences)}). Give "
            "its options to go on with it, another --output, or --overwrite true to replace it."
        )
    return state


def _differences(recipe: Recipe, texts: dict, metadata: dict) -> list[str]:
    """What a recipe says otherwise than the one of an interrupted run.

    An option that was left open may be left open again or be what was chosen for it.
    """
    given, chosen, defaults = (
        metadata["given"],
        metadata["chosen"],
        plain_values(Recipe(output=Path())),
    )
    differences = []
    for name, value in plain_values(recipe).items():
        values = (given.get(name, defaults[name]), chosen.get(name, defaults[name]))
        if name not in (*FREE, *TEXTS) and value not in values:
            differences.append(f"{name} was {values[1]}, now {value}")
    return differences + [
        f"the {name} text was another"
        for name, fingerprint in texts.items()
        if fingerprint != metadata["texts"][name]
    ]


def recipe_to_go_on(recipe: Recipe, state) -> Recipe:
    """The interrupted run's recipe, with everything chosen; with this one's free options."""
    chosen = recipe_of(state.metadata["run"]["chosen"])
    return dataclasses.replace(chosen, **{name: getattr(recipe, name) for name in (*FREE, *TEXTS)})


def rebuild_translator(state, tokenizers: tuple):
    """The translator that was being trained; its weights are still to be restored."""
    from keras_transformer import Transformer, Translator

    metadata = state.metadata["run"]
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


def how_to_go_on(recipe: Recipe) -> str:
    """What to type after an interruption."""
    command = "The same command without --overwrite" if recipe.overwrite else "The same command"
    return f"{command} goes on from there."


@contextlib.contextmanager
def explained(recipe: Recipe, output: Path) -> Iterator[None]:
    """Adds to errors of writing which state is whole and what to do."""
    try:
        yield
    except OSError as error:
        whole = states_of(output).paths()[-1:]
        rest = "No state was saved yet: the same command starts again."
        if whole:
            rest = f"{whole[0]} is whole. {how_to_go_on(recipe)}"
        raise ValueError(f"{error} Make room, or mend what is wrong. {rest}") from error
