"""Command line of the package: `python -m keras_transformer`."""

from keras_transformer.cli.program import make_parser, run, with_underscores
from keras_transformer.cli.repeated_options import given_options, join_repeated, refuse_repeated

__all__ = [
    "given_options",
    "join_repeated",
    "make_parser",
    "refuse_repeated",
    "run",
    "with_underscores",
]
