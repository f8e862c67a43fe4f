"""The training set is large, even and made of enough words and patterns."""

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict

import pytest

from keras_transformer.data.phrasebook import phrasebook

LANGUAGES = (("english", 0), ("french", 1))


def counts(pairs, side, language, words):
    return Counter(word for pair in pairs for word in words(language, pair[side]))


def test_there_are_between_40_and_60_thousand_distinct_pairs(corpus):
    assert len(set(corpus.train)) == len(corpus.train)
    assert 40_000 <= len(corpus.train) <= 60_000


def test_sets_have_the_sizes_that_are_promised(corpus):
    assert 450 <= len(corpus.validation) <= 600
    assert set(corpus.held_out) == {"everyday", "coreference"}
    assert all(950 <= len(pairs) <= 1100 for pairs in corpus.held_out.values())


def test_translation_is_a_function_and_no_sentence_is_in_two_sets(every_pair):
    sources, targets = zip(*every_pair, strict=True)
    assert len(set(sources)) == len(sources)
    assert len(set(targets)) == len(targets)


def test_every_pattern_has_its_share(corpus):
    shares = Counter(corpus.patterns[source] for source, _ in corpus.train)
    assert len(shares) >= 60
    assert min(shares.values()) >= 0.005 * len(corpus.train)


def test_coreference_is_a_fifth_of_training(corpus):
    share = sum(" because it " in source for source, _ in corpus.train) / len(corpus.train)
    assert 0.2 <= share <= 0.25


@pytest.mark.parametrize(("language", "side"), LANGUAGES)
def test_words_are_many_and_each_is_frequent(corpus, words, language, side):
    seen = counts(corpus.train, side, language, words)
    assert len(seen) >= 600
    assert {word: n for word, n in seen.items() if n < 20} == {}


@pytest.mark.parametrize(("language", "side"), LANGUAGES)
def test_every_word_is_in_two_patterns(corpus, words, language, side):
    places = defaultdict(set)
    for pair in corpus.train:
        for word in words(language, pair[side]):
            places[word].add(corpus.patterns[pair[0]])
    assert {word: patterns for word, patterns in places.items() if len(patterns) < 2} == {}


@pytest.mark.parametrize("side", [0, 1])
def test_no_sentence_is_long(every_pair, side):
    lengths = [sum(token[0].isalpha() for token in pair[side].split()) for pair in every_pair]
    assert max(lengths) <= 16
    assert sum(4 <= n <= 12 for n in lengths) >= 0.9 * len(lengths)


def test_the_articles_first_sentence_and_thanks_are_trained(corpus):
    train = dict(corpus.train)
    assert train["I am a student."] == "Je suis étudiant."
    assert train["Thanks!"] == "Merci !"


def fingerprint(corpus):
    return hashlib.sha256(repr(corpus).encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_same_seed_gives_the_same_corpus_in_any_process(corpus, hash_seed):
    program = (
        "import hashlib\n"
        "from keras_transformer.data.phrasebook import phrasebook\n"
        "print(hashlib.sha256(repr(phrasebook(seed=0)).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == fingerprint(corpus)


@pytest.mark.slow
def test_another_seed_gives_another_corpus_as_large_and_even(corpus, words):
    start = time.process_time()
    other = phrasebook(seed=3)
    assert time.process_time() - start < 15
    assert fingerprint(other) != fingerprint(corpus)
    assert len(other.train) >= 40_000
    for language, side in LANGUAGES:
        assert min(counts(other.train, side, language, words).values()) >= 20


def test_tensorflow_is_not_needed():
    program = (
        "import sys\n"
        "from keras_transformer.data.phrasebook import phrasebook\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
