"""Strings continued and scored by a language model, and its run folder."""

import json
import math

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer import (
    LanguageModel,
    RunError,
    Sampling,
    TextGenerator,
    Tokenizer,
    Translator,
)
from tests.conftest import searches_without_xla
from tests.translation.conftest import sentences
from tests.weights import randomize

LENGTH = 13  # of the pieces in which long texts are scored
PROMPTS = ["one two", "", "the cat red dog four five six street"]


@pytest.fixture(scope="module")
def lm_tokenizer():
    return Tokenizer.train(sentences(211, seed=1), 290, model_type="bpe")


@pytest.fixture(scope="module")
def generator(lm_tokenizer):
    keras.utils.set_random_seed(3)
    sizes = {"num_layers": 1, "d_model": 12, "num_heads": 3, "d_ff": 17}
    model = LanguageModel.from_sizes(lm_tokenizer.vocabulary_size(), norm="pre", **sizes)
    model.build()
    randomize(model)
    with searches_without_xla():
        return TextGenerator(model, lm_tokenizer, LENGTH, {"seed": 3})


def log_probs_of(generator, inputs, labels):
    """The log-probabilities of labels, by the model alone."""
    logits = np.asarray(generator.model({"target": np.array([inputs])}))[0].astype("float64")
    table = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return [table[place, label] for place, label in enumerate(labels)]


@pytest.mark.slow
def test_texts_start_with_their_prompts_and_have_the_scores_of_the_model(generator):
    tokenizer = generator.tokenizer
    results = generator.generate(PROMPTS, top_beams=2, length_penalty=0.0, max_length=7)
    for prompt, result in zip(PROMPTS, results, strict=True):
        assert result.text.startswith(prompt)
        ids = [tokenizer.bos_id, *tokenizer.tokenize([prompt])[0]]
        assert result.prompt_tokens == tuple(map(tokenizer.id_to_token, ids[1:]))
        assert len(result.hypotheses) == 2
        best = result.hypotheses[0]
        assert (best.text, best.score) == (result.text, result.score)
        known = {tokenizer.id_to_token(id): id for id in range(tokenizer.vocabulary_size())}
        labels = [known[token] for token in best.tokens]
        assert 0 < len(labels) <= 7
        expected = log_probs_of(generator, [*ids, *labels], [*ids[1:], *labels])
        assert best.log_prob == pytest.approx(sum(expected[len(ids) - 1 :]), abs=1e-4)


@pytest.mark.slow
def test_a_model_for_long_texts_continues_prompts_and_comes_back_from_its_run(
    lm_tokenizer, tmp_path
):
    """Its memory-compressed attention reads prompts that end amid a group of tokens."""
    d_model, V = 12, lm_tokenizer.vocabulary_size()
    local = [kt.MultiHeadAttention(d_model, 3, attention=kt.LocalAttention(4, 0)) for _ in range(3)]
    compressed = [kt.MemoryCompressedAttention(d_model, 3) for _ in range(2)]
    parts = [local[0], compressed[0], local[1], compressed[1], local[2]]
    blocks = [
        kt.DecoderBlock(d_model, 3, 17, cross_attention=False, self_attention=part)
        for part in parts
    ]
    model = LanguageModel(kt.PositionalEmbedding(V, d_model), kt.DecoderStack(blocks))
    model.build()
    with searches_without_xla():
        generator = TextGenerator(randomize(model), lm_tokenizer, LENGTH)
        generator.save(tmp_path / "run")
        again = TextGenerator.load(tmp_path / "run")
        prompts = [" ".join(PROMPTS[2].split()[:count]) for count in range(9)]
        results = again.generate(prompts, length_penalty=0.0, max_length=7)
        expected = generator.generate(prompts, length_penalty=0.0, max_length=7)
    assert [result.text for result in results] == [result.text for result in expected]
    assert {len(result.prompt_tokens) % 3 for result in results} == {0, 1, 2}
    for prompt, result in zip(prompts, results, strict=True):
        ids = [lm_tokenizer.bos_id, *lm_tokenizer.tokenize([prompt])[0]]
        known = {lm_tokenizer.id_to_token(id): id for id in range(V)}
        labels = [known[token] for token in result.hypotheses[0].tokens]
        expected = log_probs_of(generator, [*ids, *labels], [*ids[1:], *labels])
        assert result.hypotheses[0].log_prob == pytest.approx(
            sum(expected[len(ids) - 1 :]), abs=1e-4
        )


