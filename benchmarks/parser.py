"""Argument parser of the benchmark programs."""

import argparse
import sys

from keras_transformer.cli import refuse_repeated


class Parser(argparse.ArgumentParser):
    """A parser that refuses an option given twice."""

    def parse_args(self, args=None, namespace=None):
        try:
            refuse_repeated(sys.argv[1:] if args is None else args)
        except argparse.ArgumentError as error:
            self.error(str(error))
        return super().parse_args(args, namespace)


def make_parser(program, documentation):
    """Returns a parser without options, whose help shows the program's documentation."""
    return Parser(
        prog=f"python -m benchmarks.{program}",
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
