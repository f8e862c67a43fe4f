"""The programs of image models, and how many operations they have."""

import io

import pytest

from trainers import tpu_check
from trainers.image_recipe import ImageRecipe
from trainers.tpu_check import Line, Outcome, Topology
from trainers.tpu_check.image_programs import make_image_programs
from trainers.tpu_check.programs import Compilations, compile_data_parallel, compile_one_chip

SIZES = {"image_size": 8, "channels": 3, "num_layers": 2, "d_model": 10, "num_heads": 2, "d_ff": 13}
KINDS = {
    "full": ({"attention": "full"}, 192),
    "local": ({"attention": "local", "block_length": 24}, 48),
    "local, of more than the image": ({"attention": "local", "block_length": 100}, 192),
    "local_2d": (
        {
            "attention": "local_2d", "query_rows": 4, "query_columns": 6,
            "flange_rows": 1, "flange_columns": 3,
        },
        5 * 12,
    ),
    "local_2d, smaller blocks at the edge": (
        {"attention": "local_2d", "query_rows": 3, "query_columns": 6},
        192,
    ),
}  # fmt: skip
every_kind = pytest.mark.parametrize(("options", "met"), KINDS.values(), ids=KINDS)


def recipe_of(**options):
    return ImageRecipe(output="nowhere", dropout_rate=0.0, **SIZES, **options)


@every_kind
def test_how_many_keys_a_position_meets(options, met):
    model, *_ = make_image_programs(recipe_of(**options))
    assert model.decoder.blocks[0].self_attention.attention.keys_compared(192) == met


@pytest.mark.slow
@every_kind
def test_steps_and_drawing_do_what_the_formula_says(options, met):
    pytest.importorskip("jax", reason="needs jax: pip install .[jax]")
    from tests.trainers.test_flops import products

    model, batch, flops, searches = make_image_programs(recipe_of(**options, classes=True))
    hlo = tpu_check.lower_by_tensorflow(lambda *data: model.train_step(data), *batch(5))
    padded = "100" in str(options)  # the last block of a row is filled up
    if not padded:
        assert products(hlo) == 3 * flops(5)
    ((name, images, drawing, of_step),) = searches()
    assert (name, images) == ("drawing", 16)
    assert products(drawing) == 2 * of_step  # the loop's body is also a function, never called


def test_a_pixel_of_a_mixture_is_one_position():
    _, batch, flops, _ = make_image_programs(recipe_of(distribution="mixture"))
    inputs, labels = batch(7)
    assert inputs == {"target": ((7, 64), "int32")}
    assert labels == ((7, 64, 3), "int32")
    assert flops(7) == 7 * flops(1)


def test_an_enlarging_model_is_refused():
    with pytest.raises(ValueError, match=r"cannot be counted by .*Received: enlarge=2"):
        make_image_programs(recipe_of(enlarge=2))


def test_what_is_compiled(monkeypatch):
    seen = []

    def compile_train_step(model, batch, topology):
        seen.append(batch[1])
        return Outcome(1.0, 1.0)

    monkeypatch.setattr(tpu_check, "compile_train_step", compile_train_step)
    monkeypatch.setattr(tpu_check, "lower_by_tensorflow", lambda function, *arguments: b"1")
    monkeypatch.setattr(tpu_check, "compile_hlo", lambda hlo, topology: Outcome(1.0, 1.0))
    done = Compilations(rows=6, length=128, max_sizes=1, file=io.StringIO())
    compile_data_parallel(recipe_of(), [Topology("v5e:2x2")], done)
    assert seen == [((8, 192), "int32")]
    compile_one_chip(recipe_of(), done)
    lines = [Line.from_json(text) for text in done.file.getvalue().splitlines()]
    assert [(line.program, line.rows) for line in lines[:4]] == [
        ("data-parallel training step", 2), ("drawing", 16), ("evaluation step", 6),
        ("training step", 6),
    ]  # fmt: skip
    assert lines[3].expected == 3 * lines[2].expected