@pytest.mark.slow
def test_a_result_does_not_depend_on_other_prompts_or_calls(generator):
    sampling = Sampling(seed=5)
    together = generator.generate(PROMPTS, top_beams=3, max_length=6, sampling=sampling)
    again = generator.generate(PROMPTS, top_beams=3, max_length=6, sampling=sampling)
    assert [r.text for r in together] == [r.text for r in again]
    first = generator.generate(PROMPTS[:1], top_beams=3, max_length=6, sampling=sampling)[0]
    assert [h.text for h in first.hypotheses] == [h.text for h in together[0].hypotheses]
    other = generator.generate(PROMPTS, top_beams=3, max_length=6, sampling=Sampling(seed=6))
    assert [r.text for r in together] != [r.text for r in other]


@pytest.mark.slow
def test_places_are_kept_for_what_is_generated_and_not_for_the_prompt(generator, monkeypatch):
    lengths, init_cache = [], LanguageModel.init_cache

    def watched(self, batch_size, num_beams, length):
        lengths.append(length)
        return init_cache(self, batch_size, num_beams, length)

    monkeypatch.setattr(LanguageModel, "init_cache", watched)
    long_prompt = " ".join(PROMPTS * 9)
    results = generator.generate([long_prompt], max_length=33, beam_size=1)
    assert lengths == [64]
    assert len(results[0].prompt_tokens) > 100
    assert len(results[0].hypotheses[0].tokens) <= 33


def test_long_texts_are_scored_in_the_pieces_that_are_trained_on(generator):
    texts = ["one two three", "cat dog " * 9, ""]
    scores, tokenizer = generator.score(texts), generator.tokenizer
    assert len(scores[1].tokens) > LENGTH
    for text, score in zip(texts, scores, strict=True):
        ids = tokenizer.tokenize([text])[0]
        inputs, labels = [tokenizer.bos_id, *ids], [*ids, tokenizer.eos_id]
        expected = []
        for start in range(0, len(labels), LENGTH):
            end = start + LENGTH
            expected += log_probs_of(generator, inputs[start:end], labels[start:end])
        np.testing.assert_allclose(score.token_log_probs, expected, atol=1e-4)
        assert score.log_prob == pytest.approx(sum(expected), abs=1e-3)
    measures = generator.measure(texts)
    total = sum(score.log_prob for score in scores)
    assert measures.characters == sum(map(len, texts)) + len(texts)
    assert measures.tokens == sum(len(score.tokens) for score in scores)
    assert measures.perplexity == pytest.approx(math.exp(-total / measures.tokens))
    assert measures.bits_per_character == pytest.approx(-total / math.log(2) / measures.characters)
    assert math.isnan(generator.measure([]).perplexity)


@pytest.mark.slow
def test_a_run_says_which_kind_it_is(generator, translator, tmp_path):
    generator.save(tmp_path / "lm")
    copy = TextGenerator.load(tmp_path / "lm")
    assert (copy.trained_length, copy.about) == (LENGTH, {"seed": 3})
    for one, other in zip(copy.score(PROMPTS), generator.score(PROMPTS), strict=True):
        assert one.tokens == other.tokens
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)
    assert json.loads((tmp_path / "lm/run.json").read_text())["kind"] == "language_model"
    translator.save(tmp_path / "translator")
    assert "kind" not in json.loads((tmp_path / "translator/run.json").read_text())
    with pytest.raises(
        RunError, match="of a language model, which continues texts: use `TextGenerator"
    ):
        Translator.load(tmp_path / "lm")
    with pytest.raises(RunError, match=r"holds the run of a translator: use `Translator.load`"):
        TextGenerator.load(tmp_path / "translator")


