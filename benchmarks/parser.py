"""The parser that every benchmark's program begins with."""

import argparse


def parser_of(program, documentation):
    """A parser without options, whose help is the program's own documentation."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{program}",
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
