"""The architecture of a recipe: its options on command lines, in recipes, and in runs."""

import argparse
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from keras_transformer import SeparableConvolution, Translator
from tests.conftest import ROOT
from tests.trainers.conftest import TINY
from trainers.architecture import with_architecture_of
from trainers.model import make_model
from trainers.recipe import Recipe
from trainers.recipe_file import plain_values, read_recipe, recipe_from_values, write_recipe
from trainers.training_batches import is_packed
from trainers.translation import main

NARROW = ["--import", "tests.trainers.narrow", "--architecture", "narrow"]
OUTPUT = ["--output", "run"]
DEFAULTS = {"factor": 2, "rate": 0.5, "kind": "a", "deep": False}
RUN = [*TINY, "--train-tsv", "train.tsv", "--epochs", "1", "--tensorboard", "false"]
RUN += ["--compile-with-xla", "false"]


def options_of(*arguments, architecture=NARROW):
    return read_recipe("trainer", [*architecture, *OUTPUT, *arguments]).architecture_options


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        (tmp_path / "recipe.yaml").write_text(f"architecture: narrow\n{text}", encoding="utf-8")
        return ["--config", str(tmp_path / "recipe.yaml")]

    return write


def test_on_a_tpu_pairs_share_rows_but_those_of_latents():
    tpu, cpu = SimpleNamespace(wants_one_shape=True), SimpleNamespace(wants_one_shape=False)
    assert is_packed(Recipe("run"), tpu)
    assert not is_packed(Recipe("run", architecture="latent"), tpu)
    assert not is_packed(Recipe("run"), cpu)
    assert is_packed(Recipe("run", packed="always"), cpu)


def test_a_recipe_is_one_of_a_transformer_unless_it_says_so():
    recipe = read_recipe("trainer", OUTPUT)
    assert (recipe.architecture, recipe.architecture_options) == ("transformer", {})


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ("", {}),
        ("--architecture-options factor=4", {"factor": 4}),
        ("--architecture-options factor=4 rate=1e-3 --seed 3", {"factor": 4, "rate": 0.001}),
        ("--architecture-options=factor=4 rate=3", {"factor": 4, "rate": 3.0}),
        ("--architecture_options deep=True --architecture-options kind=no",
         {"deep": True, "kind": "no"}),
        ("--architecture-options kind=5 deep=false", {"kind": "5"}),
        ("--architecture-options kind=a=b", {"kind": "a=b"}),
    ],
)  # fmt: skip
def test_options_on_a_command_line_have_the_types_of_the_architecture(arguments, changes):
    assert options_of(*arguments.split()) == {**DEFAULTS, **changes}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("architecture_options: {factor: 3, rate: 1e-3, deep: yes}",
         {"factor": 3, "rate": 0.001, "deep": True}),
        ("architecture_options:\n  rate: 1\n  kind: 'no'", {"rate": 1.0, "kind": "no"}),
        ("architecture_options: {}", {}),
        ("architecture_options:", {}),
    ],
)  # fmt: skip
def test_options_in_a_recipe_are_a_mapping(recipe_file, text, changes):
    assert options_of(*recipe_file(text), architecture=NARROW[:2]) == {**DEFAULTS, **changes}


@pytest.mark.parametrize(("more", "changes"), [("factor=5", {"factor": 5}), ("", {})])
def test_the_command_line_replaces_the_options_of_a_recipe(recipe_file, more, changes):
    config = recipe_file("architecture_options: {factor: 3, kind: b}\n")
    found = options_of(*config, "--architecture-options", more, architecture=NARROW[:2])
    assert found == {**DEFAULTS, **changes}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ("factor", ValueError, "must be of the form name=value, .*Received: factor$"),
        ("=4", ValueError, "must be of the form name=value, .*Received: =4$"),
        ('{"factor":4}', ValueError, "must be of the form name=value"),
        ("factor=4 factor=5", ValueError, "has factor twice: 4 and 5. Leave one out.$"),
        ("factor=4 --architecture_options factor=4", ValueError, "has factor twice: 4 and 4"),
        ("factor=2.5", ValueError, r"must be an integer.* Received: '2\.5'$"),
        ("deep=1", ValueError, "must be true or false.* Received: '1'$"),
        ("rate=inf", ValueError, "must be a finite number.* Received: inf$"),
        ("width=3", ValueError, "The architecture narrow has no option width"),
        ("kind=b --architecture_options.factor=4", argparse.ArgumentError, r"_options\.factor=4$"),
        ("", argparse.ArgumentError, "expected one argument"),
    ],
)
def test_options_that_are_none_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        options_of("--architecture-options", *arguments.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("architecture_options: {factor: {a: 1}}", r"must be an integer.* Received: \{'a': 1\}$"),
        ("architecture_options: {kind: no}", "must be a string.* Received: False$"),
        ("architecture_options: {1: 2}", "has no option 1"),
        ("architecture_options: {class_path: os.system}", "has no option class_path"),
        ("import: os", "has the option import, which only a command line may have, .* --import os"),
        ("import: [os, sys]", "has the option import"),
    ],
)
def test_what_a_recipe_must_not_hold_is_refused(recipe_file, text, message):
    with pytest.raises(ValueError, match=message):
        options_of(*recipe_file(text), architecture=NARROW[:2])


@pytest.mark.slow
def test_an_architecture_is_unknown_until_its_module_is_imported():
    program = "from trainers.recipe import Recipe\nRecipe('run', architecture='narrow')"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "architecture must be one of" in result.stderr
    assert "(on the command line: --import MODULE)" in result.stderr


