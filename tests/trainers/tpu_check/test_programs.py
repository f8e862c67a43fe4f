"""Which programs are compiled for which sizes, with a compiler that only counts bytes."""

import dataclasses
import io

import pytest

from keras_transformer import Adafactor
from trainers import tpu_check
from trainers.recipe import Recipe
from trainers.tpu_check import Line, Outcome, Topology
from trainers.tpu_check.programs import (
    Compilations,
    compile_data_parallel,
    compile_one_chip,
    make_compiled_model,
    make_searches,
)

TINY = {"preset": "tiny", "num_layers": 1, "d_model": 6, "num_heads": 2, "d_ff": 7}
RECIPE = Recipe(output="nowhere", vocabulary_size=13, dropout_rate=0.25, **TINY)
GIB = 2**30


def compilations(rows, max_sizes):
    return Compilations(rows, length=11, max_sizes=max_sizes, file=io.StringIO())


def lines(done):
    return [Line.from_json(text) for text in done.file.getvalue().splitlines()]


def needs(gib_a_row, rows, topology):
    """An outcome for a chip on which every row needs so much memory."""
    memory = int(gib_a_row * rows * GIB)
    return Outcome(1.0, 1.0, memory, "too large" if memory > topology.hbm else None)


@pytest.fixture
def batches(monkeypatch):
    """What the data-parallel step is compiled for; a row needs half a GiB, 2/3 on 16 chips."""
    seen = []

    def compile_train_step(model, batch, topology):
        inputs, labels = batch
        assert set(inputs.values()) == {labels}
        (rows, length), dtype = labels
        assert (length, dtype) == (11, "int32")
        seen.append((topology.name, rows))
        return needs(2 / 3 if topology.chips == 16 else 0.5, rows / topology.chips, topology)

    monkeypatch.setattr(tpu_check, "compile_train_step", compile_train_step)
    return seen


def test_the_batch_is_spread_over_the_chips_of_every_slice(batches):
    slices = [Topology(name) for name in ("v5e:2x2", "v5e:4x4", "v6e:16x16")]
    done = compilations(rows=19, max_sizes=1)
    compile_data_parallel(RECIPE, slices, done)
    assert batches == [("v5e:2x2", 5 * 4), ("v5e:4x4", 2 * 16), ("v6e:16x16", 1 * 256)]
    assert [line.rows for line in lines(done)] == [5, 2, 1]
    assert not any(line.trial for line in lines(done))


def test_a_larger_slice_starts_from_what_a_smaller_one_of_its_kind_had_memory_for(batches, capsys):
    slices = [Topology(name) for name in ("v5e:2x2", "v5e:2x4", "v5e:4x4", "v6e:2x2")]
    done = compilations(rows=19, max_sizes=20)
    compile_data_parallel(RECIPE, slices, done)
    tried = {
        topology.name: [line.rows for line in lines(done) if line.topology == topology.name]
        for topology in slices
    }
    assert tried["v5e:2x2"][0] == 5
    assert {32, 33} <= set(tried["v5e:2x2"])  # 32 rows fit in 16 GiB
    assert tried["v5e:2x4"] == [3, 32]  # and do so on 8 chips
    assert tried["v5e:4x4"][:2] == [2, 32]  # but not on 16,
    assert {24, 25} <= set(tried["v5e:4x4"])  # where 24 do
    assert {64, 65} <= set(tried["v6e:2x2"])  # another kind
    assert all(len(rows) == len(set(rows)) for rows in tried.values())
    assert all(line.trial == (line.rows not in (5, 3, 2)) for line in lines(done))
    printed = capsys.readouterr().out
    assert "Largest batch found for v5e:4x4: 24 rows a chip, 384 in all; 25 did not fit" in printed


def test_one_chip_runs_both_searches_and_both_steps(monkeypatch):
    lowered = []

    def lower(function, *arguments):
        lowered.append(arguments)
        return bytes(len(lowered))  # as many as programs were lowered before, and this one

    def compile_hlo(hlo, topology):
        assert topology.chips == 1
        return Outcome(1.0, flops=len(hlo))

    monkeypatch.setattr(tpu_check, "lower_by_tensorflow", lower)
    monkeypatch.setattr(tpu_check, "compile_hlo", compile_hlo)
    done = compilations(rows=5, max_sizes=1)
    compile_one_chip(RECIPE, done)
    programs = [("beam search", 16), ("continuous beam search", 64)]
    programs += [("evaluation step", 5), ("training step", 5)]
    assert [(line.program, line.rows, line.topology) for line in lines(done)] == [
        (*program, topology) for topology in ("v5e:1x1", "v6e:1x1") for program in programs
    ]
    assert len(lowered) == 4, "every program is lowered once for all chips"
    assert [line.outcome.flops for line in lines(done)] == [1, 2, 3, 4] * 2
    steps = [line.expected for line in lines(done) if "step" in line.program]
    assert steps[1] == 3 * steps[0]


@pytest.mark.slow
def test_the_searches_take_what_translate_gives_them(monkeypatch):
    """The programs are run, not compiled, on a model that knows nothing."""
    import numpy as np

    monkeypatch.setattr(tpu_check, "lower_by_tensorflow", lambda *program: program)
    for _, sentences, (function, *shapes), flops in make_searches(
        make_compiled_model(RECIPE), length=3
    ):
        source = np.full(shapes[0][0], 4, shapes[0][1])
        limits = np.full(shapes[1][0], 2, shapes[1][1])
        others = [np.zeros(shape, dtype) for shape, dtype in shapes[2:]]
        found = function(source, limits, *others)
        ids = (found[0] if len(shapes) == 4 else found).ids
        assert tuple(ids.shape) == (sentences, 1, 3 + 50)
        assert flops > 0


def test_the_model_is_the_recipes():
    recipe = Recipe(
        output="x", vocabulary_size=13, shared_vocabulary=False, precision="mixed_bfloat16",
        label_smoothing=0.375, warmup_steps=17, learning_rate_scale=3.0, norm="pre",
        dropout_rate=0.5, **TINY,
    )  # fmt: skip
    model = make_compiled_model(recipe)
    assert (model.d_ff, model.norm, model.dropout_rate) == (7, "pre", 0.5)
    assert model.target_vocabulary_size == 13
    assert model.compute_dtype == "bfloat16"
    assert model.loss.label_smoothing == 0.375
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert schedule == {"d_model": 6, "warmup_steps": 17, "scale": 3.0}
    assert [variable.shape for variable in model.metrics_variables] == [()] * 6


def test_the_optimizer_is_the_recipes_or_as_for_a_large_corpus():
    recipe = Recipe(output="x", vocabulary_size=13, **TINY)
    schedule = make_compiled_model(recipe).optimizer.get_config()["learning_rate"]["config"]
    assert schedule == {"d_model": 6, "warmup_steps": 4000, "scale": 1.0}
    recipe = dataclasses.replace(recipe, optimizer="adafactor", accumulate_steps=3)
    model = make_compiled_model(recipe)
    assert isinstance(model.optimizer, Adafactor)
    assert model.accumulate_steps == 1
