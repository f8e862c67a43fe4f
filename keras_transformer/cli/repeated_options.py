"""Options that a command line gives more than once."""

import argparse
import json
import re
from collections.abc import Container, Sequence

OPTION = re.compile(r"--([\w-]+)(?:=(.*))?", re.DOTALL)


def given_options(
    arguments: Sequence[str], flags: Container[str] = ()
) -> list[tuple[str, str | None]]:
    """Returns the options of a command line in order, each with its name and its value.

    Names have underscores. The value is `None` if the option is one of the `flags`, or lacks its
    value.

    Example:

    >>> given_options(["--train-source", "a-b", "--scores", "text", "--seed=-3"], ["scores"])
    [('train_source', 'a-b'), ('scores', None), ('seed', '-3')]
    """
    return [(name, value) for name, value, _ in _options(arguments, flags)]


def refuse_repeated(
    arguments: Sequence[str], may_repeat: Container[str] = (), flags: Container[str] = ()
) -> None:
    """Raises an error if an option is given twice, of which parsers keep the last in silence.

    Args:
        arguments: Command line, with dashes or underscores in the names of options.
        may_repeat: Names, with underscores, of options that may be given again.
        flags: Names of options without a value.

    Raises:
        argparse.ArgumentError: An option is given twice; the message has all its values.
    """
    values: dict[str, list] = {}
    for name, value in given_options(arguments, flags):
        values.setdefault(name, []).append(value)
    for name, received in values.items():
        if len(received) > 1 and name not in may_repeat:
            times = "twice" if len(received) == 2 else f"{len(received)} times"
            texts = [value for value in received if value is not None]
            raise argparse.ArgumentError(
                None,
                f"--{name.replace('_', '-')} is given {times}"
                f"{': ' if texts else ''}{' and '.join(texts)}. Leave one out.",
            )


def name_each_value(arguments: Sequence[str], name: str) -> list[str]:
    """Repeats the name of an option, with underscores, before each of its values but the first.

    Example:

    >>> name_each_value(["--sizes", "a=1", "b=2", "--seed", "3"], "sizes")
    ['--sizes', 'a=1', '--sizes', 'b=2', '--seed', '3']
    """
    named, current = [], ""
    for argument in arguments:
        if argument.startswith("--"):
            current = argument.partition("=")[0]
        elif current == f"--{name}" and named[-1] != current:
            named.append(current)
        named.append(argument)
    return named


def join_repeated(arguments: Sequence[str], names: Container[str]) -> list[str]:
    """Replaces the occurrences of each list option by one, whose value is a JSON list.

    Options without a value stay as they are, so that the parser reports them.

    Example:

    >>> join_repeated(["--files", "a", "--seed", "1", "--files=b"], ["files"])
    ['--seed', '1', '--files=["a", "b"]']
    """
    arguments, lists = list(arguments), {}
    for name, value, places in reversed(_options(arguments)):
        if name in names and value is not None:
            lists.setdefault(name, []).insert(0, value)
            del arguments[places]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    joined = [f"--{name}={json.dumps(values)}" for name, values in reversed(lists.items())]
    return [*arguments[:end], *joined, *arguments[end:]]


def _options(
    arguments: Sequence[str], flags: Container[str] = ()
) -> list[tuple[str, str | None, slice]]:
    """Returns name, value and place of every option before `--`."""
    found, number = [], 0
    while number < len(arguments) and arguments[number] != "--":
        start = number
        number += 1
        option = OPTION.fullmatch(arguments[start])
        if option is None:
            continue
        name, value = option[1].replace("-", "_"), option[2]
        takes_next = value is None and name not in flags and number < len(arguments)
        if takes_next and not arguments[number].startswith("--"):
            value = arguments[number]
            number += 1
        found.append((name, value, slice(start, number)))
    return found
