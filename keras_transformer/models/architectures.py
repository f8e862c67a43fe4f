"""Registry of architectures: functions that make a model, known by their names."""

import inspect
import math

import keras

from keras_transformer.models.transformer import Transformer

SCALARS = (str, int, float, bool)
SIZES = {*inspect.signature(Transformer).parameters, "dtype", "name"}
BASE = "base"  # the argument of functions that make language models too
_ARCHITECTURES = {}


def register_architecture(function):
    """Adds an architecture to the catalogue, under the name of the function: a decorator.

    Recipes and command lines then know it by that name, once the module that registers it is
    imported (`--import MODULE`).

    Args:
        function: Function that returns a model. It takes the sizes of the model as `**sizes`: any
            arguments of `Transformer`. Its other arguments are the options of the architecture.
            Each has a default value, a string, integer, float or boolean, whose type is that of the
            option. A function that makes language models too also has the argument
            `base=Transformer`, the function to call with the sizes: it may be
            `LanguageModel.from_sizes`.

    Returns:
        The function.

    Raises:
        ValueError: If the function has other arguments, or another architecture has its name.

    Example: a model with more decoder blocks than encoder blocks.

    >>> @register_architecture
    ... def deep_decoder(*, factor=2, **sizes):
    ...     sizes["num_decoder_layers"] = factor * sizes["num_layers"]
    ...     return Transformer(**sizes)
    >>> sizes = {"vocabulary_size": 11, "num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16}
    >>> len(create_model("deep_decoder", {"factor": 3}, **sizes).decoder.blocks)
    3
    """
    name = function.__name__
    _check_signature(function)
    other = _ARCHITECTURES.get(name, function)
    if _source(other) != _source(function):
        raise ValueError(
            f"There is an architecture {name} already, in the module {other.__module__}. Give the "
            f"function of {function.__module__} another name."
        )
    _ARCHITECTURES[name] = function
    return function


def create_model(architecture, options=None, base=None, **sizes):
    """Returns a newly initialized model of a named architecture.

    Args:
        architecture: String. Name of an architecture, such as `"transformer"`.
        options: Dict from the names of options of the architecture to their values. Options that
            are left out have their default values.
        base: Function that makes the plain model, which the architecture changes: `Transformer`, or
            `LanguageModel.from_sizes`. `None` means the former.
        **sizes: Sizes of the model: `vocabulary_size` and other arguments of `base`.

    Returns:
        A model.

    Raises:
        ValueError: If there is no architecture of this name, it has no such option, a value is of
            the wrong type, a size is invalid, or the architecture does not know `base`.

    Example:

    >>> sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16}
    >>> model = create_model("transformer", vocabulary_size=11, **sizes)
    >>> type(model).__name__
    'Transformer'
    """
    options = complete_architecture_options(architecture, options)
    function = _ARCHITECTURES[architecture]
    if base is not None:
        if BASE not in inspect.signature(function).parameters:
            raise ValueError(
                f"The architecture {architecture} makes models for translation only: its function "
                f"has no argument `{BASE}`, as those have that make language models too."
            )
        sizes[BASE] = base
    model = function(**sizes, **options)
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"The function of the architecture {architecture} must return a model. Received: "
            f"{type(model).__name__}"
        )
    return model


def complete_architecture_options(architecture, options=None):
    """Returns options of an architecture, completed by the default values of the others.

    Args:
        architecture: String. Name of an architecture.
        options: Dict from names of options to values.

    Raises:
        ValueError: If there is no architecture of this name, it has no such option, or a value is
            of the wrong type.

    Example:

    >>> complete_architecture_options("transformer")
    {}
    """
    if architecture not in _ARCHITECTURES:
        raise ValueError(
            f"architecture must be one of {', '.join(sorted(_ARCHITECTURES))}. Received: "
            f"{architecture}. To use one of your own, import the module that registers it (on the "
            "command line: --import MODULE)."
        )
    defaults = _default_options(_ARCHITECTURES[architecture])
    for name, value in (options or {}).items():
        if name not in defaults:
            known = ", ".join(f"{name}={value!r}" for name, value in defaults.items())
            raise ValueError(
                f"The architecture {architecture} has no option {name}. Its options, with their "
                f"default values: {known or 'none'}. Received: {name}={value!r}"
            )
        _check_type(architecture, name, value, defaults[name])
    typed = {name: type(defaults[name])(value) for name, value in (options or {}).items()}
    return {**defaults, **typed}


def _check_type(architecture, name, value, default):
    """Raises a ValueError if a value is not of the type of the default value, or not finite."""
    expected = (int, float) if isinstance(default, float) else (type(default),)
    if type(value) in expected and (isinstance(value, str) or math.isfinite(value)):
        return
    kinds = {str: "a string", int: "an integer", float: "a finite number", bool: "true or false"}
    raise ValueError(
        f"{name} of the architecture {architecture} must be {kinds[type(default)]}, as its default "
        f"value, {default!r}. Received: {value!r}"
    )


def _check_signature(function):
    """Raises a ValueError if a function cannot serve as an architecture."""
    kinds = {one.kind for one in inspect.signature(function).parameters.values()}
    options = _default_options(function)
    no_scalars = [name for name, default in options.items() if type(default) not in SCALARS]
    unexpected = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL} & kinds
    if no_scalars or unexpected or inspect.Parameter.VAR_KEYWORD not in kinds:
        raise ValueError(
            f"The function {function.__name__} cannot serve as an architecture: it must take the "
            "sizes as `**sizes`, and options by name, each with a string, integer, float or "
            f"boolean as its default value. Received: {function.__name__}"
            f"{inspect.signature(function)}"
        )


def _default_options(function):
    """Returns the default values of the arguments of an architecture that are not sizes."""
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in {*SIZES, BASE}
    }


def _source(function):
    """Returns where a function is defined; a cell of a notebook may define it again."""
    return function.__module__, function.__qualname__
