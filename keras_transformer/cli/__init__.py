"""Command line of the package: `python -m keras_transformer`."""

from keras_transformer.cli.own_modules import add_import_option, import_modules
from keras_transformer.cli.program import make_parser, run, with_underscores
from keras_transformer.cli.repeated_options import (
    given_options,
    join_repeated,
    name_each_value,
    refuse_repeated,
)

__all__ = [
    "add_import_option",
    "given_options",
    "import_modules",
    "join_repeated",
    "make_parser",
    "name_each_value",
    "refuse_repeated",
    "run",
    "with_underscores",
]
