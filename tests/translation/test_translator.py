import json

import keras
import numpy as np
import pytest

from keras_transformer import (
    Hypotheses,
    RunError,
    Sampling,
    TokenCrossEntropy,
    Tokenizer,
    Translator,
)
from keras_transformer.text import TokenizerAdapter
from keras_transformer.translation import batch_shapes, generator
from tests.translation.conftest import LIMIT, WORDS, forced, make_model, next_log_probs, sentences

pytestmark = pytest.mark.usefixtures("one_size", "without_xla")
SAMPLING = Sampling(temperature=0.4, seed=5)
GREEDY = {"beam_size": 1, "length_penalty": 0.0, "max_length": 11}
BEAMS = {"beam_size": 4, "top_beams": 3, "max_length": 29}  # 29 fit into the room of 32


@pytest.fixture(scope="module")
def beams(translator, texts, one_size):
    """Translations with three hypotheses each."""
    return translator.translate(texts, **BEAMS)


@pytest.fixture(scope="module")
def samples(translator, texts, one_size):
    return translator.translate(texts, sampling=SAMPLING, **BEAMS)


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        assert one.finished == other.finished
        assert one.score == pytest.approx(other.score, abs=1e-3)
        assert one.parts == other.parts
        assert one.source_tokens == other.source_tokens
        assert [found.text for found in one.hypotheses] == [
            found.text for found in other.hypotheses
        ]
        assert one.text == other.text


def ids_of(translator, pieces):
    return [translator.target_tokenizer.token_to_id(piece) for piece in pieces]


def whole(translations):
    """Those of texts that were not cut."""
    return [one for one in translations if one.parts == 1]


def test_translations_depend_on_the_text(beams):
    assert len({translation.text for translation in beams}) > 11
    assert {translation.finished for translation in beams} == {True, False}
    assert {translation.parts for translation in beams} == {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["beams", "samples"])
def test_results_come_in_order_and_do_not_depend_on_company(translator, texts, how, request):
    """A sample is the text's and its number's, or equal texts would have equal samples."""
    together, options = request.getfixturevalue(how), dict(BEAMS)
    if how == "samples":
        options["sampling"] = SAMPLING
        company = ["two", *texts[1:8], "red cat " * 31, *texts[9:], "", "one"]
        places = [n for n in range(19) if n not in (0, 8)]
        found = translator.translate(company, **options)
        assert_same([found[n] for n in places], [together[n] for n in places])
        return
    order = np.random.default_rng(4).permutation(len(texts))
    shuffled = translator.translate([texts[place] for place in order], **options)
    assert_same(shuffled, [together[place] for place in order])
    assert_same([translator.translate([text], **options)[0] for text in texts[:5]], together[:5])
    assert_same(translator.translate(texts * 3, **options)[19:38], together)


def test_in_front_stands_the_best_hypothesis(translator, texts, beams):
    for text, translation in zip(texts, beams, strict=True):
        best = translation.hypotheses[0]
        shown = (translation.text, translation.score, translation.finished)
        assert shown == (best.text, best.score, best.finished)
        ids = [
            id
            for piece in translator.split(text)
            for id in [*translator.tokenizer.tokenize(piece), 2]
        ]
        assert ids_of(translator, translation.source_tokens) == ids


