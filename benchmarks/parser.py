"""Argument parser of the benchmark programs."""

import argparse


def make_parser(program, documentation):
    """Returns a parser without options, whose help shows the program's documentation."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{program}",
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
