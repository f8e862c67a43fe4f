"""Programs of a recipe that are compiled for TPUs: searches, evaluation and training steps.

A recipe becomes `Programs`, which this module makes for translators.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple, TextIO

from keras_transformer.translation import EXTRA_LENGTH, SLOTS
from trainers.flops import TRAINING_PASSES
from trainers.image_recipe import ImageRecipe
from trainers.model import compile_model, make_model
from trainers.recipe import Recipe

CHIPS = ("v5e:1x1", "v6e:1x1")
BEAMS, SENTENCES = 4, 64
BOS_ID, EOS_ID = 2, 3
LARGE = 1_000_000  # pairs of a corpus, steps of an epoch


class Programs(NamedTuple):
    """Model, batches and searches that are compiled for a recipe.

    Attributes:
        model: Built and compiled model with all its variables.
        batch: Function from a number of rows to the shapes and dtypes of a batch.
        flops: Function from a number of rows to the operations of a forward pass.
        searches: Function that lowers the searches; see `make_searches`.
    """

    model: object
    batch: Callable[[int], tuple]
    flops: Callable[[int], int]
    searches: Callable[[], list]


def make_programs(recipe, length: int) -> Programs:
    """Returns the programs of a recipe.

    Args:
        recipe: `Recipe` or `ImageRecipe`.
        length: Integer. Tokens on each side of a packed row.
    """
    from trainers.tpu_check import forward_flops, packed_rows
    from trainers.tpu_check.image_programs import make_image_programs

    if isinstance(recipe, ImageRecipe):
        return Programs(*make_image_programs(recipe))
    model = make_compiled_model(recipe)
    return Programs(
        model,
        lambda rows: packed_rows(rows, length),
        lambda rows: forward_flops(model, rows, length, length),
        lambda: make_searches(model, length),
    )


@dataclasses.dataclass(frozen=True)
class Compilations:
    """Runs compilations, prints their outcomes and writes them to a file.

    Args:
        rows: Integer. Packed rows of the recipe's batch.
        length: Integer. Tokens on each side of a row.
        max_sizes: Integer. Maximum number of sizes to compile in search of the largest batch.
        file: Text file that results are written to, in JSON lines.
    """

    rows: int
    length: int
    max_sizes: int
    file: TextIO

    def run(self, program, topology, rows, expected, compilation: Callable, trial=False):
        """Compiles a program, prints and writes its outcome, and returns it."""
        from trainers.tpu_check import Line

        print(f"{program}, {topology.name}, {rows} rows a chip: ", end="", flush=True)
        outcome = compilation()
        line = Line(program, topology.name, rows, expected, outcome, trial)
        print(line, flush=True)
        print(line.as_json(), file=self.file, flush=True)
        return outcome

    def find_largest(self, topology, step: Callable, rows: int) -> int:
        """Searches for the largest number of rows per chip that fits, starting from `rows`."""
        from trainers.tpu_check import largest_batch

        found = largest_batch(step, rows, topology.hbm, self.max_sizes)
        if self.max_sizes > 1:
            print(
                f"Largest batch found for {topology.name}: {found.largest} rows a chip, "
                f"{found.largest * topology.chips} in all; {found.too_large or 'none tried'} did "
                f"not fit. At most {self.max_sizes} sizes were compiled.",
                flush=True,
            )
        return found.largest


def make_compiled_model(recipe: Recipe):
    """Returns the recipe's model, compiled as in the trainer, with all its variables.

    Options that the recipe leaves to the size of the corpus are chosen for a large corpus. A batch
    is one part, even where the recipe splits it into micro-batches.
    """
    from trainers.tpu_check import make_all_variables

    recipe = recipe.completed(pairs=LARGE, steps_per_epoch=LARGE)
    recipe = dataclasses.replace(recipe, accumulate_steps=1, steps_per_execution=1)
    vocabulary = recipe.vocabulary_size
    model = make_model(recipe, vocabulary, None if recipe.shared_vocabulary else vocabulary)
    model.build()
    compile_model(recipe, model, jit_compile=True)
    make_all_variables(model)
    return model


def compile_one_chip(recipe: Recipe | ImageRecipe, compilations: Compilations) -> None:
    """Compiles the searches and steps through TensorFlow, for one chip of each kind."""
    from trainers.tpu_check import Topology, compile_hlo, lower_by_tensorflow

    programs = make_programs(recipe, compilations.length)

    @functools.cache
    def lower_step(step, rows):
        function = getattr(programs.model, step)
        return lower_by_tensorflow(lambda *data: function(data), *programs.batch(rows))

    def compile_step(program, step, passes, topology, rows):
        return compilations.run(
            program,
            topology,
            rows,
            passes * programs.flops(rows),
            lambda: compile_hlo(lower_step(step, rows), topology),
            trial=rows != compilations.rows,
        )

    searches = programs.searches()
    for topology in map(Topology, CHIPS):
        for program, sentences, hlo, flops in searches:
            compilation = functools.partial(compile_hlo, hlo, topology)
            compilations.run(program, topology, sentences, flops, compilation)
        compile_step("evaluation step", "test_step", 1, topology, compilations.rows)
        step = functools.partial(
            compile_step, "training step", "train_step", TRAINING_PASSES, topology
        )
        compilations.find_largest(topology, step, compilations.rows)


def make_searches(model, length: int) -> list[tuple]:
    """Lowers the searches of `translate`; returns name, sentences, HLO and operations of each."""
    from keras_transformer import generate, generate_all
    from trainers.tpu_check import lower_by_tensorflow, search_flops

    max_decode_len = length + EXTRA_LENGTH
    options = {"bos_id": BOS_ID, "eos_id": EOS_ID, "beam_size": BEAMS, "length": max_decode_len}

    def ids(*shape):
        return shape, "int32"

    def search(*arrays):
        return generate(model, *arrays, **options)

    def continuous_search(*arrays):
        return generate_all(model, *arrays, slots=SLOTS, **options)

    def flops(sentences):
        return search_flops(model, sentences, SLOTS * BEAMS, length, max_decode_len * BEAMS)

    batch_ids = ids(SLOTS, length), ids(SLOTS)
    queued = ids(SENTENCES, length), ids(SENTENCES), ids(SENTENCES), ids(SENTENCES, 0)
    return [
        ("beam search", SLOTS, lower_by_tensorflow(search, *batch_ids), flops(SLOTS)),
        (
            "continuous beam search",
            SENTENCES,
            lower_by_tensorflow(continuous_search, *queued),
            flops(SENTENCES),
        ),
    ]


def compile_data_parallel(
    recipe: Recipe | ImageRecipe, slices: list, compilations: Compilations
) -> None:
    """Compiles the data-parallel training step through JAX, for each slice."""
    from trainers.tpu_check import compile_train_step

    programs = make_programs(recipe, compilations.length)
    largest: dict[str, int] = {}  # rows per chip, by kind: hardly dependent on the number of chips
    for topology in slices:
        recipe_rows = math.ceil(compilations.rows / topology.chips)

        @functools.cache
        def step(rows, topology=topology, recipe_rows=recipe_rows):
            batch = programs.batch(rows * topology.chips)
            return compilations.run(
                "data-parallel training step",
                topology,
                rows,
                TRAINING_PASSES * programs.flops(rows),
                lambda: compile_train_step(programs.model, batch, topology),
                trial=rows != recipe_rows,
            )

        step(recipe_rows)
        known = largest.get(topology.kind, 0)
        if compilations.max_sizes == 1 or (known and not step(known).error):
            continue
        largest[topology.kind] = compilations.find_largest(topology, step, recipe_rows)