@pytest.mark.slow
@pytest.mark.parametrize("how", ["beams", "samples"])
def test_hypotheses_say_what_the_model_says(translator, texts, how, request):
    """Best first, and scored as `score` does where a text has the same tokens."""
    pairs = []
    for text, translation in zip(texts, request.getfixturevalue(how), strict=True):
        scores = [one.score for one in translation.hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert 1 <= len(scores) <= 3
        for one in translation.hypotheses if translation.parts == 1 else ():
            ids = ids_of(translator, one.tokens)
            assert translator.target_tokenizer.detokenize(ids) == one.text
            assert (one.tokens[-1] == "</s>") == one.finished
            assert one.score == pytest.approx(one.log_prob / ((5 + len(ids)) / 6) ** 0.6, rel=1e-5)
            pairs.append((text, one))
    scores = translator.score([text for text, _ in pairs], [one.text for _, one in pairs])
    compared = [
        (one.log_prob, score.log_prob)
        for (_, one), score in zip(pairs, scores, strict=True)
        if one.tokens == score.tokens
    ]
    assert len(compared) > 3
    for found, wanted in compared:
        assert found == pytest.approx(wanted, abs=1e-3)


@pytest.fixture(scope="module")
def greedy(translator, texts, one_size):
    return translator.translate(texts, **GREEDY)


@pytest.mark.slow
def test_one_beam_is_greedy_search(translator, texts, greedy):
    """What a plain loop over the model finds, without a cache."""
    lengths = set()
    for text, translation in zip(texts, greedy, strict=True):
        if translation.parts > 1 or len(lengths) > 2:
            continue
        source, ids = [*translator.tokenizer.tokenize(text), 2], []
        while len(ids) < 11 and ids[-1:] != [2]:
            ids.append(1 + int(next_log_probs(translator.model, source, ids)[-1, 1:].argmax()))
        (found,) = translation.hypotheses
        assert ids_of(translator, found.tokens) == ids
        assert translation.finished == (ids[-1] == 2)
        lengths.add(len(ids))
    assert {11} < lengths


@pytest.mark.slow
def test_sampling_the_best_token_is_greedy_search(translator, texts, greedy):
    sampling = Sampling(top_k=1, temperature=1.7, seed=11)
    assert_same(translator.translate(texts, sampling=sampling, **GREEDY), greedy)


def test_without_a_length_penalty_log_probabilities_are_scores(greedy):
    for translation in greedy:
        assert translation.score == translation.hypotheses[0].log_prob < 0


def test_beams_find_better_translations_than_greedy_search(beams, greedy):
    more = [
        one.hypotheses[0].log_prob - other.hypotheses[0].log_prob
        for one, other in zip(beams, greedy, strict=True)
        if other.finished
    ]
    assert len(more) > 3
    assert sum(more) > 1


@pytest.mark.slow
def test_the_paper_s_search_is_the_default(translator, texts):
    named = translator.translate(
        texts, beam_size=4, top_beams=1, length_penalty=0.6, max_length=None, min_length=0,
        prefixes=[""] * 19, no_repeat_ngram_size=0, sampling=None, return_attention=False,
    )  # fmt: skip
    found = translator.translate(texts)
    assert_same(found, named)
    assert all(len(one.hypotheses) == 1 for one in found)
    assert all(one.hypotheses[0].attention is None for one in found)


def test_a_translation_may_be_50_tokens_longer_than_its_text(translator, texts):
    lengths = set()
    for translation in whole(translator.translate(texts)):
        (found,) = translation.hypotheses
        most = len(translation.source_tokens) + 50
        assert len(found.tokens) <= most if found.finished else len(found.tokens) == most
        lengths.add((found.finished, len(found.tokens) > 32))
    assert lengths >= {(True, False), (False, True)}


def test_what_never_ends_has_all_tokens_that_it_may_have(translator, texts):
    for translation in whole(translator.translate(texts, min_length=10**6)):
        assert not translation.finished
        assert len(translation.hypotheses[0].tokens) == len(translation.source_tokens) + 50


def test_what_needs_more_than_the_usual_room_is_done_again(translator, texts, monkeypatch):
    in_steps, sizes = translator.translate(texts), []
    run = translator._generator._run_search

    def watched(batch, size, length, max_decode_len, settings):
        sizes.append((len(batch), max_decode_len))
        return run(batch, size, length, max_decode_len, settings)

    monkeypatch.setattr(translator._generator, "_run_search", watched)
    assert_same(translator.translate(texts), in_steps)
    (every, usual), (again, full) = sizes
    assert (usual, full) == (32, 66)
    assert 0 < again < every
    monkeypatch.setattr(generator, "decode_lengths", lambda length, most: [length + 50])
    at_once = translator.translate(texts)
    assert sizes[2:] == [(every, 66)]
    assert_same(at_once, in_steps)
    for one, other in zip(at_once, in_steps, strict=True):
        assert one.hypotheses[0].tokens == other.hypotheses[0].tokens


@pytest.mark.parametrize("most", [1, 7, 31])
def test_max_length_is_kept(translator, texts, most):
    found = translator.translate(texts, **{**BEAMS, "max_length": most})
    lengths = {len(one.tokens) for translation in whole(found) for one in translation.hypotheses}
    assert max(lengths) == most
    for translation in whole(found):
        for one in translation.hypotheses:
            assert one.finished or len(one.tokens) == most


def test_min_length_is_kept(translator, texts, beams):
    found = translator.translate(texts, min_length=13, **BEAMS)
    lengths = [len(one.tokens) for translation in whole(found) for one in translation.hypotheses]
    assert min(lengths) == 13
    assert min(len(one.hypotheses[0].tokens) for one in whole(beams)) < 13
    assert_same(translator.translate(texts, min_length=1, **BEAMS), beams)


@pytest.mark.slow
def test_prefixes_start_translations(translator, texts, beams):
    """Each its own; of a long text the first part, of an empty text none."""
    prefixes = ["red cat", "", "two", "seven dog street", " "] * 4
    texts = [*texts, ""]
    found = translator.translate(texts, prefixes=prefixes, **BEAMS)
    assert_same([found[n] for n in range(1, 19, 5)], beams[1::5])
    assert found[-1].text == ""
    for prefix, translation in zip(prefixes, found[:-1], strict=False):
        for one in translation.hypotheses:
            assert one.text.startswith(prefix.strip())
    for text, prefix, translation in zip(texts, prefixes, found, strict=True):
        if translation.parts == 1 and text:
            source = [*translator.tokenizer.tokenize(text), 2]
            ids = ids_of(translator, translation.hypotheses[0].tokens)
            assert ids[: len(prefix.split())] == translator.tokenizer.tokenize(prefix)
            log_prob = sum(forced(translator.model, source, ids))
            assert translation.hypotheses[0].log_prob == pytest.approx(log_prob, abs=1e-3)
    number = next(n for n in range(19) if found[n].parts > 1 and prefixes[n].strip())
    first, *others = translator.split(texts[number])
    parts = translator.translate(
        [first, *others], prefixes=[prefixes[number], *[""] * len(others)], **BEAMS
    )
    assert found[number].text == " ".join(part.text for part in parts)


@pytest.mark.slow
def test_no_tokens_in_a_row_come_twice(translator, texts, beams):
    def repeats(translations):
        for translation in whole(translations):
            for one in translation.hypotheses:
                pairs = list(zip(one.tokens, one.tokens[1:], strict=False))
                yield len(pairs) > len(set(pairs))

    found = translator.translate(texts, no_repeat_ngram_size=2, **BEAMS)
    assert sum(repeats(beams)) > 3
    assert sum(repeats(found)) == 0


def test_seeds_make_samples(translator, texts, samples):
    again, others = (
        translator.translate(texts, sampling=Sampling(temperature=0.4, seed=seed), **BEAMS)
        for seed in (5, 6)
    )
    assert_same(again, samples)
    different = [one.text != other.text for one, other in zip(samples, others, strict=True)]
    assert sum(different) > 11
    assert len({one.text for one in samples[0].hypotheses}) > 1
    twice = translator.translate([texts[4]] * 7, sampling=SAMPLING, **BEAMS)
    assert len({one.text for one in twice}) > 3


def test_the_beam_size_plays_no_part_in_sampling(translator, texts, samples):
    for beam_size in (1, 7):
        options = {**BEAMS, "beam_size": beam_size}
        assert_same(translator.translate(texts, sampling=SAMPLING, **options), samples)


@pytest.mark.slow
def test_attention_is_that_of_the_model(translator, texts, beams):
    """One sentence and one translation at a time, without padding."""
    found = translator.translate(texts, return_attention=True, **BEAMS)
    assert_same(found, beams)
    compared = 0
    for text, translation in zip(texts, found, strict=True):
        for one in translation.hypotheses:
            if translation.parts > 1:
                assert one.attention is None
                continue
            source = [*translator.tokenizer.tokenize(text), 2]
            ids = ids_of(translator, one.tokens)
            assert one.attention.shape == (1, 3, len(ids), len(source))
            assert one.attention.sum(axis=-1) == pytest.approx(1, abs=1e-5)
            inputs = {"source": np.array([source]), "target": np.array([[1, *ids[:-1]]])}
            if one is translation.hypotheses[compared % len(translation.hypotheses)]:
                _, scores = translator.model(inputs, return_attention_scores=True)
                np.testing.assert_allclose(one.attention[0], scores["cross"][0][0], atol=1e-5)
                compared += 1
    assert compared > 11


def test_an_empty_text_has_an_empty_translation(translator, texts, beams):
    results = translator.translate(["", texts[0], " \t\n", "\u00a0"], **BEAMS)
    for result in [results[0], *results[2:]]:
        assert (result.text, result.score, result.finished, result.parts) == ("", 0, True, 1)
        assert [one.text for one in result.hypotheses] == [""]
    assert_same(results[1:2], beams[:1])
    assert translator.translate([]) == []
    assert translator.translate([], sampling=Sampling()) == []


def test_a_text_of_which_no_token_is_left_has_an_empty_translation(translator):
    assert [result.text for result in translator.translate(["\ufeff", "\x08", "▁"])] == [""] * 3


def test_a_long_text_is_translated_in_pieces(translator):
    """Their best are joined, and their second and third."""
    sentence = "one two three four five six. "
    text = (sentence * 17).strip()
    pieces = translator.split(text)
    assert len(pieces) == 17
    assert all(len(translator.tokenizer.tokenize(piece)) < LIMIT for piece in pieces)
    assert " ".join(pieces) == text
    parts = translator.translate(pieces, **BEAMS)
    (found,) = translator.translate([text], **BEAMS)
    assert found.parts == 17
    assert len(found.hypotheses) == min(len(part.hypotheses) for part in parts) > 1
    for rank, one in enumerate(found.hypotheses):
        own = [part.hypotheses[rank] for part in parts]
        assert one.text == " ".join(part.text for part in own)
        assert one.score == pytest.approx(sum(part.score for part in own), abs=1e-3)
        assert one.log_prob == pytest.approx(sum(part.log_prob for part in own), abs=1e-3)
        assert one.finished == all(part.finished for part in own)
        assert one.tokens == tuple(piece for part in own for piece in part.tokens)
    assert (found.text, found.score) == (found.hypotheses[0].text, found.hypotheses[0].score)


@pytest.mark.parametrize("tags", [">>o<<", "<2o>"])
def test_every_piece_of_a_long_text_keeps_its_tags(translator, tags):
    sentence = "one two. "
    pieces = translator.split(f"  {tags} {sentence * 17}")
    assert len(pieces) > 3
    assert all(piece.startswith(f"{tags} one") for piece in pieces)
    assert " ".join(piece.removeprefix(f"{tags} ") for piece in pieces) == (sentence * 17).strip()
    assert all(len(translator.tokenizer.tokenize(piece)) < LIMIT for piece in pieces)
    (found,) = translator.translate([f"{tags} {sentence * 17}"], **BEAMS)
    parts = translator.translate(pieces, **BEAMS)
    assert found.text == " ".join(part.text for part in parts)


def test_tags_that_leave_no_room_are_text(translator):
    pieces = translator.split(">>fr<< " * 17 + "one")
    assert all(len(translator.tokenizer.tokenize(piece)) < LIMIT for piece in pieces)
    assert " ".join(pieces).split() == [">>fr<<"] * 17 + ["one"] or len(pieces) > 17


def test_a_tokenizer_of_ones_own_knows_its_own_tags(translator, monkeypatch):
    def split_tags(text):
        return ("TO FRENCH", text[9:]) if text.startswith("TO FRENCH") else ("", text)

    monkeypatch.setattr(translator.tokenizer, "split_tags", split_tags)
    pieces = translator.split("TO FRENCH one. " + "two three four. " * 7)
    assert len(pieces) > 1
    assert all(piece.startswith("TO FRENCH ") for piece in pieces)


def test_a_piece_without_tokens_is_none(translator):
    pieces = translator.split("x" * 61 + "\x08" * 101)
    assert sum(piece.count("x") for piece in pieces) == 61
    assert all(translator.tokenizer.tokenize(piece) for piece in pieces)


@pytest.mark.slow
def test_ids_that_the_tokenizer_does_not_know_are_unknown_words(tokenizer):
    model = make_model(tokenizer.vocabulary_size() + 97)
    found = Translator(model, tokenizer).translate(["one"] * 8, sampling=Sampling(), max_length=11)
    assert any("<unk>" in one.hypotheses[0].tokens for one in found)


def test_the_limit_counts_eos(translator):
    text = "one"
    while len(translator.tokenizer.tokenize(f"{text} two")) < LIMIT:
        text += " two"
    assert len(translator.split(text)) == 1
    assert len(translator.split(f"{text} two")) == 2


@pytest.mark.slow
def test_progress_is_told(translator, texts):
    told = []

    def tell(done, total):
        told.append((done, total))

    found = translator.translate([*texts, ""] * 2, progress=tell, **BEAMS)
    total = sum(one.parts for one in found) - 2
    assert told[-1] == (total, total)
    assert told == sorted(told)
    assert len(told) == 2


def test_a_shape_is_compiled_once(tokenizer, texts, monkeypatch):
    """A stand-in for the search ends every sentence at once."""
    traces = []

    def watched(model, source, *limits_and_prefix, length, top_beams, **options):
        traces.append((*source.shape, length, limits_and_prefix[-1].shape[1]))
        ids = keras.ops.pad(source[:, None, :1] * 0 + 2, ((0, 0), (0, 0), (0, length - 1)))
        zeros = keras.ops.zeros((source.shape[0], 1))
        return Hypotheses(ids, zeros, zeros, zeros == 0), zeros[:, 0] == 0

    monkeypatch.setattr(generator, "generate_all", watched)
    monkeypatch.setattr(batch_shapes, "BATCHES", (1, 8, 16, 32, 64, 128, 256))
    translator = Translator(make_model(307), tokenizer, max_source_length=64)
    for seed in (5, 6, 7):
        translator.translate(sentences(1009, seed, longest=40))
        assert len(traces) == len({length for _, length, *_ in traces}) == 3
    translator.translate(texts[:3], prefixes=["red", "", "cat"])
    translator.translate(texts[:2], prefixes=["", "seven dog"])
    assert len(traces) == len(set(traces)) <= 5


@pytest.mark.slow
def test_new_weights_are_used(tokenizer):
    model, texts = make_model(tokenizer.vocabulary_size()), ["one two", "red cat", "dog"]
    translator = Translator(model, tokenizer, max_source_length=LIMIT)
    before = translator.translate(texts, max_length=7)
    model.compile(keras.optimizers.SGD(3.0), loss=TokenCrossEntropy(), run_eagerly=True)
    ids = np.random.default_rng(1).integers(4, 300, (3, 7)).astype("int32")
    model.fit({"source": ids, "target": ids}, ids, verbose=0)
    after = translator.translate(texts, max_length=7)
    assert [t.score for t in after] != [t.score for t in before]
    for text, translation in zip(texts, after, strict=True):
        source = [*tokenizer.tokenize(text), 2]
        log_prob = sum(forced(model, source, ids_of(translator, translation.hypotheses[0].tokens)))
        assert translation.hypotheses[0].log_prob == pytest.approx(log_prob, abs=1e-3)


@pytest.mark.parametrize(
    "texts", ["one two", [b"one"], ["one", None], None, 3, {"one": "two"}, np.array("one")]
)
def test_texts_are_a_list_of_strings(translator, texts):
    with pytest.raises(TypeError, match="`texts` must be a list of strings, one per text"):
        translator.translate(texts)


NUMBERS = {
    "no beam": ({"beam_size": 0}, "`beam_size` must be at least 1. Received: 0"),
    "no hypothesis": ({"top_beams": 0}, "Received: top_beams=0, beam_size=4"),
    "more than there are": ({"top_beams": 5}, "Received: top_beams=5, beam_size=4"),
    "no sample": (
        {"top_beams": 0, "sampling": Sampling()}, "Received: top_beams=0, beam_size=4",
    ),
    "penalty below 0": ({"length_penalty": -0.1}, "`length_penalty` must be .* Received: -0.1"),
    "no penalty at all": ({"length_penalty": float("nan")}, "Received: nan"),
    "endless penalty": ({"length_penalty": float("inf")}, "Received: inf"),
    "no room": ({"max_length": 0}, "`max_length` must be at least 1, since .* Received: 0"),
    "more than there is": ({"max_length": 10**11}, "must be at most 1,000,000. Received: 1"),
    "less than nothing": ({"min_length": -1}, "Received: min_length=-1, max_length=None"),
    "nothing between": (
        {"min_length": 8, "max_length": 7}, "Received: min_length=8, max_length=7",
    ),
    "repeats": ({"no_repeat_ngram_size": -2}, "must be at least 0, where 0 allows .* Received: -2"),
    "too few prefixes": ({"prefixes": ["a"]}, "Received: 1 prefixes for 2 texts"),
    "too long a prefix": (
        {"prefixes": ["", "red cat dog"], "max_length": 3},
        "The prefix of text 2 has 3 tokens, but the maximum of its translation is 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_what_makes_no_sense_is_refused(translator, name):
    options, message = NUMBERS[name]
    with pytest.raises(ValueError, match=message):
        translator.translate(["one", "two"], **options)


@pytest.mark.parametrize("name", [
    "beam_size", "top_beams", "max_length", "min_length", "no_repeat_ngram_size",
])  # fmt: skip
@pytest.mark.parametrize("number", [2.5, "4"])
def test_what_is_counted_is_an_integer(translator, name, number):
    with pytest.raises(TypeError, match=f"`{name}` must be an integer. Received: {number!r}"):
        translator.translate(["one"], **{name: number})


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"seed": 1}, "`sampling` must be a `Sampling`, .* Received: {'seed': 1}"),
        (Sampling(seed=1.5), "`seed` must be an integer. Received: 1.5"),
        (Sampling(top_k=1.5), "`top_k` must be an integer. Received: 1.5"),
    ],
)
def test_sampling_is_one(translator, sampling, message):
    with pytest.raises(TypeError, match=message):
        translator.translate(["one"], sampling=sampling)


