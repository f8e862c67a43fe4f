"""One model of several languages beside one for each, in its smallest setting."""

import re

import pytest
import yaml

from benchmarks import many_languages
from benchmarks.many_languages import LISTS, RECIPE
from tests.conftest import QUICK_TO_COMPILE, run_python
from tests.trainers.conftest import toy_pairs

SMALL = {
    "preset": "tiny", "num_layers": 1, "d_model": 16, "num_heads": 2, "d_ff": 24,
    "vocabulary_size": 285, "max_shapes": 1, "tokens_per_batch": 512, "epochs": 1,
    "tensorboard": False, "tokenizer_type": "unigram",
}  # fmt: skip


def test_its_recipe_has_every_list_for_each_language():
    recipe = yaml.safe_load(RECIPE.read_text())
    assert {len(recipe[name]) for name in LISTS} == {2}


@pytest.mark.slow
def test_every_model_is_trained_and_evaluated(tmp_path):
    """With a single language, whose model of its own is then trained on the same."""
    pairs = toy_pairs(60)
    for part, some in (("train", pairs[:43]), ("val", pairs[43:53]), ("test", pairs[53:])):
        for language, side in (("en", 0), ("fr", 1)):
            text = "".join(f"{pair[side]}\n" for pair in some)
            (tmp_path / f"{part}.{language}").write_text(text)
    recipe = yaml.safe_load(RECIPE.read_text()) | SMALL
    for name in LISTS:
        recipe[name] = [recipe[name][0].removesuffix(".gz")]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = ["-m", "benchmarks.many_languages", "--output", str(tmp_path / "runs")]
    command += ["--data-folder", str(tmp_path), "--config", str(tmp_path / "recipe.yaml")]
    command += ["--seeds", "1", "--test-source", "test.en", "--test-target", "test.LANGUAGE"]
    printed = run_python(*command, XLA_FLAGS=QUICK_TO_COMPILE)
    together, alone = re.search(r"fr, seed 1: together (\S+), alone (\S+)\n", printed).groups()
    assert together == alone
    assert f"| fr | mean | {together} | {alone} |" in printed
    own, both = (
        yaml.safe_load((tmp_path / "runs" / name / "recipe.yaml").read_text())
        for name in ("fr_1", "together_1")
    )
    assert own["train_tag"] == ">>fr<<"
    assert own["steps_per_epoch"] == both["steps_per_epoch"]


def test_options():
    options = ["--output", "runs", "--data-folder", "data"]
    assert many_languages.parse(options).seeds == [1, 2, 3]
