"""Compiles a recipe's programs with the TPU compiler, on a machine without a TPU.

    python -m trainers.tpu_check --config trainers/recipes/wmt14_en_de_base.yaml \
        --precision mixed_bfloat16

What `fit` and `translate` run is lowered with the recipe's sizes and compiled: through TensorFlow
for one chip, through JAX for slices, with the batch spread over their chips. Nothing is run. For
each program the check reports memory and operations per chip, and for the training step the largest
batch that fits. Each backend has a separate process. The check takes half an hour on two
processors; `--compilations 1` skips the search for the largest batch.
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

from keras_transformer.cli import make_parser, refuse_repeated, run, with_underscores
from trainers.image_recipe import ImageRecipe
from trainers.recipe import Recipe
from trainers.recipe_file import check_recipe_file, read_recipe
from trainers.training_batches import MULTIPLE

PROGRAM = "python -m trainers.tpu_check"
BACKENDS = ("tensorflow", "jax")
SLICES = "v5e:2x2,v5e:4x4,v5e:16x16"


@dataclasses.dataclass(frozen=True)
class Check:
    """Compiles a recipe's programs with the TPU compiler, on a machine without a TPU.

    Args:
        config: Recipe, a YAML file.
        trainer: The trainer whose recipe it is, translation or images.
        topology: Slices for the data-parallel step, separated by commas, such as v5e:2x2.
        precision: float32 or mixed_bfloat16; the recipe's by default.
        rows: Packed rows per batch, or images; 0 takes as many as the trainer does.
        length: Tokens on each side of a packed row; 0 takes the recipe's packed_length, or its
            max_length.
        compilations: Maximum number of batch sizes to compile in search of the largest that fits.
            The first is the recipe's.
        backend: tensorflow (one chip), jax (slices), or both.
        results: File for the results of one backend, which is then checked in this process.

    Raises:
        ValueError: A number is out of its range.
    """

    config: Path
    trainer: Literal["translation", "images"] = "translation"
    topology: str = SLICES
    precision: Literal["recipe", "float32", "mixed_bfloat16"] = "recipe"
    rows: int = 0
    length: int = 0
    compilations: int = 5
    backend: Literal["both", "tensorflow", "jax"] = "both"
    results: Path | None = None

    def __post_init__(self):
        for name, least in {"rows": 0, "length": 0, "compilations": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name} must be at least {least}. Received: {getattr(self, name)}"
                )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return run(PROGRAM, lambda: check(read_check(arguments)))


def read_check(arguments: list[str]) -> Check:
    """Parses the options of a command line."""
    refuse_repeated(arguments)
    parser = make_parser(PROGRAM, Check.__doc__.splitlines()[0])
    parser.add_class_arguments(Check, as_group=False)
    options = parser.parse_args(with_underscores(arguments))
    return Check(**{field.name: options[field.name] for field in dataclasses.fields(Check)})


def as_arguments(options: Check) -> list[str]:
    """Returns the arguments of a command line that gives these options."""
    given = dataclasses.asdict(options).items()
    return [f"--{name}={value}" for name, value in given if value is not None]


def check(options: Check) -> None:
    """Checks each backend in a subprocess and prints a table; with `results`, checks one itself."""
    from trainers.tpu_check import Topology, check_installed, table

    recipe = read_recipe_with_sizes(options)
    slices = [Topology(name) for name in options.topology.split(",")]
    check_installed()
    if options.results is not None:
        return compile_backend(options, recipe, slices)
    backends = BACKENDS if options.backend == "both" else (options.backend,)
    with tempfile.TemporaryDirectory() as folder, sigterm_as_exit():
        lines = [
            line
            for backend in backends
            for line in check_in_subprocess(
                dataclasses.replace(
                    options, backend=backend, results=Path(folder) / f"{backend}.jsonl"
                )
            )
        ]
    print("\n" + table(lines, options.length or recipe_length(recipe)))
    return None


def read_recipe_with_sizes(options: Check) -> Recipe | ImageRecipe:
    """Reads the recipe and checks that it defines the sizes of the model.

    Raises:
        ValueError: The recipe leaves the vocabulary size or the preset to the corpus, or has
            another architecture than the transformer.
    """
    arguments = ["--config", str(options.config), "--output", "nowhere"]
    if options.precision != "recipe":
        arguments += ["--precision", options.precision]
    if options.trainer == "images":
        return read_recipe(PROGRAM, arguments, ImageRecipe)
    architecture = check_recipe_file(PROGRAM, options.config).get("architecture", "transformer")
    if architecture != "transformer":
        raise ValueError(
            f"{options.config} has the architecture {architecture}, whose operations this check "
            "cannot count. Expected transformer, or no architecture in the recipe."
        )
    recipe = read_recipe(PROGRAM, arguments)
    for name, unset in {"vocabulary_size": 0, "preset": "auto"}.items():
        if getattr(recipe, name) == unset:
            raise ValueError(
                f"{options.config} leaves {name} to the corpus, which this check does not read. "
                f"Add it to the recipe. Received: {name}={unset}"
            )
    return recipe


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Returns a context manager that turns SIGTERM into `SystemExit`, which ends the subprocess."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_in_subprocess(options: Check) -> list:
    """Runs this program for one backend; passes its output through and returns its results."""
    from trainers.tpu_check import ENVIRONMENT, Line

    environment = {**os.environ, **ENVIRONMENT, "KERAS_BACKEND": options.backend}
    result = subprocess.run(
        [sys.executable, "-m", "trainers.tpu_check", *as_arguments(options)],
        env=environment,
        stderr=subprocess.PIPE,  # libtpu's log; only its last line is shown, after a failure
        text=True,
        check=False,
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"The {options.backend} check ended with code {result.returncode}: {last}")
    return [Line.from_json(line) for line in options.results.read_text("utf-8").splitlines()]


def compile_backend(options: Check, recipe: Recipe | ImageRecipe, slices: list) -> None:
    """Compiles the programs of one backend, which must be the one that Keras runs on."""
    from trainers.tpu_check.programs import Compilations, compile_data_parallel, compile_one_chip

    length = options.length or recipe_length(recipe)
    rows = options.rows or recipe_rows(recipe, length)
    with options.results.open("w", encoding="utf-8") as file:
        compilations = Compilations(rows, length, options.compilations, file)
        if options.backend == "tensorflow":
            compile_one_chip(recipe, compilations)
        else:
            compile_data_parallel(recipe, slices, compilations)


def recipe_length(recipe: Recipe | ImageRecipe) -> int:
    """Returns the tokens on each side of a recipe's packed rows; 0 for images."""
    return 0 if isinstance(recipe, ImageRecipe) else recipe.packed_length or recipe.max_length


def recipe_rows(recipe: Recipe | ImageRecipe, length: int) -> int:
    """Returns the rows of a recipe's batch on one device: packed ones, or images."""
    if isinstance(recipe, ImageRecipe):
        return recipe.images_per_batch
    rows = recipe.tokens_per_batch // length
    return max(1, rows - rows % MULTIPLE)


if __name__ == "__main__":
    raise SystemExit(main())
