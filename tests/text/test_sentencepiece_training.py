from collections import Counter

import pytest

from keras_transformer.text import Tokenizer
from keras_transformer.text.sentencepiece_training import reservoir_sample, utf8

SENTENCES = ["the cat sat", "the dog ran away", "hello world"]


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_the_largest_possible_vocabulary_is_named_and_possible(model_type):
    message = r"^`vocabulary_size` is larger than these 3 sentences allow: received 50000, the larg"
    with pytest.raises(ValueError, match=message) as caught:
        Tokenizer.train(SENTENCES, 50_000, model_type=model_type)
    largest = int(str(caught.value).split("possible is ")[1].split(".")[0])
    tokenizer = Tokenizer.train(SENTENCES, largest, model_type=model_type)
    assert tokenizer.vocabulary_size() == largest
    with pytest.raises(ValueError, match=f"the largest possible is {largest}"):
        Tokenizer.train(SENTENCES, largest + 1, model_type=model_type)


def test_the_smallest_possible_vocabulary_is_named():
    message = (
        r"^`vocabulary_size` is too small .*: received 7, the smallest possible is \d+\. Request"
    )
    with pytest.raises(ValueError, match=message):
        Tokenizer.train(SENTENCES, 7)


def test_no_text_is_an_error():
    message = r"^None of the 2 sentences received has text that SentencePiece can train on"
    with pytest.raises(ValueError, match=message):
        Tokenizer.train(["", ""], 300)


def test_sentences_must_not_be_one_string():
    with pytest.raises(TypeError, match=r"^`sentences` must be an iterable of sentences"):
        Tokenizer.train("the cat", 300)


@pytest.mark.parametrize("option", ["model_type", "normalization"])
def test_unknown_choices_are_named(option):
    with pytest.raises(ValueError, match=rf"^`{option}` must be one of .*\. Received: 'other'$"):
        Tokenizer.train(SENTENCES, 300, **{option: "other"})


@pytest.mark.parametrize("size", [-1, 0, 4, True, 285.0, "285", None])
def test_a_vocabulary_of_no_number_is_refused(size):
    with pytest.raises(ValueError, match=r"^`vocabulary_size` must be an integer, at least 5: the"):
        Tokenizer.train(SENTENCES, size)


@pytest.mark.parametrize("coverage", [0.5, 1.5, float("nan")])
def test_coverage_is_what_sentencepiece_allows(coverage):
    with pytest.raises(ValueError, match=r"^`character_coverage` must be between 0\.98 and 1, as"):
        Tokenizer.train(SENTENCES, 300, character_coverage=coverage)


def test_training_is_silent(capfd):
    Tokenizer.train(SENTENCES, 285, model_type="bpe")
    assert capfd.readouterr() == ("", "")


def test_training_is_a_function_of_sentences_and_seed():
    sentences = [f"{word} {number}" for number in range(97) for word in ("cat", "dog", "cow")]
    options = {"vocabulary_size": 283, "model_type": "bpe", "max_sentences": 31}
    models = [Tokenizer.train(iter(sentences), seed=seed, **options).model for seed in (5, 5, 6)]
    assert models[0] == models[1] != models[2]


def test_without_byte_fallback_unknown_characters_are_unknown():
    tokenizer = Tokenizer.train(SENTENCES, 29, model_type="bpe", byte_fallback=False)
    assert tokenizer.unk_id in tokenizer.tokenize("日")


def test_sentences_are_streamed_into_a_bounded_sample():
    alive = Counter()

    class Sentence(str):
        def __init__(self, _):
            alive["now"] += 1
            alive["most"] = max(alive["most"], alive["now"])

        def __del__(self):
            alive["now"] -= 1

    sample = reservoir_sample((Sentence(number) for number in range(1009)), 13, seed=0)
    assert len(sample) == 13
    assert alive["most"] <= 15


def test_every_sentence_has_the_same_chance():
    counts = Counter()
    for seed in range(4000):
        counts.update(reservoir_sample(range(11), 3, seed))
    expected = 4000 * 3 / 11
    assert len(counts) == 11
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_a_sample_needs_room():
    with pytest.raises(ValueError, match=r"^`max_sentences` must be at least 1\. Received: 0$"):
        reservoir_sample(["a"], 0, seed=0)


def test_utf8_gives_undecodable_bytes_back():
    raw = b"a\xff\xc3\xa9\xed\xa0"
    assert utf8(raw.decode("utf-8", "surrogateescape")) == raw
    assert utf8("é\ud800") == b"\xc3\xa9\xed\xa0\x80"
