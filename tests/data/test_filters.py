import pytest

from keras_transformer.data import Corpus, Entry, FilterReport, InMemoryCorpus, PairFilter


def characters(texts: list[str]) -> list[list[int]]:
    """Tokenizes into the characters that are no full stop."""
    return [[ord(one) for one in text if one != "."] for text in texts]


def kept_of(corpus, filters, chunk_size=100):
    report = FilterReport()
    chunks = filters.tokenized(corpus, characters, characters, report, chunk_size)
    kept = [
        ("".join(map(chr, source)), "".join(map(chr, target)))
        for chunk in chunks
        for source, target in zip(*chunk, strict=True)
    ]
    assert report.kept == len(kept)
    assert report.read == report.kept + sum(report.left_out.values())
    return kept, report


class WithProblems(Corpus):
    def entries(self):
        yield Entry(1, "a", "b")
        yield Entry(2, "", "", "not UTF-8")
        yield Entry(3, "", "", "no tab")
        yield Entry(4, "", "", "not UTF-8")


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
def test_problems_are_counted_with_their_lines(chunk_size):
    kept, report = kept_of(WithProblems(), PairFilter(), chunk_size)
    assert kept == [("a", "b")]
    assert report.left_out == {"not UTF-8": 2, "no tab": 1}
    assert report.first_lines == {"not UTF-8": [2, 4], "no tab": [3]}


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
def test_empty_sides_are_left_out(chunk_size):
    pairs = [("a", ""), ("", "b"), (" \t", "b"), ("...", "b"), ("a", "b"), ("a", "..")]
    kept, report = kept_of(InMemoryCorpus(pairs), PairFilter(), chunk_size)
    assert kept == [("a", "b")]
    assert report.left_out == {"empty side": 5}
    assert sorted(report.first_lines["empty side"]) == [1, 2, 3, 4, 6]


def test_a_side_may_have_max_length_tokens_with_its_end():
    pairs = [("abcd", "x"), ("abcde", "x"), ("x", "abcde"), ("x", "abcd")]
    kept, report = kept_of(InMemoryCorpus(pairs), PairFilter(max_length=5))
    assert kept == [("abcd", "x"), ("x", "abcd")]
    assert report.first_lines == {"too long": [2, 3]}


def test_the_ratio_of_lengths_is_bounded():
    pairs = [("ab", "abcde"), ("ab", "abcdef"), ("abcdef", "ab"), ("a", "ab")]
    kept, report = kept_of(InMemoryCorpus(pairs), PairFilter(max_ratio=2.5))
    assert kept == [("ab", "abcde"), ("a", "ab")]
    assert report.first_lines == {"length ratio": [2, 3]}


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_only_the_first_of_equal_pairs_stays(chunk_size):
    pairs = [("a", "b"), ("a", "c"), ("a", "b"), ("b", "a"), ("a", "b")]
    kept, report = kept_of(InMemoryCorpus(pairs), PairFilter(), chunk_size)
    assert kept == [("a", "b"), ("a", "c"), ("b", "a")]
    assert report.first_lines == {"duplicate": [3, 5]}
    kept, _ = kept_of(InMemoryCorpus(pairs), PairFilter(drop_duplicates=False), chunk_size)
    assert kept == pairs


def test_copies_are_left_out_on_request():
    pairs = [("a", "a"), ("a", "b")]
    assert kept_of(InMemoryCorpus(pairs), PairFilter())[0] == pairs
    kept, report = kept_of(InMemoryCorpus(pairs), PairFilter(drop_copies=True))
    assert kept == [("a", "b")]
    assert report.first_lines == {"copy": [1]}


def test_a_line_has_one_reason():
    pairs = [("abcdef", ""), ("abcdef", "a")]
    _, report = kept_of(InMemoryCorpus(pairs), PairFilter(max_length=3, max_ratio=2))
    assert report.left_out == {"empty side": 1, "too long": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 1}, r"^`max_length` must be at least 2, .* Received: 1$"),
        ({"max_ratio": 0.5}, r"^`max_ratio` must be at least 1 or None\. Received: 0\.5$"),
    ],
)
def test_senseless_bounds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PairFilter(**options)
