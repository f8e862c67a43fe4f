"""Figures of a model with cross-attention alone, in one of its blocks: the recurrent translator."""

import random

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.illustrate import Attention, attention_figure, extraction, page
from keras_transformer.illustrate.explanation import Explainer
from keras_transformer.illustrate.word_order import other_layers_of
from keras_transformer.serving.explaining import explanation_answer
from tests.conftest import searches_without_xla
from tests.weights import randomize

SIZES = {"num_layers": 2, "d_model": 12, "num_decoder_layers": 3}


@pytest.fixture(scope="module")
def recurrent(translator):
    model = kt.create_model("recurrent", vocabulary_size=277, **SIZES)
    model.build()
    with searches_without_xla():
        return kt.Translator(
            randomize(model), translator.tokenizer, max_source_length=16, about={"seed": 5}
        )


def test_there_are_scores_of_the_bottom_block_alone(recurrent):
    source, target = np.array([[4, 7, 2, 0], [5, 2, 0, 0]]), np.array([[1, 9, 8], [1, 3, 3]])
    scores = recurrent.model.attention(source, target)
    shapes = {name: array.shape for name, array in scores.items()}
    assert shapes == {
        "encoder": (2, 0, 1, 4, 4),
        "decoder": (2, 0, 1, 3, 3),
        "cross": (2, 1, 1, 3, 4),
    }
    _, blocks = recurrent.model({"source": source, "target": target}, return_attention_scores=True)
    assert blocks["cross"][1:] == blocks["decoder"][1:] == [None, None]
    np.testing.assert_array_equal(scores["cross"][:, 0], blocks["cross"][0])
    np.testing.assert_allclose(scores["cross"].sum(axis=-1), 1, atol=1e-5)
    assert not scores["cross"][1, ..., 2:].any()


@pytest.mark.slow
def test_translations_bring_the_same_scores(recurrent):
    best = recurrent.translate(["six two"], return_attention=True)[0].hypotheses[0]
    source, target = extraction.ids_of(recurrent, "six two", best.text)
    target = [recurrent.target_tokenizer.token_to_id(token) for token in best.tokens]
    expected = extraction.attention_of(recurrent, source, target).cross
    assert best.attention.shape == (1, 1, len(target), len(source))
    np.testing.assert_allclose(best.attention, expected, atol=1e-5)


def test_the_figure_shows_cross_attention_alone(recurrent):
    attention = extraction.attention_of(recurrent, *extraction.ids_of(recurrent, "six", "one two"))
    assert attention.kinds() == {"inp_out": "Input - Output"}
    figure = attention_figure(attention)
    assert '<option value="inp_out">' in figure.body
    assert '<option value="inp_inp">' not in figure.body
    assert '"layers": {"cross": 1, "decoder": 0, "encoder": 0}' in figure.body
    with pytest.raises(ValueError, match=r"`kind` must be one of inp_out\. Received: 'inp_inp'"):
        attention_figure(attention, kind="inp_inp")
    assert list(attention.as_tensor2tensor()) == ["inp_out"]


def test_where_two_kinds_are_there_they_are_shown_together(attention):
    """Of an encoder with attention, and a decoder that has cross-attention alone."""
    both = Attention(attention.source, attention.encoder, attention.written, None, attention.cross)
    assert list(both.kinds()) == ["inp_inp", "inp_out", "all"]
    S = len(attention.source)
    shown, full = both.scores("all", 1), attention.scores("all", 1)
    np.testing.assert_array_equal(shown[:, :, :S], full[:, :, :S])
    assert not shown[:, :, S:].any()
    assert both.layers("all") == len(attention.cross) == 3


@pytest.mark.slow
def test_the_page_says_what_is_not_there(recurrent):
    figure = page(recurrent, "six two", "one two")
    assert set(figure.data) == {"positions", "attention", "search", "distributions"}
    assert "2 encoder layers, 3 decoder layers, vectors of 12 numbers and 1 head." in figure.body
    assert "goes over the words in their order (BidirectionalRecurrentBlock, Rec" in figure.body
    assert "The encoder has no self-attention, and so no scores to show." in figure.body
    assert "the words of the sentence in 1 of its 3 layers, with 1 head." in figure.body
    assert "bag of words" not in figure.body
    for name in ("token", "layer", "head"):
        with pytest.raises(ValueError, match=f"no self-attention .*Leave out `{name}`.*: {name}=0"):
            page(recurrent, "six", **{name: 0})


def test_of_the_standard_model_nothing_is_in_the_place_of_self_attention(translator):
    assert other_layers_of(translator.model) == ""


@pytest.mark.slow
def test_it_is_explained_as_it_is_drawn(recurrent):
    with searches_without_xla():
        explainer = Explainer(recurrent, 16, max_length=9, beam_size=2)
        assert explainer.prepare() == 2
        found = explainer.explain("six two")
    wanted = extraction.attention_of(recurrent, found.source, list(found.hypotheses[0]["ids"]))
    np.testing.assert_allclose(found.attention.cross, wanted.cross, atol=1e-5)
    answer = explanation_answer(explainer, found).attention
    assert answer["start"] == {"layer": 0, "kind": "inp_out", "token": None}
    assert answer["kinds"] == ["inp_out"]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_model_before_training_is_made_again(norm, recurrent):
    """With the same seed: its parts are made in the order of its description."""
    random.seed(5)
    model = kt.create_model("recurrent", vocabulary_size=277, norm=norm, **SIZES)
    model.build()
    about = {"seed": 5}
    again = extraction.initial_model(kt.Translator(model, recurrent.tokenizer, about=about))
    for weights, others in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, others)


def test_a_model_without_any_scores_is_refused():
    blocks = [kt.RecurrentBlock(keras.layers.GRUCell(6))]
    model = kt.LanguageModel(kt.PositionalEmbedding(11, 6), kt.DecoderStack(blocks))
    with pytest.raises(ValueError, match="no attention whose scores can be shown"):
        model.attention(np.array([[1, 4]]))


def test_attention_in_some_blocks_of_an_encoder_is_refused():
    blocks = [kt.EncoderBlock(6, 2, 7), kt.RecurrentBlock(keras.layers.GRUCell(6))]
    model = kt.EncoderDecoder(
        kt.PositionalEmbedding(11, 6),
        None,
        kt.EncoderStack(blocks),
        kt.DecoderStack([kt.DecoderBlock(6, 2, 7)]),
    )
    with pytest.raises(ValueError, match=r"or in none\. .* whose encoder has none in block 1"):
        model.attention(np.array([[4, 2]]), np.array([[1, 4]]))
