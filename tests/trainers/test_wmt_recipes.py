"""The WMT14 recipes by their own code, 20 steps of them, on a stand-in for the data set."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
import yaml

from keras_transformer import Translator
from tests.trainers.conftest import TINY, toy_pairs
from trainers.translation import main

RECIPES = Path(__file__).parents[2] / "trainers" / "recipes"
SHRUNK = [*TINY, "--vocabulary-size", "293", "--epochs", "2", "--steps-per-epoch", "10"]
SHRUNK += ["--warmup-steps", "5", "--bleu-every", "1", "--compile-with-xla", "false"]
TRAIN, VALIDATION = 307, 13


class Wmt14Translate(tfds.core.GeneratorBasedBuilder):
    """Named like the data set of the recipes, with pairs of a toy language in it."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="de-en"),)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Pairs.",
            features=tfds.features.Translation(languages=("de", "en")),
            supervised_keys=("de", "en"),
        )

    def _split_generators(self, _):
        pairs = toy_pairs(TRAIN + VALIDATION)
        return {"train": self._keyed(pairs[:TRAIN]), "validation": self._keyed(pairs[TRAIN:])}

    def _generate_examples(self):
        raise NotImplementedError

    @staticmethod
    def _keyed(pairs):
        for number, (english, german) in enumerate(pairs):
            yield number, {"en": english, "de": german}


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    Wmt14Translate(config="de-en", data_dir=folder).download_and_prepare()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("size", ["base"])  # the big one has other sizes alone
def test_a_recipe_trains(size, data_folder, tmp_path, capsys, without_xla):
    recipe, output = RECIPES / f"wmt14_en_de_{size}.yaml", tmp_path / "run"
    options = ["--config", str(recipe), "--data-folder", str(data_folder), *SHRUNK]
    assert main([*options, "--output", str(output)]) == 0
    metadata = json.loads((output / "run.json").read_text())
    assert metadata["corpus"] == "tfds:wmt14_translate/de-en"
    assert (metadata["source_language"], metadata["target_language"]) == ("en", "de")
    assert metadata["pairs"] == TRAIN
    used = yaml.safe_load((output / "recipe.yaml").read_text())
    written = yaml.safe_load(recipe.read_text())
    assert {name for name in written if used[name] != written[name]} <= {
        "vocabulary_size", "epochs", "steps_per_epoch", "tokens_per_batch", "warmup_steps",
        "bleu_every", "dropout_rate", "max_shapes",
    }  # fmt: skip
    out = capsys.readouterr().out
    assert out.count("10/10") == 2
    losses = [float(loss) for loss in re.findall(r" loss: ([\d.]+)", out)]
    assert losses[1] < losses[0]
    translator = Translator.load(output)
    assert translator.max_source_length == 256
    (translation,) = translator.translate(["one two three"])
    assert np.isfinite(translation.score)


@pytest.mark.parametrize(("size", "parameters"), [("base", 63_045_632), ("big", 214_171_648)])
def test_unshrunk_it_is_the_model_of_the_paper(size, parameters):
    from keras_transformer import Transformer
    from trainers.recipe_file import read_recipe

    recipe = read_recipe(
        "trainer", ["--config", str(RECIPES / f"wmt14_en_de_{size}.yaml"), "--output", "x"]
    )
    with_sizes = Transformer.from_preset(
        recipe.completed(4_500_000, 4500).preset, recipe.vocabulary_size, **recipe.sizes()
    ).get_config()
    assert counted(with_sizes) == parameters
    assert recipe.epochs * recipe.steps_per_epoch == {"base": 100_000, "big": 300_000}[size]


def counted(config):
    """Parameters of such a model, without making it."""
    D, F, N = config["d_model"], config["d_ff"], config["num_layers"]
    attention, feed_forward, norm = 4 * D * D, 2 * D * F + F + D, 2 * D
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    return config["vocabulary_size"] * D + N * (encoder + decoder)
