import json
import resource
import shutil

import numpy as np
import pytest

from keras_transformer.data import Corpus, Entry, InMemoryCorpus, PairFilter, TokenCache
from keras_transformer.text import Tokenizer


class Counting(InMemoryCorpus):
    """Counts how often it is read."""

    reads = 0

    def entries(self):
        self.reads += 1
        return super().entries()


@pytest.fixture
def corpus(pairs):
    return Counting(pairs[:101])


def test_every_pair_is_there_as_the_tokenizer_gives_it(cache, pairs, tokenizer):
    assert len(cache) == len(pairs) == 1009
    for number in (0, 1, 500, 1008):
        source, target = (tokenizer.tokenize(text) for text in pairs[number])
        assert cache.source(number).tolist() == [*source, tokenizer.eos_id]
        assert cache.target(number).tolist() == [tokenizer.bos_id, *target, tokenizer.eos_id]
    for side, ids in (("source", cache.source), ("target", cache.target)):
        texts = [tokenizer.detokenize(ids(number)) for number in range(len(cache))]
        assert texts == [pair[side == "target"] for pair in pairs]


def test_lengths_are_what_the_model_sees(cache, pairs, tokenizer):
    sources, targets = (tokenizer.tokenize(list(side)) for side in zip(*pairs, strict=True))
    assert cache.source_lengths.tolist() == [len(ids) + 1 for ids in sources]
    assert cache.target_lengths.tolist() == [len(ids) + 1 for ids in targets]
    assert cache.lengths.tolist() == [
        list(lengths) for lengths in zip(cache.source_lengths, cache.target_lengths, strict=True)
    ]


def test_ids_take_two_bytes_and_are_mapped(cache):
    assert isinstance(cache.source_ids, np.memmap)
    assert cache.source_ids.dtype == cache.target_ids.dtype == np.uint16


@pytest.mark.parametrize("chunk_size", [1, 7, 100, 101, 102])
def test_chunks_leave_no_seam(corpus, tokenizer, tmp_path, chunk_size):
    whole = TokenCache.build(corpus, tokenizer, tmp_path / "whole")
    cache = TokenCache.build(corpus, tokenizer, tmp_path / "cut", chunk_size=chunk_size)
    for name in ("source_ids", "source_offsets", "target_ids", "target_offsets"):
        assert (getattr(cache, name) == getattr(whole, name)).all()
    assert cache.fingerprint == whole.fingerprint


def test_a_large_vocabulary_takes_four_bytes(corpus, tokenizer, tmp_path):
    class Large:
        fingerprint = "large"
        pad_id, bos_id, eos_id, unk_id = 65531, 65532, 65533, 65534

        def vocabulary_size(self):
            return 65536

        def tokenize(self, text):
            return [[65535] * len(one) for one in text]

    cache = TokenCache.build(corpus, Large(), tmp_path / "cache")
    assert cache.source_ids.dtype == np.int32
    assert set(cache.target(3).tolist()) == {65535, 65532, 65533}
    assert cache.source_pad_id == 65531


def test_each_side_may_have_its_own_tokenizer(corpus, tokenizer, tmp_path):
    other = Tokenizer.train((target for _, target in corpus), 289, model_type="unigram")
    joint = TokenCache.build(corpus, tokenizer, tmp_path / "joint")
    cache = TokenCache.build(corpus, tokenizer, tmp_path / "two", target_tokenizer=other)
    assert cache.source(17).tolist() == joint.source(17).tolist()
    assert cache.target(17).tolist()[1:-1] == other.tokenize(corpus.pairs[17][1])
    assert cache.fingerprint != joint.fingerprint


def test_the_same_cache_is_not_built_twice(corpus, tokenizer, tmp_path):
    first = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    second = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    assert corpus.reads == 1
    assert second.fingerprint == first.fingerprint
    assert second.report == first.report


