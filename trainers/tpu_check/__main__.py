"""Compiles a recipe's programs for TPUs, with the TPU's own compiler, where there is no TPU.

    python -m trainers.tpu_check --config trainers/recipes/wmt14_en_de_base.yaml \
        --precision mixed_bfloat16

What `fit` and `translate` run is lowered with the recipe's sizes and compiled: through TensorFlow
for one chip, through JAX for slices with the batch spread over their chips. Nothing is run. Told
are memory and operations of a chip and the largest batch that fits. Each backend has a process of
its own. Half an hour on two processors; `--compilations 1` looks for no largest batch.
"""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from keras_transformer.cli import make_parser, run, with_underscores
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe

PROGRAM = "python -m trainers.tpu_check"
BACKENDS = ("tensorflow", "jax")
SLICES = "v5e:2x2,v5e:4x4,v5e:16x16"


@dataclasses.dataclass(frozen=True)
class Check:
    """Compiles a recipe's programs for TPUs, with the TPU's own compiler, where there is no TPU.

    Args:
        config: A recipe, a YAML file.
        topology: Slices for the data-parallel step, separated by commas, such as v5e:2x2.
        precision: float32 or mixed_bfloat16; left out, the recipe's.
        rows: Packed rows of a batch; 0 takes the recipe's tokens_per_batch.
        length: Tokens of each side of a packed row.
        compilations: How many sizes are compiled to find the largest batch that fits; the first is
            the recipe's.
        backend: Which half is checked, tensorflow (one chip) or jax (slices); or both.
        results: File that one backend's results are written to; with it, no process is started.

    Raises:
        ValueError: A number is out of its range.
    """

    config: Path
    topology: str = SLICES
    precision: Literal["recipe", "float32", "mixed_bfloat16"] = "recipe"
    rows: int = 0
    length: int = 128
    compilations: int = 5
    backend: Literal["both", "tensorflow", "jax"] = "both"
    results: Path | None = None

    def __post_init__(self):
        for name, least in {"rows": 0, "length": 1, "compilations": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name} must be at least {least}. Received: {getattr(self, name)}"
                )


def main(arguments: list[str] | None = None) -> int:
    """The command line: returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return run(PROGRAM, lambda: check(read_check(arguments), arguments))


def read_check(arguments: list[str]) -> Check:
    """The options of a command line."""
    parser = make_parser(PROGRAM, Check.__doc__.splitlines()[0])
    parser.add_class_arguments(Check, as_group=False)
    options = parser.parse_args(with_underscores(arguments))
    return Check(**{field.name: options[field.name] for field in dataclasses.fields(Check)})


def check(options: Check, arguments: list[str]) -> None:
    """Starts a process for each backend and tells what they found; or is one of them."""
    from trainers.tpu_check import Topology, check_installed, table

    recipe = checked_recipe(options)
    slices = [Topology(name) for name in options.topology.split(",")]
    check_installed()
    if options.results is not None:
        return work(options, recipe, slices)
    backends = BACKENDS if options.backend == "both" else (options.backend,)
    with tempfile.TemporaryDirectory() as folder, ended_children():
        lines = [
            line
            for backend in backends
            for line in in_own_process(backend, arguments, Path(folder) / f"{backend}.jsonl")
        ]
    print("\n" + table(lines, options.length))
    return None


def checked_recipe(options: Check) -> Recipe:
    """The recipe, if it tells the sizes without a corpus."""
    arguments = ["--config", str(options.config), "--output", "nowhere"]
    if options.precision != "recipe":
        arguments += ["--precision", options.precision]
    recipe = read_recipe(PROGRAM, arguments)
    for name, open_value in {"vocabulary_size": 0, "preset": "auto"}.items():
        if getattr(recipe, name) == open_value:
            raise ValueError(
                f"{options.config} leaves {name} to the corpus, which this check does not read. "
                f"Write it into the recipe. Received: {name}={open_value}"
            )
    return recipe


@contextlib.contextmanager
def ended_children() -> Iterator[None]:
    """If this process is told to end, so is the one that it waits for."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def in_own_process(backend: str, arguments: list[str], results: Path) -> list:
    """Lets this program check one backend; shows what it prints, returns what it finds."""
    from trainers.tpu_check import ENVIRONMENT, Line

    options = ["--backend", backend, "--results", str(results)]
    environment = {**os.environ, **ENVIRONMENT, "KERAS_BACKEND": backend}
    result = subprocess.run(
        [sys.executable, "-m", "trainers.tpu_check", *arguments, *options],
        env=environment,
        stderr=subprocess.PIPE,  # libtpu's notes, shown only if there is nothing else to show
        text=True,
        check=False,
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["it did not say why"])[-1]
        raise ValueError(f"The {backend} half ended with code {result.returncode}: {last}")
    return [Line.from_json(line) for line in results.read_text("utf-8").splitlines()]


def work(options: Check, recipe: Recipe, slices: list) -> None:
    """Compiles the programs of the backend that Keras runs on."""
    from trainers.tpu_check.programs import Compilations, compile_data_parallel, compile_one_chip

    rows = options.rows or max(1, recipe.tokens_per_batch // options.length)
    with options.results.open("w", encoding="utf-8") as file:
        compilations = Compilations(rows, options.length, options.compilations, file)
        if options.backend == "tensorflow":
            compile_one_chip(recipe, compilations)
        else:
            compile_data_parallel(recipe, slices, compilations)


if __name__ == "__main__":
    raise SystemExit(main())
