"""The command line of the TPU check; the slow tests compile a tiny recipe."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from trainers.image_recipe import ImageRecipe
from trainers.recipe import Recipe
from trainers.tpu_check.__main__ import (
    as_arguments,
    main,
    read_check,
    recipe_length,
    recipe_rows,
)

RECIPE = """
preset: tiny
num_layers: 1
d_model: 64
num_heads: 2
d_ff: 96
vocabulary_size: 997
tokens_per_batch: 1920
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def complaint(capsys, *arguments):
    """The one line of an error; nothing else is printed."""
    assert main([str(argument) for argument in arguments]) != 0
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("python -m trainers.tpu_check: error: ")
    return line


def test_options_have_dashes_or_underscores(recipe):
    options = read_check(["--config", str(recipe), "--rows=3", "--compilations", "2"])
    assert (options.config, options.rows, options.compilations) == (recipe, 3, 2)


def test_rows_are_those_of_the_trainer():
    recipe = Recipe("run", tokens_per_batch=1920)
    assert (recipe_length(recipe), recipe_rows(recipe, 128)) == (128, 8)  # 15, in a multiple of 8
    recipe = Recipe("run", tokens_per_batch=25000, max_length=256)
    assert (recipe_length(recipe), recipe_rows(recipe, 256)) == (256, 96)
    assert recipe_length(Recipe("run", packed_length=64)) == 64
    images = ImageRecipe("run", images_per_batch=7)
    assert (recipe_length(images), recipe_rows(images, 0)) == (0, 7)


def test_an_unknown_topology_is_told_with_the_known_ones(recipe, capsys):
    line = complaint(capsys, "--config", recipe, "--topology", "v5e:2x2,v5e:3x3")
    assert "no TPU topology 'v5e:3x3'" in line
    assert "v5e:16x16, v6e:1x1" in line


@pytest.mark.parametrize(
    ("option", "name"), [("vocabulary_size: 997", "vocabulary_size"), ("preset: tiny", "preset")]
)
def test_sizes_left_to_the_corpus_are_asked_for(option, name, recipe, capsys):
    recipe.write_text(RECIPE.replace(option, ""))
    assert f"leaves {name} to the corpus" in complaint(capsys, "--config", recipe)


@pytest.mark.parametrize("architecture", ["lstm", "narrow", "null"])
def test_only_transformers_are_counted(architecture, recipe, capsys):
    """Whether the architecture is known here or not."""
    recipe.write_text(f"{RECIPE}architecture: {architecture}\n")
    line = complaint(capsys, "--config", recipe)
    assert "whose operations this check cannot count. Expected transformer" in line


def test_what_is_not_installed_is_told(recipe, capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *others: None if name == "libtpu" else find_spec(name, *others),
    )
    line = complaint(capsys, "--config", recipe)
    assert 'pip install ".[tpu-check]"' in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "nowhere.yaml"], "There is no recipe nowhere.yaml"),
        (["--rows", "-1"], "rows must be at least 0. Received: -1"),
        (["--compilations", "0"], "compilations must be at least 1"),
        (["--precision", "float16"], "precision"),
        (["--backend", "torch"], "backend"),
        ([], "config"),
    ],
)
def test_other_wrong_options_are_told(arguments, words, recipe, capsys):
    needs_recipe = arguments and arguments[0] != "--config"
    given = ["--config", recipe, *arguments] if needs_recipe else arguments
    assert words in complaint(capsys, *given)


def test_a_process_of_one_backend_gets_the_same_options(recipe):
    given = ["--config", str(recipe), "--backend", "jax", "--rows=7", "--topology", "v5e:2x2"]
    options = read_check(given)
    assert options.backend == "jax"
    assert read_check(as_arguments(options)) == options
    alone = dataclasses.replace(options, results=Path("results"))
    assert read_check(as_arguments(alone)) == alone


@pytest.mark.slow
def test_a_tiny_recipe_compiles_for_a_chip_and_for_four(recipe, capfd):
    pytest.importorskip("libtpu", reason='needs libtpu: pip install ".[tpu-check]"')
    options = ["--config", str(recipe), "--topology", "v5e:2x2", "--compilations", "1"]
    assert main(options) == 0
    printed = capfd.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("| ")][1:]
    names = ["beam search", "continuous beam search", "evaluation step", "training step"]
    expected = [f"| {name} | {kind}:1x1 |" for kind in ("v5e", "v6e") for name in names]
    expected.append("| data-parallel training step | v5e:2x2 | 2 | 1,024 |")  # 8 rows on 4 chips
    assert len(rows) == len(expected) == printed.count(": compiles in ")
    for row, start in zip(rows, expected, strict=True):
        assert row.startswith(start)


@pytest.mark.slow
def test_a_half_that_fails_is_told_with_its_last_words(recipe, capfd):
    pytest.importorskip("libtpu", reason='needs libtpu: pip install ".[tpu-check]"')
    recipe.write_text(RECIPE.replace("d_model: 64", "d_model: 63"))
    assert main(["--config", str(recipe), "--backend", "jax"]) == 1
    error = capfd.readouterr().err
    assert "The jax check ended with code 1: " in error
    assert "Received: d_model=63, num_heads=2" in error
