"""The architecture that a recipe names, and its options as recipes and command lines write them."""

import dataclasses

TEXTS = {"true": True, "false": False}  # of a boolean option


def parse_architecture_options(architecture: str, options) -> dict:
    """Returns the options of an architecture with their types, completed by default values.

    Args:
        architecture: Name of an architecture.
        options: A mapping from names to values, as in a recipe, or `name=value` texts, as on a
            command line. Texts are converted to the type of the option.

    Raises:
        ValueError: There is no such architecture, option or value, or an option is given twice.
    """
    from keras_transformer.models import complete_architecture_options

    defaults = complete_architecture_options(architecture)
    options = options if isinstance(options, dict) else _mapping_of_texts(options or ())
    typed = {name: _convert(value, type(defaults.get(name))) for name, value in options.items()}
    return complete_architecture_options(architecture, typed)


def _mapping_of_texts(texts) -> dict[str, str]:
    """Returns `name=value` texts as a mapping."""
    options = {}
    for text in [texts] if isinstance(texts, str) else texts:
        name, equals, value = str(text).partition("=")
        if not text:  # no options, which replaces those of a recipe
            continue
        if not (name and equals):
            raise ValueError(
                "architecture_options must be of the form name=value, or a mapping in a recipe. "
                f"Received: {text}"
            )
        if name in options:
            raise ValueError(
                f"architecture_options has {name} twice: {options[name]} and {value}. Leave one "
                "out."
            )
        options[name] = value
    return options


def _convert(value, kind: type):
    """Returns a text as a value of a type; texts that are none, and other values, unchanged."""
    if not isinstance(value, str):
        return value
    if kind is bool:
        return TEXTS.get(value.lower(), value)
    try:
        return kind(value) if kind in (int, float) else value
    except ValueError:
        return value


def describe_architecture(architecture: str, architecture_options: dict) -> str:
    """Returns an architecture and its options on one line, such as `convolutional (width=3)`."""
    options = ", ".join(f"{name}={value}" for name, value in architecture_options.items())
    return f"{architecture} ({options})" if options else architecture


def with_architecture_of(recipe, about: dict):
    """Returns a recipe with the architecture of the run to start from.

    Args:
        recipe: `Recipe` or `LanguageRecipe`.
        about: Metadata of that run, `about` of its `Translator` or `TextGenerator`.

    Raises:
        ValueError: The recipe has another architecture, or other options of it.
    """
    names = ("architecture", "architecture_options")
    given = {name: getattr(recipe, name) for name in names}
    default = {"architecture": "transformer", "architecture_options": {}}
    initial = {name: about.get(name, default[name]) for name in names}
    if given not in (default, initial):
        expected, received = (describe_architecture(**one) for one in (initial, given))
        raise ValueError(
            f"init_from brings the architecture of its run, {expected}. Received: {received}. "
            "Give these, or, in a recipe of one task, leave both out."
        )
    return dataclasses.replace(recipe, **initial)