def test_a_recipe_comes_back_from_its_folder_and_from_a_state(tmp_path):
    arguments = [*NARROW, *OUTPUT, "--architecture-options", "rate=1e-5", "kind=5", "deep=true"]
    recipe = read_recipe("trainer", arguments)
    write_recipe(recipe, tmp_path)
    assert read_recipe("trainer", ["--config", str(tmp_path / "recipe.yaml")]) == recipe
    state = json.loads(json.dumps(plain_values(recipe)))
    assert recipe_from_values(state) == recipe
    assert "import" not in yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    before = {k: v for k, v in plain_values(Recipe("run")).items() if "architecture" not in k}
    assert recipe_from_values(before) == Recipe("run")  # of an earlier version


def test_a_model_is_made_of_the_sizes_and_options_of_the_recipe():
    """The sizes that a recipe notes are those that the architecture was given, not what it made."""
    options = ["--d-ff", "24", "--preset", "tiny", "--architecture-options", "factor=3"]
    recipe = read_recipe("trainer", [*NARROW, *OUTPUT, *options])
    model = make_model(recipe, 13, None)
    assert model.d_ff == 8
    noted = recipe.with_model_settings(model, ("en", "fr"))
    assert (noted.d_ff, noted.d_model, noted.num_decoder_layers) == (24, 128, 4)
    assert make_model(noted, 13, None).d_ff == 8


def from_run(about, **options):
    return with_architecture_of(Recipe("run", init_from="start", **options), about)


def test_a_run_to_start_from_brings_its_architecture():
    about = {"architecture": "narrow", "architecture_options": {**DEFAULTS, "factor": 5}}
    for options in ({}, about, {**about, "architecture_options": ["factor=5"]}):
        assert plain_values(from_run(about, **options)).items() >= about.items()
    assert from_run({}) == Recipe("run", init_from="start")
    with pytest.raises(
        ValueError, match=r"run, narrow \(factor=5, .* Received: narrow \(factor=2,"
    ):
        from_run(about, architecture="narrow")
    with pytest.raises(ValueError, match=r"of its run, transformer\. Received: narrow \(factor=2,"):
        from_run({}, architecture="narrow")


@pytest.mark.slow
def test_a_run_keeps_its_architecture(at, tmp_path, without_xla, capsys):
    """As does one that starts from it."""
    command = [*NARROW, *RUN, "--architecture-options", "factor=3"]
    assert main([*command, "--output", str(tmp_path / "run")]) == 0
    start = ["--init-from", str(tmp_path / "run"), "--output", str(tmp_path / "next")]
    assert main([*NARROW[:2], *RUN, *start]) == 0
    for run in ("run", "next"):
        recipe = yaml.safe_load((tmp_path / run / "recipe.yaml").read_text())
        assert recipe["architecture"] == "narrow"
        assert recipe["architecture_options"] == {**DEFAULTS, "factor": 3}
        translator = Translator.load(tmp_path / run)
        assert translator.model.d_ff == 8
        assert translator.about["architecture"] == "narrow"
        assert translator.about["architecture_options"] == {**DEFAULTS, "factor": 3}
    other = ["--architecture-options", "factor=4", "--output", str(tmp_path / "other")]
    assert main([*NARROW, *RUN, *start[:2], *other]) == 1
    assert "init_from brings the architecture of its run, narrow (" in capsys.readouterr().err
    assert not (tmp_path / "other" / "recipe.yaml").exists()


@pytest.mark.slow
def test_a_run_of_the_catalogue_is_what_was_trained(at, tmp_path, without_xla):
    command = ["--architecture", "convolutional", "--architecture-options", "kernel_size=5"]
    assert main([*command, *RUN, "--output", str(tmp_path / "run")]) == 0
    model = Translator.load(tmp_path / "run").model
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        assert isinstance(block.self_attention, SeparableConvolution)
        assert block.self_attention.kernel_size == 5
    assert [block.self_attention.causal for block in model.encoder.blocks] == [False]
    assert [block.self_attention.causal for block in model.decoder.blocks] == [True]


def test_a_model_that_cannot_be_saved_replaces_no_run(at, tmp_path, capsys):
    for name in ("run.json", "model.weights.h5", "recipe.yaml"):
        (tmp_path / name).write_text("kept")
    command = [*NARROW[:2], "--architecture", "unregistered", *RUN, "--output", str(tmp_path)]
    assert main([*command, "--overwrite", "true"]) == 1
    assert "Unregistered is not registered with Keras" in capsys.readouterr().err
    for name in ("run.json", "model.weights.h5", "recipe.yaml"):
        assert (tmp_path / name).read_text() == "kept"


def test_a_model_that_cannot_be_compiled_replaces_no_run(at, tmp_path, capsys):
    for name in ("run.json", "model.weights.h5", "recipe.yaml"):
        (tmp_path / name).write_text("kept")
    command = [*RUN, "--architecture", "experts", "--architecture-options", "interval=1"]
    command += ["--accumulate-steps", "2"]
    assert main([*command, "--output", str(tmp_path), "--overwrite", "true"]) == 1
    assert "cannot be computed in micro-batches" in capsys.readouterr().err
    for name in ("run.json", "model.weights.h5", "recipe.yaml"):
        assert (tmp_path / name).read_text() == "kept"
