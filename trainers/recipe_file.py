"""Parsing of recipes from command lines and YAML files; recipes in run folders."""

import argparse
import dataclasses
from pathlib import Path

import yaml

from keras_transformer.cli import (
    add_import_option,
    given_options,
    import_modules,
    join_repeated,
    make_parser,
    name_each_value,
    refuse_repeated,
    with_underscores,
)
from keras_transformer.io import local_file
from trainers.recipe import LISTS, Recipe

REPEATED = (*LISTS, "architecture_options", "import")  # options that may be given again


def read_recipe(program: str, arguments: list[str], recipe_class: type = Recipe):
    """Parses a command line, including its `--config` files, into a recipe.

    The modules that it names as `--import` are imported, so that their architectures are known.
    Options on the command line override those of the recipe files, and a recipe file overrides
    those before it.

    Args:
        program: How the program is called.
        arguments: Its command line.
        recipe_class: `Recipe`, or the dataclass of the options of another program.

    Raises:
        ValueError: A recipe file is not valid, or overrides an option of the command line, or a
            module cannot be imported.
        argparse.ArgumentError: An option is unknown, invalid, or given twice without being a list.
    """
    from jsonargparse import ActionConfigFile

    arguments = name_each_value(with_underscores(arguments), "architecture_options")
    refuse_repeated(arguments, may_repeat=("config", *REPEATED))
    _refuse_dots(arguments)
    material = getattr(recipe_class, "MATERIAL", "text")
    parser = make_parser(
        program, f"Trains a {recipe_class.PRODUCT}, from {material} to a run folder."
    )
    parser.add_argument("--config", action=ActionConfigFile, help="Recipe, a YAML file.")
    parser.add_class_arguments(recipe_class, as_group=False)
    add_import_option(parser)
    arguments = with_local_recipes(arguments)
    given = given_options(arguments)
    _check_recipe_files(program, given, recipe_class)
    _check_order_of_weights([name for name, _ in given])
    options = parser.parse_args(join_repeated(arguments, REPEATED))
    import_modules(options["import"])
    names = [field.name for field in dataclasses.fields(recipe_class)]
    return recipe_class(**{name: options[name] for name in names})


def _refuse_dots(arguments: list[str]) -> None:
    """Refuses `--architecture_options.name`, which jsonargparse would take, even given twice."""
    for argument in arguments:
        if argument.startswith("--architecture_options."):
            raise argparse.ArgumentError(
                None,
                f"Options of an architecture are given as --architecture-options name=value. "
                f"Received: {argument}",
            )


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


def _check_recipe_files(program: str, given: list[tuple[str, str]], recipe_class: type) -> None:
    """Validates the recipe files of a command line, given by its options and their values."""
    before = {}
    for name, value in given:
        if name == "config" and value is not None:
            for option in check_recipe_file(program, Path(value), recipe_class):
                if option in before:
                    raise ValueError(
                        f"--{option.replace('_', '-')} {before[option]} stands before --config "
                        f"{value}, which sets {option}, too. Give --config first, or leave one "
                        "of the two out."
                    )
        else:
            before[name] = value


def _check_order_of_weights(names: list[str]) -> None:
    """Refuses TSV files before pairs of files, to which a user would give the wrong weights."""
    if {"train_weight", "train_tsv", "train_source"} <= set(names):
        last_source = len(names) - names[::-1].index("train_source")
        if names.index("train_tsv") < last_source:
            raise ValueError(
                "The first values of --train-weight are those of the pairs of files. Give every "
                "--train-source and --train-target before --train-tsv."
            )


def check_recipe_file(program: str, path: Path, recipe_class: type = Recipe) -> dict:
    """Validates a recipe file and returns its options.

    Raises:
        ValueError: The file does not exist, is not a YAML mapping, or has unknown options or one
            option twice.
    """
    if not path.is_file():
        raise ValueError(
            f"There is no recipe {path}. Expected a YAML file, such as those in trainers/recipes."
        )
    try:
        options = yaml.load(path.read_text(encoding="utf-8"), UniqueKeyLoader)
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
    names = [field.name for field in dataclasses.fields(recipe_class)]
    if "import" in options:
        raise ValueError(
            f"{path} has the option import, which only a command line may have, since it runs "
            f"code. Give --import {options['import']} yourself if you trust the module."
        )
    for unknown in [name for name in options if name not in names]:
        raise ValueError(
            f"{path} has an unknown option: {unknown}. Expected one of those that "
            f"`{program} --help` lists."
        )
    return options


class UniqueKeyLoader(yaml.SafeLoader):
    """The safe loader of YAML, which refuses a key that occurs twice instead of taking the last."""

    def construct_mapping(self, node, deep=False):
        values = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in values:
                first, second = (_scalar_text(one) for one in (values[key.value], value))
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} is given twice, {first} and {second}", key.start_mark
                )
            values[key.value] = value
        return super().construct_mapping(node, deep)


def _scalar_text(node: yaml.Node) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else f"a {node.id}"


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
    return {name: _plain(value) for name, value in dataclasses.asdict(recipe).items()}


def _plain(value):
    """Returns a path as a string, and a tuple as a list, or as its only value, if that is none."""
    if isinstance(value, tuple):
        is_one = len(value) == 1 and not isinstance(value[0], dict)
        return value[0] if is_one else list(value)
    return str(value) if isinstance(value, Path) else value


def recipe_from_values(values: dict, recipe_class: type = Recipe):
    """Returns the recipe with these options; the inverse of `plain_values`."""
    return recipe_class(**values)
