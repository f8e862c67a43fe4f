"""Command line of the package: `python -m keras_transformer`."""

from keras_transformer.cli.program import make_parser, run, with_underscores

__all__ = ["make_parser", "run", "with_underscores"]
