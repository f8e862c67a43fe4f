import itertools

import numpy as np
import pytest

from keras_transformer import RunError, Translator
from keras_transformer.decoding.shortlist import Shortlist
from keras_transformer.translation.shortlisting import make_shortlist
from tests.conftest import searches_without_xla
from tests.translation.conftest import BYTES, LIMIT, WORDS, make_model, sentences

pytestmark = pytest.mark.usefixtures("one_size", "without_xla")
OPTIONS = {"beam_size": 4, "top_beams": 2, "max_length": 11}


@pytest.fixture(scope="module")
def pairs():
    """Word n is translated by word n + 1."""
    following = dict(zip(WORDS, [*WORDS[1:], WORDS[0]], strict=True))
    sources = sentences(97, seed=5)
    return [(text, " ".join(map(following.get, text.split()))) for text in sources]


@pytest.fixture(scope="module")
def shortlist(translator, pairs):
    return make_shortlist(translator, pairs, candidates=2, num_frequent=5, size=19)


def with_shortlist(translator, shortlist):
    with searches_without_xla():
        return Translator(
            translator.model, translator.tokenizer, max_source_length=LIMIT, shortlist=shortlist
        )


@pytest.fixture(scope="module")
def listed(translator, shortlist):
    return with_shortlist(translator, shortlist)


def test_translations_of_words_are_candidates(translator, shortlist):
    ids = {word: translator.tokenizer.tokenize(word) for word in WORDS}
    single = [word for word in WORDS if len(ids[word]) == 1]
    assert len(single) > 3
    for word, following in itertools.pairwise(WORDS):
        if word in single and following in single:
            assert shortlist.candidates[ids[word][0], 0] == ids[following][0]
    assert shortlist.candidates.shape == (translator.tokenizer.vocabulary_size(), 2)
    assert (shortlist.size, shortlist.num_frequent) == (19, 5)
    assert translator.tokenizer.eos_id in shortlist.frequent[:2]


@pytest.mark.slow
def test_only_chosen_tokens_are_written(listed, translator, texts):
    tokenizer = translator.tokenizer
    found = listed.translate(texts, **OPTIONS)
    assert [one.text for one in found] != [one.text for one in translator.translate(texts)]
    for text, translation in zip(texts, found, strict=True):
        if translation.parts > 1:
            continue
        source = np.array([[*tokenizer.tokenize(text), tokenizer.eos_id]])
        chosen = set(np.asarray(listed.shortlist.choose(source, [0, 1, 2]))[0].tolist())
        for hypothesis in translation.hypotheses:
            assert {tokenizer.token_to_id(token) for token in hypothesis.tokens} <= chosen


@pytest.mark.slow
def test_a_text_does_not_depend_on_its_company(listed, texts):
    together = listed.translate(texts, **OPTIONS)
    for text, translation in zip(texts[:3], together, strict=False):
        alone = listed.translate([text], **OPTIONS)[0]
        assert alone.text == translation.text
        assert alone.score == pytest.approx(translation.score, abs=1e-4)


@pytest.mark.slow
def test_a_prefix_has_any_words(listed):
    prefixes = ["street dog", "", "cat"]
    found = listed.translate(["one", "two", "three"], prefixes=prefixes, **OPTIONS)
    for prefix, translation in zip(prefixes, found, strict=True):
        assert translation.text.startswith(prefix)


@pytest.mark.slow
def test_it_is_saved_with_the_run(listed, translator, texts, tmp_path):
    listed.save(tmp_path)
    with searches_without_xla():
        loaded = Translator.load(tmp_path, shortlist=True)
        without = Translator.load(tmp_path)
    texts = texts[:5]
    expected = listed.translate(texts, **OPTIONS)
    assert [one.text for one in loaded.translate(texts, **OPTIONS)] == [
        one.text for one in expected
    ]
    assert without.shortlist is None
    without.save(tmp_path)  # of other weights, perhaps
    with pytest.raises(RunError, match=r"has no shortlist\. Add one to it with `python -m"):
        Translator.load(tmp_path, shortlist=True)
    (tmp_path / "shortlist.npz").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"shortlist\.npz is not a shortlist"):
        Translator.load(tmp_path, shortlist=True)


