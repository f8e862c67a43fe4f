import subprocess
import sys

import pytest

from keras_transformer.data import Corpus, Entry, InMemoryCorpus
from keras_transformer.data.phrasebook import phrasebook


class Marked(Corpus):
    def entries(self):
        yield Entry(1, "a", "b")
        yield Entry(2, "", "", "not UTF-8")
        yield Entry(3, "c", "d")


def test_iterating_passes_over_problems():
    assert list(Marked()) == [("a", "b"), ("c", "d")]
    assert list(Marked().sentences()) == ["a", "b", "c", "d"]


def test_a_corpus_in_memory_can_be_read_twice():
    corpus = InMemoryCorpus(pair for pair in [("a", "b"), ("", "d")])
    assert list(corpus) == list(corpus) == [("a", "b"), ("", "d")]
    assert [entry.line for entry in corpus.entries()] == [1, 2]


def test_the_fingerprint_follows_the_pairs():
    corpora = [[("a", "b")], [("a", "c")], [("ab", "")], [("a", "b"), ("a", "b")]]
    prints = {InMemoryCorpus(pairs).fingerprint() for pairs in corpora}
    assert len(prints) == 4
    assert InMemoryCorpus((("a", "b"),)).fingerprint() in prints


def test_no_pairs_are_an_error():
    with pytest.raises(ValueError, match=r"^`pairs` must hold at least one .* Received none\.$"):
        InMemoryCorpus([])


@pytest.mark.parametrize("pair", [("a",), ("a", "b", "c"), ("a", float("nan")), "ab"])
def test_what_is_no_pair_of_strings_is_an_error(pair):
    with pytest.raises(ValueError, match=r"^`pairs` must hold \(source, target\) strings, .*: .*a"):
        InMemoryCorpus([("x", "y"), pair])


def test_the_phrasebook_is_pairs_in_memory():
    corpus = InMemoryCorpus(phrasebook(seed=0).train)
    assert all(source and target for source, target in corpus)


def test_data_does_not_load_tensorflow():
    program = "import sys, keras_transformer.data; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
