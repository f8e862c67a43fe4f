import dataclasses
import math
from pathlib import Path

import pytest

from trainers.image_recipe import ImageRecipe
from trainers.multitask_recipe import MultitaskRecipe
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe

RECIPES = sorted((Path(__file__).parents[2] / "trainers" / "recipes").glob("*.yaml"))


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
        return ["--config", str(tmp_path / "recipe.yaml")]

    return write


def test_what_is_not_said_is_the_default():
    assert read_recipe("trainer", ["--output", "run"]) == Recipe(output=Path("run"))


@pytest.mark.parametrize("dashes", [["--d-model", "96"], ["--d_model=96"], ["--d-model=96"]])
def test_dashes_and_underscores_are_the_same(dashes):
    assert read_recipe("trainer", ["--output", "run", *dashes]).d_model == 96


def test_the_command_line_overrides_the_recipe(recipe_file):
    config = recipe_file("d_model: 96\nepochs: 7\n")
    assert read_recipe("trainer", [*config, "--output", "run", "--d-model", "32"]).d_model == 32
    assert read_recipe("trainer", [*config, "--output", "run", "--d-model", "32"]).epochs == 7


def test_one_recipe_may_add_to_another(recipe_file, tmp_path):
    first = recipe_file("d_model: 96\nepochs: 7\n")
    (tmp_path / "second.yaml").write_text("epochs: 11\n")
    second = f"--config={tmp_path / 'second.yaml'}"
    recipe = read_recipe("trainer", [*first, second, "--output", "run"])
    assert (recipe.d_model, recipe.epochs) == (96, 11)


def test_every_kind_of_value_is_read(recipe_file):
    config = recipe_file(
        "output: some/run\noverwrite: true\ncorpus: tfds:a/b\ndata_folder: data\nmax_ratio: 2\n"
        "norm: pre\ninit_from: other\nlearning_rate_scale: 2.5\nseed: 3\n"
    )
    recipe = read_recipe("trainer", config)
    assert recipe == Recipe(
        output=Path("some/run"), overwrite=True, corpus="tfds:a/b", data_folder=Path("data"),
        max_ratio=2.0, norm="pre", init_from=Path("other"), learning_rate_scale=2.5, seed=3,
    )  # fmt: skip
    assert isinstance(recipe.output, Path)
    assert isinstance(recipe.data_folder, Path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_read(path):
    kinds = dict.fromkeys(("phrasebook_multitask", "phrasebook_two_ways"), MultitaskRecipe)
    kinds |= dict.fromkeys(("drawings", "fashion_mnist", "cifar10"), ImageRecipe)
    kind = kinds.get(path.stem, Recipe)
    recipe = read_recipe("trainer", ["--config", str(path), "--output", "run"], kind)
    assert recipe != kind(output=Path("run"))
    assert kind is ImageRecipe or recipe.completed(1_000_003, 997).epochs > 0


@pytest.mark.parametrize(
    "name", ["max_length", "tokens_per_batch", "max_shapes", "bleu_every", "epochs", "seed"]
)
def test_numbers_have_a_least_value(name):
    with pytest.raises(ValueError, match=rf"^{name} must be at least \d\. Received: -2$"):
        Recipe(output=Path("run"), **{name: -2})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["learning_rate_scale", "max_ratio"])
def test_what_is_no_number_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be a number, at least 0\. Rec.*{value}$"):
        Recipe(output=Path("run"), **{name: value})


def test_a_ratio_of_lengths_is_at_least_1():
    with pytest.raises(ValueError, match=r"^max_ratio must be at least 1, or 0 to keep all\. Rec"):
        Recipe(output=Path("run"), max_ratio=0.5)


def chosen(pairs, steps, **options):
    return Recipe(output=Path("run"), **options).completed(pairs, steps)


@pytest.mark.parametrize("pairs", [17, 1009, 29_000, 299_999])
def test_a_small_corpus_is_gone_through_often_by_a_small_model(pairs):
    steps = max(1, pairs // 300)
    recipe = chosen(pairs, steps)
    assert recipe.preset == "tiny"
    assert 10 <= recipe.epochs <= 60
    assert recipe.steps_per_epoch == steps
    assert 1 <= recipe.warmup_steps <= max(1, recipe.epochs * steps // 4)


@pytest.mark.parametrize("epochs", [0, 1, 10, 97])
def test_a_short_warm_up_does_not_raise_the_highest_rate(epochs):
    recipe = chosen(50_000, 150, epochs=epochs)
    highest = recipe.learning_rate_scale / math.sqrt(recipe.warmup_steps)
    assert highest == pytest.approx(2.0 / math.sqrt(2000))


@pytest.mark.parametrize("pairs", [300_007, 4_500_000, 36_000_000])
def test_a_large_corpus_gets_the_papers_settings(pairs):
    recipe = chosen(pairs, pairs // 700)
    assert recipe.preset == "base"
    assert recipe.warmup_steps == 4000
    assert recipe.learning_rate_scale == 1.0
    assert 3 <= recipe.epochs <= 60
    assert recipe.epochs == 3 or recipe.epochs * recipe.steps_per_epoch <= 100_000


def test_what_was_chosen_already_is_kept():
    own = {"preset": "big", "epochs": 5, "steps_per_epoch": 13, "warmup_steps": 7,
           "learning_rate_scale": 0.3}  # fmt: skip
    recipe = chosen(1009, 17, **own)
    assert {name: getattr(recipe, name) for name in own} == own
    assert recipe == recipe.completed(29_000, 97)


@pytest.mark.parametrize("pairs", [1009, 4_500_000])
def test_adafactor_has_no_schedule_to_choose(pairs):
    own = {"optimizer": "adafactor", "epochs": 5, "steps_per_epoch": 13, "preset": "tiny"}
    recipe = chosen(pairs, 17, **own)
    assert recipe == Recipe(output=Path("run"), **own)


@pytest.mark.parametrize("option", [{"learning_rate_scale": 0.5}, {"warmup_steps": 7}])
def test_adafactor_takes_no_schedule(option):
    (name, value), rest = *option.items(), "Leave both out, or give --learning-rate-scale 0"
    message = rf"^optimizer adafactor has its own step sizes\. .*{name}={value}\b.* {rest}"
    with pytest.raises(ValueError, match=message):
        Recipe(output=Path("run"), optimizer="adafactor", **option)


def test_a_recipe_for_adam_is_one_for_adafactor_without_its_schedule():
    adam = ["--config", str(RECIPES[0].with_name("phrasebook.yaml")), "--output", "run"]
    options = ["--optimizer", "adafactor", "--learning-rate-scale", "0", "--warmup-steps", "0"]
    before, after = (read_recipe("trainer", [*adam, *more]) for more in ([], options))
    assert after == dataclasses.replace(
        before, optimizer="adafactor", learning_rate_scale=0.0, warmup_steps=0
    )


def test_only_sizes_that_differ_from_the_preset_are_passed_on():
    plain = {"norm": "post", "positions": "paper"}
    assert Recipe(output=Path("run")).sizes() == plain
    recipe = Recipe(output=Path("run"), d_model=96, num_decoder_layers=1, dropout_rate=0.0)
    assert recipe.sizes() == {**plain, "d_model": 96, "num_decoder_layers": 1, "dropout_rate": 0.0}
    recipe = Recipe(output=Path("run"), attention_dropout_rate=0.25)
    assert recipe.sizes() == {**plain, "attention_dropout_rate": 0.25}
