"""The programs of a recipe that `trainers/tpu_check/__main__.py` compiles for TPUs."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TextIO

from keras_transformer.translation import EXTRA_LENGTH, SLOTS
from trainers.model import compile_model, make_model
from trainers.recipe import Recipe

CHIPS = ("v5e:1x1", "v6e:1x1")
BEAMS, SENTENCES = 4, 64
BOS_ID, EOS_ID = 2, 3
LARGE = 1_000_000  # pairs of a corpus, steps of an epoch


@dataclasses.dataclass(frozen=True)
class Compilations:
    """What is compiled, told and written down.

    Args:
        rows: Packed rows of the recipe's batch.
        length: Tokens of each side of a row.
        most: How many sizes are compiled to find the largest batch.
        file: Where results are written to.
    """

    rows: int
    length: int
    most: int
    file: TextIO

    def run(self, program, topology, rows, expected, compilation: Callable, trial=False):
        """Compiles, prints what comes of it and writes it down; returns the outcome."""
        from trainers.tpu_check import Line

        print(f"{program}, {topology.name}, {rows} rows a chip: ", end="", flush=True)
        outcome = compilation()
        line = Line(program, topology.name, rows, expected, outcome, trial)
        print(line, flush=True)
        print(line.as_json(), file=self.file, flush=True)
        return outcome

    def find_largest(self, topology, step: Callable, rows: int) -> int:
        """Compiles a step for `rows` a chip and a few other sizes; the largest that fits, or 0."""
        from trainers.tpu_check import largest_batch

        found = largest_batch(step, rows, topology.hbm, self.most)
        if self.most > 1:
            print(
                f"Largest batch found for {topology.name}: {found.largest} rows a chip, "
                f"{found.largest * topology.chips} in all; {found.too_large or 'none tried'} did "
                f"not fit. At most {self.most} sizes were compiled.",
                flush=True,
            )
        return found.largest


def compiled_model(recipe: Recipe):
    """The recipe's model, compiled as the trainer does it, with all its variables.

    What the recipe leaves to the size of the corpus is chosen as for a large one. A batch is
    compiled as a whole, even where the recipe splits it.
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


def compile_one_chip(recipe: Recipe, compilations: Compilations) -> None:
    """Through TensorFlow: the searches and the steps, for one chip of each kind."""
    from trainers.tpu_check import (
        Topology,
        compile_hlo,
        forward_flops,
        lower_by_tensorflow,
        packed_rows,
        train_step_flops,
    )

    model, length = compiled_model(recipe), compilations.length

    @functools.cache
    def lowered(step, rows):
        function, batch = getattr(model, step), packed_rows(rows, length)
        return lower_by_tensorflow(lambda *data: function(data), *batch)

    def compile_step(program, step, flops, topology, rows):
        return compilations.run(
            program,
            topology,
            rows,
            flops(model, rows, length, length),
            lambda: compile_hlo(lowered(step, rows), topology),
            trial=rows != compilations.rows,
        )

    programs = searches(model, length)
    for topology in map(Topology, CHIPS):
        for program, sentences, hlo, flops in programs:
            compilation = functools.partial(compile_hlo, hlo, topology)
            compilations.run(program, topology, sentences, flops, compilation)
        compile_step("evaluation step", "test_step", forward_flops, topology, compilations.rows)
        step = functools.partial(
            compile_step, "training step", "train_step", train_step_flops, topology
        )
        compilations.find_largest(topology, step, compilations.rows)


def searches(model, length: int) -> list[tuple]:
    """What `translate` may run: names, how many sentences, the programs, their operations."""
    from keras_transformer import generate, generate_all
    from trainers.tpu_check import lower_by_tensorflow, search_flops

    max_decode_len = length + EXTRA_LENGTH
    options = {"bos_id": BOS_ID, "eos_id": EOS_ID, "beam_size": BEAMS, "length": max_decode_len}

    def ids(*shape):
        return shape, "int32"

    def search(*arrays):
        return generate(model, *arrays, **options)

    def queue(*arrays):
        return generate_all(model, *arrays, slots=SLOTS, **options)

    def flops(sentences):
        return search_flops(model, sentences, SLOTS * BEAMS, length, max_decode_len * BEAMS)

    one_by_one = ids(SLOTS, length), ids(SLOTS)
    waiting = ids(SENTENCES, length), ids(SENTENCES), ids(SENTENCES), ids(SENTENCES, 0)
    return [
        ("beam search", SLOTS, lower_by_tensorflow(search, *one_by_one), flops(SLOTS)),
        ("queue of searches", SENTENCES, lower_by_tensorflow(queue, *waiting), flops(SENTENCES)),
    ]


def compile_data_parallel(recipe: Recipe, slices: list, compilations: Compilations) -> None:
    """Through JAX: the training step with its batch spread over the chips of each slice."""
    from trainers.tpu_check import compile_train_step, packed_rows, train_step_flops

    model, length = compiled_model(recipe), compilations.length
    largest: dict[str, int] = {}  # rows a chip, of each kind: they hardly depend on how many chips
    for topology in slices:
        recipe_rows = math.ceil(compilations.rows / topology.chips)

        @functools.cache
        def step(rows, topology=topology, recipe_rows=recipe_rows):
            batch = packed_rows(rows * topology.chips, length)
            return compilations.run(
                "data-parallel training step",
                topology,
                rows,
                train_step_flops(model, rows, length, length),
                lambda: compile_train_step(model, batch, topology),
                trial=rows != recipe_rows,
            )

        step(recipe_rows)
        known = largest.get(topology.kind, 0)
        if compilations.most == 1 or (known and not step(known).error):
            continue
        largest[topology.kind] = compilations.find_largest(topology, step, recipe_rows)
