"""Parsing of recipes from command lines and YAML files; recipes in run folders."""

import dataclasses
from pathlib import Path

import yaml

from keras_transformer.cli import make_parser, with_underscores
from keras_transformer.io import local_file
from trainers.recipe import Recipe


def read_recipe(program: str, arguments: list[str]) -> Recipe:
    """Parses a command line, including its `--config` files, into a recipe.

    Options given later override earlier ones.
    """
    from jsonargparse import ActionConfigFile

    parser = make_parser(program, "Trains a translator, from text to a run folder.")
    parser.add_argument("--config", action=ActionConfigFile, help="Recipe, a YAML file.")
    parser.add_class_arguments(Recipe, as_group=False)
    arguments = with_local_recipes(with_underscores(arguments))
    for option, value in zip(arguments, [*arguments, ""][1:], strict=True):
        name, equals, text = option.partition("=")
        if name == "--config":
            check_recipe_file(program, Path(text if equals else value))
    options = parser.parse_args(arguments)
    names = [field.name for field in dataclasses.fields(Recipe)]
    return Recipe(**{name: options[name] for name in names})


def with_local_recipes(arguments: list[str]) -> list[str]:
    """Replaces URLs given as --config by the paths of local copies."""
    local = []
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        option, _, value = argument.partition("=")
        if previous == "--config" and "://" in argument:
            local.append(str(local_file(argument)))
        elif option == "--config" and "://" in value:
            local.append(f"--config={local_file(value)}")
        else:
            local.append(argument)
    return local


def check_recipe_file(program: str, path: Path) -> None:
    """Validates a recipe file.

    Raises:
        ValueError: The file does not exist, is not a YAML mapping, or has unknown options.
    """
    if not path.is_file():
        raise ValueError(
            f"There is no recipe {path}. Expected a YAML file, such as those in trainers/recipes."
        )
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a recipe: {error} Expected plain YAML in UTF-8, one `option: value` "
            "per line."
        ) from error
    if not isinstance(options, dict):
        raise ValueError(
            f"{path} is not a recipe. Expected one `option: value` per line. Received: "
            f"{options!r:.80}"
        )
    names = [field.name for field in dataclasses.fields(Recipe)]
    for unknown in [name for name in options if name not in names]:
        raise ValueError(
            f"{path} has an unknown option: {unknown}. Expected one of those that "
            f"`{program} --help` lists."
        )


def write_recipe(recipe: Recipe, output: Path) -> None:
    """Writes `recipe.yaml` into a run folder.

    `overwrite` is left out, so that a run from this file does not replace another one.
    """
    values = {
        name: value
        for name, value in plain_values(recipe).items()
        if value is not None and name != "overwrite"
    }
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    (output / "recipe.yaml").write_text(text, encoding="utf-8")


def plain_values(recipe: Recipe) -> dict:
    """Returns the options of a recipe as values that YAML and JSON can represent."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(recipe).items()
    }


def recipe_from_values(values: dict) -> Recipe:
    """Returns the recipe with these options; the inverse of `plain_values`."""
    return Recipe(**values)