@pytest.mark.slow
def test_one_may_be_assigned(listed, translator, texts):
    other = with_shortlist(translator, None)
    assert other.shortlist is None
    with searches_without_xla():
        other.shortlist = listed.shortlist
    found = [one.text for one in other.translate(texts[:5], **OPTIONS)]
    assert found == [one.text for one in listed.translate(texts[:5], **OPTIONS)]


def test_another_model_keeps_the_shortlist(listed, tokenizer):
    model = make_model(tokenizer.vocabulary_size(), seed=31, like_eos=285, seldom=BYTES)
    with searches_without_xla():
        translator = Translator(
            listed.model, tokenizer, max_source_length=LIMIT, shortlist=listed.shortlist
        )
        translator.model = model
    assert translator._generator.shortlist is listed.shortlist


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": 0}, "`candidates` and .* at least 1.*candidates=0"),
        ({"num_frequent": -1}, "num_frequent=-1"),
        ({"num_frequent": 16}, r"`num_frequent` \+ 3\. Received.*num_frequent=16, size=19"),
        ({"pairs": []}, "`pairs` has no sentence pairs of at most 13 tokens"),
    ],
)
def test_making_one_refuses(translator, pairs, changes, message):
    options = {"pairs": pairs[:3], "candidates": 2, "num_frequent": 5, "size": 19, **changes}
    with pytest.raises(ValueError, match=message):
        make_shortlist(translator, **options)


def test_a_shortlist_of_other_ids_is_refused(translator):
    large = Shortlist(np.zeros((307, 1), int), np.arange(304, 308), 1)
    with pytest.raises(ValueError, match="for 307 source ids and more than 307 target ids, but"):
        with_shortlist(translator, large)


def test_a_shortlist_of_another_vocabulary_is_refused(translator):
    small = Shortlist(np.zeros((306, 1), int), np.arange(9), 1)
    with pytest.raises(ValueError, match=r"for 306 source ids .*, but there are 307 and 307"):
        with_shortlist(translator, small)
    with pytest.raises(TypeError, match=r"`shortlist` must be a `Shortlist`.*Received: True"):
        with_shortlist(translator, True)


def test_a_prefix_of_too_many_tokens_is_refused(listed):
    with pytest.raises(ValueError, match=r"prefix of text 2 has .* but the shortlist has 16"):
        listed.translate(["one", "two"], prefixes=["", "abcdefghijklmnopqrstuvwxyz"])


def test_a_run_that_is_not_there_is_told_first(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        Translator.load(tmp_path / "missing", shortlist=True)


def test_a_model_that_is_quantized_later_is_refused(translator, shortlist, tokenizer):
    model = make_model(tokenizer.vocabulary_size())
    with searches_without_xla():
        own = Translator(model, tokenizer, max_source_length=LIMIT, shortlist=shortlist)
    model.target_embedding.tokens.quantize("int8")
    with pytest.raises(ValueError, match="quantized output layer cannot be limited"):
        own.translate(["one"])


def test_a_quantized_output_layer_is_refused(tokenizer, shortlist):
    model = make_model(tokenizer.vocabulary_size())
    model.target_embedding.tokens.quantize("int8")
    with pytest.raises(ValueError, match=r"not quantized\. Received: a model quantized to int8"):
        Translator(model, tokenizer, max_source_length=LIMIT, shortlist=shortlist)


def test_another_engine_refuses_it(tmp_path):
    with pytest.raises(ValueError, match=r"option of the engine keras\. Received: 'ctranslate2'"):
        Translator.load(tmp_path, "ctranslate2", shortlist=True)
