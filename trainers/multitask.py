"""Trains one model of several tasks, from texts and images to a run folder.

    python -m trainers.multitask --config RECIPE --output RUN

The recipe has a list of tasks (`trainers/tasks.py`): texts, each with a command that its sources
start with, and images with classes. Its other options are those of `trainers/recipe.py`. The run is
that of a translator, which translates what starts with a command: `>>fr<< I am a student.` The same
command line resumes an interrupted run exactly.
"""

import sys

from keras_transformer import cli
from trainers.multitask_recipe import MultitaskRecipe
from trainers.recipe_file import read_recipe
from trainers.translation import run

PROGRAM = "python -m trainers.multitask"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return cli.run(PROGRAM, lambda: train(read_recipe(PROGRAM, arguments, MultitaskRecipe)))


def train(recipe: MultitaskRecipe) -> int:
    """Trains and returns the exit code: 0, or 75 for a run that can be resumed."""
    if not recipe.tasks:
        raise ValueError(
            "There is nothing to train on: give a --config with tasks, such as "
            "trainers/recipes/phrasebook_multitask.yaml."
        )
    return run(recipe, PROGRAM)


if __name__ == "__main__":
    raise SystemExit(main())