@pytest.mark.parametrize("changed", ["corpus", "tokenizer", "filters"])
def test_another_cache_takes_its_place(corpus, tokenizer, tmp_path, changed):
    arguments = {"corpus": corpus, "tokenizer": tokenizer, "filters": PairFilter()}
    first = TokenCache.build(**arguments, folder=tmp_path / "cache")
    arguments[changed] = {
        "corpus": InMemoryCorpus(corpus.pairs[:97]),
        "tokenizer": Tokenizer.train(corpus.sentences(), 311, model_type="bpe"),
        "filters": PairFilter(max_length=20),
    }[changed]
    second = TokenCache.build(**arguments, folder=tmp_path / "cache")
    assert second.fingerprint != first.fingerprint
    assert second.fingerprint == TokenCache(tmp_path / "cache").fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_the_report_stays_with_the_cache(corpus, tokenizer, tmp_path):
    corpus = InMemoryCorpus([*corpus.pairs, corpus.pairs[3], ("a", " ")])
    TokenCache.build(corpus, tokenizer, tmp_path / "cache", PairFilter(max_length=30))
    report = TokenCache(tmp_path / "cache").report
    assert report.read == 103
    assert report.first_lines["duplicate"] == [102]
    assert report.first_lines["empty side"] == [103]
    assert report.left_out["too long"] == 101 - report.kept > 0


def test_a_build_that_fails_leaves_what_was_there(corpus, tokenizer, tmp_path):
    class Breaking(Corpus):
        def entries(self):
            yield Entry(1, "a", "b")
            raise ValueError("the disk is gone")

        def fingerprint(self):
            return "breaking"

    cache = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    with pytest.raises(ValueError, match=r"^the disk is gone$"):
        TokenCache.build(Breaking(), tokenizer, tmp_path / "cache", chunk_size=1)
    assert TokenCache(tmp_path / "cache").fingerprint == cache.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_full_disk_is_told_and_nothing_half_written_stays(corpus, tokenizer, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(
            OSError, match=r"source\.ids could not be written: File too large\. Free"
        ):
            TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_no_pair_left_is_an_error(tokenizer, tmp_path):
    corpus = InMemoryCorpus([("a", ""), ("the cat", "the dog street")])
    message = r"^No pair is left of 2 lines \(empty side: 1, too long: 1\)\. Check the corpus"
    with pytest.raises(ValueError, match=message):
        TokenCache.build(corpus, tokenizer, tmp_path / "cache", PairFilter(max_length=2))


@pytest.mark.parametrize("name", ["thesis.txt", "cache.json"])
def test_a_folder_that_is_no_cache_is_never_touched(corpus, tokenizer, tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "other.txt").write_text("mine too")
    with pytest.raises(FileExistsError, match=r"is not a token cache\. Choose another"):
        TokenCache.build(corpus, tokenizer, tmp_path)
    with pytest.raises(FileExistsError, match=r"other\.txt is not a token cache"):
        TokenCache.build(corpus, tokenizer, tmp_path / "other.txt")
    assert (tmp_path / name).read_text() == "mine"


def test_an_empty_folder_is_filled(corpus, tokenizer, tmp_path):
    assert len(TokenCache.build(corpus, tokenizer, tmp_path)) == 101


def test_ids_outside_the_vocabulary_are_refused(corpus, tmp_path):
    class Wrong:
        fingerprint = "wrong"
        pad_id, bos_id, eos_id, unk_id = range(4)

        def vocabulary_size(self):
            return 7

        def tokenize(self, text):
            return [[5, 7] for _ in text]

    with pytest.raises(ValueError, match=r"source tokenizer must return ids between 0 and 6\. Rec"):
        TokenCache.build(corpus, Wrong(), tmp_path / "cache")


def test_no_cache_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"^There is no token cache in .*nowhere\. Create one"
    ):
        TokenCache(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["source.ids", "target.offsets"])
def test_a_damaged_cache_is_named_and_built_again(cache, pairs, tokenizer, tmp_path, file):
    folder = tmp_path / "cache"
    shutil.copytree(cache.folder, folder)
    (folder / file).write_bytes((folder / file).read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{file} has \d+ bytes, expected \d+\. The cache is dam"):
        TokenCache(folder)
    TokenCache.build(InMemoryCorpus(pairs), tokenizer, folder)
    assert len(TokenCache(folder)) == len(TokenCache(folder).source_lengths) > 900


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"cache\.json is damaged\. Delete"),
        ("[]", r"cache\.json is damaged\. Delete"),
        (json.dumps({"format": 1, "report": {}}), r"cache\.json is damaged\. Delete"),
        (json.dumps({"format": 97}), r"cache\.json has format 97, expected 1\. Delete"),
    ],
)
def test_a_damaged_description_is_named(cache, tmp_path, text, message):
    folder = tmp_path / "cache"
    shutil.copytree(cache.folder, folder)
    (folder / "cache.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        TokenCache(folder)