@pytest.mark.parametrize("kind", ["language_model", "poem", 7])
def test_a_run_that_says_something_else_than_it_holds_is_damaged(translator, tmp_path, kind):
    translator.save(tmp_path)
    description = json.loads((tmp_path / "run.json").read_text())
    description |= {"kind": kind, "trained_length": 13}
    (tmp_path / "run.json").write_text(json.dumps(description))
    with pytest.raises(RunError, match="does not describe a model"):
        TextGenerator.load(tmp_path)
    with pytest.raises(RunError, match=r"does not describe a model|of a language model"):
        Translator.load(tmp_path)


def test_metadata_cannot_pass_for_the_kind_of_a_run(translator, tmp_path):
    about = {"kind": "language_model", "corpus": "toy"}
    Translator(translator.model, translator.tokenizer, about=about).save(tmp_path)
    assert Translator.load(tmp_path).about == {"corpus": "toy"}


def test_a_model_of_the_other_kind_is_refused(generator, translator):
    with pytest.raises(ValueError, match=r"must be a LanguageModel; .* Received: Transformer"):
        TextGenerator(translator.model, translator.tokenizer)
    with pytest.raises(ValueError, match=r"must have an encoder; .* Received: LanguageModel"):
        Translator(generator.model, generator.tokenizer)


def test_wrong_arguments_are_named(generator):
    with pytest.raises(TypeError, match="`prompts` must be a list of strings"):
        generator.generate("one two")
    with pytest.raises(ValueError, match="`max_length` must be at least 1"):
        generator.generate(PROMPTS, max_length=0)
    with pytest.raises(ValueError, match="`top_beams`"):
        generator.generate(PROMPTS, top_beams=9)
    with pytest.raises(TypeError, match="`trained_length` must be an integer"):
        TextGenerator(generator.model, generator.tokenizer, 12.5)


@pytest.mark.slow
def test_learned_positions_limit_prompt_and_continuation_together(lm_tokenizer):
    sizes = {"num_layers": 1, "d_model": 12, "num_heads": 3, "d_ff": 17}
    size = lm_tokenizer.vocabulary_size()
    model = LanguageModel.from_sizes(size, positions="learned", max_length=19, **sizes)
    with pytest.raises(ValueError, match="has learned 19 positions, but 20 are needed"):
        TextGenerator(model, lm_tokenizer, 20)
    generator = TextGenerator(model, lm_tokenizer, 19)
    tokens = len(lm_tokenizer.tokenize(["one two"])[0])
    with pytest.raises(ValueError, match=r"has learned 19 positions, but 20 are needed. Give"):
        generator.generate(["one two"], max_length=20 - tokens)
    # A prompt that fits is padded to no more than the positions.
    with searches_without_xla():
        generator = TextGenerator(model, lm_tokenizer, 19)
    prompt = " ".join(["dog"] * 17)
    assert len(lm_tokenizer.tokenize([prompt])[0]) == 17
    (result,) = generator.generate([prompt], beam_size=1, max_length=2)
    assert result.text.startswith(prompt)


@pytest.mark.slow
def test_a_stream_continues_and_scores_as_one_call(generator):
    """Samples too, whose random numbers come from the place in the whole."""
    options = {"max_length": 7, "sampling": Sampling(seed=5)}
    wanted = generator.generate(PROMPTS, **options)
    found = generator.stream(iter(PROMPTS), buffer=2, **options)
    assert [one.text for one in found] == [one.text for one in wanted]
    tail = generator.stream(PROMPTS[1:], start=1, **options)
    assert [one.text for one in tail] == [one.text for one in wanted[1:]]
    scores = generator.stream_scores(iter(PROMPTS), buffer=2)
    log_probs = [one.log_prob for one in generator.score(PROMPTS)]
    assert [one.log_prob for one in scores] == pytest.approx(log_probs)


def test_wrong_options_of_a_stream_are_refused_when_it_is_made(generator):
    with pytest.raises(ValueError, match="`beam_size` must be at least 1"):
        generator.stream(PROMPTS, beam_size=0)
    for stream in (generator.stream, generator.stream_scores):
        with pytest.raises(TypeError, match=r"must be an iterable, such as a list\."):
            stream("one")