@pytest.mark.slow
def test_a_seed_of_numpy_draws_the_same(translator, texts):
    draws = [
        [one.text for one in translator.translate(texts[:3], sampling=Sampling(seed=seed))]
        for seed in (5000, np.int32(5000))
    ]
    assert draws[0] == draws[1]


@pytest.mark.parametrize("prefixes", ["red", [None, "red"], [b"red", ""]])
def test_prefixes_are_a_list_of_strings(translator, prefixes):
    with pytest.raises(TypeError, match="`prefixes` must be a list of strings"):
        translator.translate(["one", "two"], prefixes=prefixes)


def test_options_have_names(translator):
    with pytest.raises(TypeError, match="positional"):
        translator.translate(["one"], 4, 1, 0.6, 29)


def test_a_tokenizer_with_more_ids_than_the_model_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"source tokenizer has 307 ids, but .* has 293: use the"):
        Translator(make_model(293), tokenizer)
    model = make_model(307, target_vocabulary_size=293)
    with pytest.raises(ValueError, match=r"target tokenizer has 307 ids, but .* has 293: use the"):
        Translator(model, tokenizer)


@pytest.mark.slow
def test_a_foreign_tokenizer_serves(texts):
    words = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS]
    hub = word_pieces(words)
    tokenizer = TokenizerAdapter(hub, pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    translator = Translator(make_model(len(words), seed=14), tokenizer, max_source_length=LIMIT)
    results = translator.translate([*texts, ""], max_length=29)
    assert results[-1].text == ""
    assert len({result.text for result in results}) > 3
    alone = [translator.translate([text], max_length=29)[0] for text in texts]
    assert_same(results[:19], alone)
    assert set(results[0].source_tokens) <= set(words)


def word_pieces(words):
    hub = pytest.importorskip("keras_hub", reason="keras-hub needs Keras 3.15").tokenizers
    return hub.WordPieceTokenizer(vocabulary=words, oov_token="[UNK]")


def test_a_foreign_tokenizer_cannot_be_saved(tmp_path):
    words = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS]
    hub = word_pieces(words)
    tokenizer = TokenizerAdapter(hub, pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    translator = Translator(make_model(len(words)), tokenizer)
    with pytest.raises(
        TypeError, match=r"Received: TokenizerAdapter\. Save this tokenizer in a file"
    ):
        translator.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_is_saved_is_loaded(translator, texts, tmp_path):
    translator.about = {"source_language": "en", "seed": 5}
    translator.save(tmp_path / "a" / "run")
    loaded = Translator.load(tmp_path / "a" / "run")
    assert_same(translator.translate(texts, **BEAMS), loaded.translate(texts, **BEAMS))
    assert loaded.max_source_length == LIMIT
    assert loaded.about == {"source_language": "en", "seed": 5}
    names = sorted(path.name for path in (tmp_path / "a" / "run").iterdir())
    assert names == ["model.weights.h5", "run.json", "tokenizer.model"]


def test_a_run_that_could_not_be_replaced_is_no_run(translator, tokenizer, tmp_path):
    target = Tokenizer.train(["un deux trois", "quatre cinq sept"], 277, model_type="bpe")
    Translator(make_model(307, target_vocabulary_size=277), tokenizer, target).save(tmp_path)
    (tmp_path / "model.weights.h5").unlink()
    (tmp_path / "model.weights.h5" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"model\.weights\.h5"):
        translator.save(tmp_path)
    with pytest.raises(RunError, match=r"holds no run\.json"):
        Translator.load(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["model.weights.h5", "tokenizer.model"]


def test_two_vocabularies_are_saved_and_loaded(tokenizer, tmp_path):
    target = Tokenizer.train(["un deux trois", "quatre cinq sept"], 277, model_type="bpe")
    model = make_model(307, target_vocabulary_size=277, num_decoder_layers=1)
    translator = Translator(model, tokenizer, target, max_source_length=LIMIT)
    translator.save(tmp_path)
    loaded = Translator.load(tmp_path)
    assert loaded.target_tokenizer.vocabulary_size() == 277
    assert (loaded.tokenizer.model, loaded.target_tokenizer.model) == (
        tokenizer.model,
        target.model,
    )
    for one, other in zip(model.get_weights(), loaded.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("changes", [
    {"norm": "pre", "positions": "learned"}, {"positions": "t2t", "dtype": "mixed_bfloat16"},
])  # fmt: skip
def test_every_kind_of_model_is_saved_and_loaded(changes, tokenizer, tmp_path):
    model = make_model(307, **changes)
    Translator(model, tokenizer).save(tmp_path)
    loaded = Translator.load(tmp_path).model
    assert loaded.get_config() | {"name": ""} == model.get_config() | {"name": ""}
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_run_json_tells_what_there_is(translator, tmp_path):
    translator.save(tmp_path)
    description = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert description["format_version"] == 4
    assert description["model"]["config"]["d_model"] == 12
    assert description["special_ids"] == {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    assert {"keras", "keras-transformer"} <= set(description["versions"])


@pytest.mark.slow
def test_the_optimizer_is_not_in_the_run(tokenizer, tmp_path):
    model = make_model(307)
    Translator(model, tokenizer).save(tmp_path / "before")
    model.compile(keras.optimizers.Adam(), loss=TokenCrossEntropy(), run_eagerly=True)
    ids = np.full((3, 7), 5, "int32")
    model.fit({"source": ids, "target": ids}, ids, verbose=0)
    optimizer = model.optimizer
    Translator(model, tokenizer).save(tmp_path / "after")
    before, after = (
        (tmp_path / name / "model.weights.h5").stat().st_size for name in ("before", "after")
    )
    assert after < 1.1 * before
    assert model.optimizer is optimizer


@pytest.mark.parametrize("kept", [0, 1, 600, 40_000])
def test_weights_that_were_cut_off_are_an_error(translator, tmp_path, kept):
    translator.save(tmp_path)
    path = tmp_path / "model.weights.h5"
    assert path.stat().st_size > kept
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RunError, match=r"model\.weights\.h5 is damaged or belongs") as caught:
        Translator.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [
    {"model": [1, 2]}, {"norm": "middle"}, {"model": None}, {"model": {"vocabulary_size": 307}},
    {"dtype": "float3"}, {"vocabulary_size": -3}, {"dtype": {"class_name": "No"}},
    {"max_source_length": "long"}, {"max_source_length": 1e400}, {"special_ids": None},
    {"shared_vocabulary": None, "vocabulary_size": [3]},
])  # fmt: skip
def test_odd_values_in_run_json_are_an_error(translator, tmp_path, changes):
    changes = dict(changes)
    translator.save(tmp_path)
    path = tmp_path / "run.json"
    description = json.loads(path.read_text())
    config = description["model"]["config"]
    config |= {key: changes.pop(key) for key in set(changes) & set(config)}
    path.write_text(json.dumps(description | changes))
    with pytest.raises(RunError, match=r"run\.json does not describe a model"):
        Translator.load(tmp_path)


def test_weights_of_a_larger_model_are_an_error(tokenizer, tmp_path):
    Translator(make_model(307, num_layers=2), tokenizer).save(tmp_path)
    path = tmp_path / "run.json"
    description = json.loads(path.read_text())
    description["model"]["config"]["num_decoder_layers"] = 1
    path.write_text(json.dumps(description))
    with pytest.raises(RunError, match=r"another model \(it holds [\d,]+ parameters, the model"):
        Translator.load(tmp_path)


def test_a_tokenizer_with_other_ids_is_an_error(translator, tmp_path):
    translator.save(tmp_path)
    path = tmp_path / "run.json"
    description = json.loads(path.read_text())
    description["special_ids"] |= {"bos_id": 2, "eos_id": 1}
    path.write_text(json.dumps(description))
    with pytest.raises(RunError, match="tokenizer do not belong together"):
        Translator.load(tmp_path)


def test_a_run_of_two_vocabularies_needs_both(tokenizer, tmp_path):
    target = Tokenizer.train(["un deux trois", "quatre cinq sept"], 277, model_type="bpe")
    Translator(make_model(307, target_vocabulary_size=277), tokenizer, target).save(tmp_path)
    (tmp_path / "target_tokenizer.model").unlink()
    with pytest.raises(RunError, match=r"tokenizer cannot be read: .*target_tokenizer\.model"):
        Translator.load(tmp_path)


def test_model_and_tokenizer_pad_alike(tokenizer):
    with pytest.raises(
        ValueError, match=r"must have the same padding id.*model 3, source 0, target 0"
    ):
        Translator(make_model(tokenizer.vocabulary_size(), pad_id=3), tokenizer)


@pytest.mark.parametrize(("limit", "possible"), [(14, True), (16, True), (17, False)])
def test_learned_positions_must_reach(tokenizer, limit, possible):
    """16 source positions have results of up to 66 tokens, 17 are padded to 32."""
    model = make_model(tokenizer.vocabulary_size(), positions="learned", max_length=67)
    if possible:
        assert Translator(model, tokenizer, max_source_length=limit)
        return
    with pytest.raises(ValueError, match="has learned 67 positions, but sources of up to 17"):
        Translator(model, tokenizer, max_source_length=limit)


def test_a_source_has_room_for_a_token_and_the_end(tokenizer):
    with pytest.raises(ValueError, match=r"`max_source_length` must be at least 2.*Received: 1"):
        Translator(make_model(tokenizer.vocabulary_size()), tokenizer, max_source_length=1)
