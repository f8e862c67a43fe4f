"""Translators with quantized or copied models translate with their own weights, saved or not."""

import copy
import json
import shutil
from pathlib import Path

import keras
import pytest

from keras_transformer import Translator

RUN = Path(__file__).parent / "run_of_version_1"
TEXTS = ["a dog runs", "the cat is on the table"]

pytestmark = [
    pytest.mark.usefixtures("without_xla"),
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
]


def answers(translator):
    return [one.token_log_probs for one in translator.score(TEXTS, TEXTS)]


@pytest.fixture
def translator():
    return Translator.load(RUN)


@pytest.mark.slow
def test_a_quantized_model_is_saved_and_loaded(translator, tmp_path):
    before = answers(translator)
    translator.model.quantize("int8")
    quantized = answers(translator)
    assert quantized != before  # also after a first translation
    translator.save(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["format_version"] == 4
    assert answers(Translator.load(tmp_path)) == quantized


@pytest.mark.slow
def test_a_model_that_is_quantized_in_part_too(translator, tmp_path):
    translator.model.quantize("int8", filters=lambda layer: isinstance(layer, keras.layers.Dense))
    assert translator.model.source_embedding.tokens.quantization_mode is None
    translator.save(tmp_path)
    assert answers(Translator.load(tmp_path)) == answers(translator)


@pytest.mark.slow
def test_options_that_a_run_cannot_hold_are_refused(translator, tmp_path):
    quantizer = keras.quantizers.AbsMaxQuantizer(axis=0)
    config = keras.quantizers.Int8QuantizationConfig(quantizer, None)  # weights alone
    translator.model.quantize(
        config=config, filters=lambda layer: isinstance(layer, keras.layers.Dense)
    )
    with pytest.raises(ValueError, match="with their standard options"):
        translator.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_deep_copy_translates_with_its_own_weights(translator):
    expected = answers(translator)
    other = copy.deepcopy(translator)
    assert answers(other) == expected
    other.model.set_weights([0 * values for values in other.model.get_weights()])
    assert answers(other) != expected
    assert answers(translator) == expected
    assert copy.copy(translator).model is translator.model


@pytest.mark.slow
def test_another_model_may_be_assigned(translator):
    answers(translator)
    other = copy.deepcopy(translator.model)
    other.set_weights([0 * values for values in other.get_weights()])
    expected = answers(Translator(other, translator.tokenizer))
    translator.model = other
    assert answers(translator) == expected
    with pytest.raises(ValueError, match="vocabulary"):
        translator.model = type(other)(7, num_layers=1, d_model=8, num_heads=2, d_ff=8)


@pytest.mark.slow
def test_an_unknown_quantization_mode_is_refused(translator, tmp_path):
    translator.model.quantize("int8")
    translator.save(tmp_path / "run")
    path = shutil.copytree(tmp_path / "run", tmp_path / "other") / "run.json"
    path.write_text(path.read_text().replace('"int8"', '"int1"'))
    with pytest.raises(ValueError, match="the quantization mode is 'int1'"):
        Translator.load(tmp_path / "other")
