"""The page of a model that reads a sentence and its translation as one text."""

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.illustrate import attention_steps_figure, extraction, page
from keras_transformer.illustrate.page import choose
from tests.conftest import searches_without_xla
from tests.weights import randomize

SIZES = {"num_layers": 3, "d_model": 12, "num_heads": 3, "d_ff": 17, "dropout_rate": 0.0}
OPTIONS = {"decoder_only": {}, "memory_compressed": {"block_length": 2, "compression": 2}}


@pytest.fixture(scope="module", params=OPTIONS)
def joint(request, translator):
    keras.utils.set_random_seed(3)
    model = kt.create_model(request.param, OPTIONS[request.param], vocabulary_size=277, **SIZES)
    model.build()
    with searches_without_xla():
        yield kt.Translator(
            randomize(model), translator.tokenizer, max_source_length=16, about={"seed": 5}
        )


def test_the_steps_of_every_word_are_its_scores(joint):
    """With the words after it hidden, in layers whose attention has a key for each word."""
    source, target = extraction.ids_of(joint, "two six one", "four five")
    attention = extraction.attention_of(joint, source, target)
    shown = set(range(3)) - set(extraction.compressing_layers(joint.model.decoder.blocks))
    for layer in shown:
        for head in range(3):
            parts = extraction.self_attention_of(joint, source, layer, head)
            steps = attention_steps_figure(attention.source, token=2, **parts).data
            np.testing.assert_allclose(steps["weights"], attention.encoder[layer, head], atol=1e-5)
            assert np.abs(np.triu(steps["weights"], 1)).max() == 0


@pytest.mark.slow
def test_the_page_says_that_there_is_one_stack(joint):
    shown = page(joint, "two six one")
    assert "3 layers, which read the sentence and its translation as one text" in shown.body
    assert "encoder layers" not in shown.body
    assert "of the encoder" not in shown.body
    data = shown.data
    rows = data["attention"]["cross"].sum(-1) + data["attention"]["decoder"].sum(-1)
    np.testing.assert_allclose(rows, 1, atol=1e-5)
    is_compressed = type(joint.model.decoder.blocks[1].self_attention).__name__
    assert ("in equal parts" in shown.body) == (is_compressed == "MemoryCompressedAttention")


def test_a_layer_without_a_key_for_each_word_is_not_selected(attention):
    layer = choose(attention, None, None, None)[1]
    assert choose(attention, None, None, None, left_out=[layer])[1] == 1 - layer
    assert choose(attention, None, layer, None, left_out=[layer])[1] == layer


@pytest.mark.slow
@pytest.mark.parametrize("joint", ["memory_compressed"], indirect=True)
def test_such_a_layer_cannot_be_shown(joint):
    with pytest.raises(ValueError, match="Layer 1 cannot be shown step by step"):
        page(joint, "two six one", layer=1)
