"""Recordings by compiled programs are those of the search and of the attention, step by step."""

import numpy as np
import pytest

from keras_transformer import SeparableConvolution, Transformer, Translator
from keras_transformer.illustrate import extraction
from keras_transformer.illustrate.explanation import Explainer
from keras_transformer.illustrate.search_view import candidates
from keras_transformer.models.catalog import convolutional, memory_compressed
from tests.conftest import searches_without_xla
from tests.weights import randomize

TEXTS = ["six two", "one two three four", "seven"]


def explainer_of(translator, **options):
    with searches_without_xla():
        return Explainer(translator, 16, max_length=9, **options)


@pytest.fixture(scope="module", params=[1, 3])
def explainer(request, translator):
    return explainer_of(translator, beam_size=request.param)


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS)
def test_each_step_is_that_of_the_search(explainer, translator, text, monkeypatch):
    beams, (eos_id, pad_id) = explainer.beam_size, (2, 0)
    found = explainer.explain(text)
    monkeypatch.setattr(extraction, "EXTRA_LENGTH", 9 - len(found.source))
    steps, hypotheses = extraction.search_of(translator, found.source, beams, beams)
    assert len(found.steps) == len(steps)
    for one, other in zip(found.steps, steps, strict=True):
        assert list(one.beams) == list(other.beams)
        assert list(one.kept) == list(other.kept)
        np.testing.assert_allclose(one.log_probs, other.log_probs, atol=1e-5)
        ours, theirs = (candidates(step, beams, eos_id, pad_id) for step in (one, other))
        assert [(each.ids, each.fate) for each in ours] == [
            (each.ids, each.fate) for each in theirs
        ]
        np.testing.assert_allclose(
            [each.log_prob for each in ours], [each.log_prob for each in theirs], atol=1e-5
        )
    assert [one["ids"] for one in found.hypotheses] == [one["ids"] for one in hypotheses]


@pytest.mark.slow
def test_hypotheses_are_those_of_translate(explainer, translator):
    count = explainer.beam_size
    with searches_without_xla():
        translator.model = translator.model  # a new generator
        translations = translator.translate(TEXTS, count, count, max_length=9)
    for text, wanted in zip(TEXTS, translations, strict=True):
        found = explainer.explain(text).hypotheses
        for one, other in zip(found, wanted.hypotheses, strict=True):
            tokens = extraction.tokens_of(translator.target_tokenizer, list(one["ids"]))
            assert (tokens, one["finished"]) == (list(other.tokens), other.finished)
            assert one["score"] == pytest.approx(other.score, abs=1e-5)


def test_attention_is_that_of_the_model(explainer, translator):
    for text in TEXTS:
        found = explainer.explain(text)
        wanted = extraction.attention_of(translator, found.source, list(found.hypotheses[0]["ids"]))
        for name in ("encoder", "decoder", "cross"):
            scores = getattr(found.attention, name)
            np.testing.assert_allclose(scores, getattr(wanted, name), atol=1e-5)
        assert (found.attention.source, found.attention.written) == (wanted.source, wanted.written)
        assert found.attention.read == wanted.read


@pytest.mark.slow
def test_what_a_rule_forbids_is_no_candidate(translator):
    explainer = explainer_of(translator, beam_size=2, no_repeat_ngram_size=1)
    for step in explainer.explain("two two two two").steps:
        for one in candidates(step, 2, 2, 0):
            assert len(set(one.ids)) == len(one.ids)


def of_architecture(make, translator, **options):
    sizes = {"num_layers": 2, "d_model": 12, "num_heads": 3, "d_ff": 17}
    model = make(vocabulary_size=277, **sizes, **options)
    model.build()
    return Translator(randomize(model), translator.tokenizer, max_source_length=16)


@pytest.mark.slow
def test_a_model_without_self_attention_shows_its_cross_attention(translator):
    explainer = explainer_of(of_architecture(convolutional, translator), beam_size=2)
    assert explainer.prepare() == 2
    found = explainer.explain("six two")
    shapes = [getattr(found.attention, name).shape[:2] for name in ("encoder", "decoder", "cross")]
    assert shapes == [(0, 3), (0, 3), (2, 3)]
    assert found.steps


def partly_convolutional(**sizes):
    model = Transformer(**sizes)
    model.encoder.blocks[1].self_attention = SeparableConvolution(12, causal=False)
    return model


@pytest.mark.slow
def test_a_model_with_some_blocks_without_attention_shows_its_search(translator):
    explainer = explainer_of(of_architecture(partly_convolutional, translator), beam_size=2)
    assert explainer.prepare() == 1
    found = explainer.explain("six two")
    assert found.attention is None
    assert found.steps


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"base": Transformer}, {}], ids=["encoder", "decoder only"])
def test_scores_of_compressed_memory_are_divided_here_too(translator, options):
    other = of_architecture(memory_compressed, translator, **options)
    found = explainer_of(other, beam_size=1).explain("six two")
    target = list(found.hypotheses[0]["ids"])
    wanted = extraction.attention_of(other, found.source, target)
    for name in ("encoder", "decoder", "cross"):
        scores = getattr(found.attention, name)
        np.testing.assert_allclose(scores, getattr(wanted, name), atol=1e-5)
    assert len(target) > 3


@pytest.mark.parametrize("text", ["", "two " * 16])
def test_only_a_short_sentence_is_explained(explainer, text):
    with pytest.raises(ValueError, match=r"has 1 to 15 tokens. Received: (0|16)"):
        explainer.explain(text)


@pytest.mark.slow
def test_as_many_programs_as_lengths_are_made_ready(translator):
    from keras_transformer.translation.compilation import compilations

    explainer = explainer_of(translator, beam_size=2)
    before = compilations()
    assert explainer.prepare() == 2 == compilations() - before
    for text in TEXTS:
        explainer.explain(text)
    assert compilations() - before == 2
