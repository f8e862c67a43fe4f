import gzip
import os
from pathlib import Path

import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from keras_transformer.text import Tokenizer

tensorflow_text = pytest.importorskip("tensorflow_text", reason="tensorflow-text is not installed")

MULTI30K = os.environ.get("KERAS_TRANSFORMER_MULTI30K", "")
HARD = [
    "",
    " ",
    "the cat sat on the mat",
    "  runs   of spaces ",
    "😀👩‍👩‍👧 e\u0301 ½ ﬁ",
    "שלום עולם",
    "日本語のテキスト",
    "a\x01\x02\x1f\x7f\x85b",
    "line\nline\r\nline\ttab",
    "nul\0nul",
    "<s> </s> <pad> <unk> <0x41>",
    "\u2581 \u2028 \ufeff \ufffd \U0010ffff",
]
BROKEN = [b"\xff\xfea", b"a\xed\xa0\x80b", b"\xc3", b"\xe3\x81", b"\xf0\x9f\x98x", b"\xc0\x80"]
BPE = Tokenizer.train(["the cat sat", "die Straße ist breit"] * 3, 293, model_type="bpe")


def same_in_graph(tokenizer, texts: list[str]) -> bool:
    raw = [text.encode("utf-8", "surrogateescape") for text in texts]
    ids = tokenizer.tokenize_in_graph(tf.constant(raw, tf.string))
    assert ids.dtype == tf.int32
    return ids.to_list() == tokenizer.tokenize(texts)


def test_hard_strings_have_the_same_ids(tokenizer):
    assert same_in_graph(tokenizer, HARD)


def test_bytes_that_are_not_utf8_have_the_same_ids(tokenizer):
    texts = [raw.decode("utf-8", "surrogateescape") for raw in BROKEN]
    assert same_in_graph(tokenizer, texts)
    assert all(tokenizer.tokenize(text) for text in texts)


@given(st.lists(st.text(), min_size=1, max_size=7))
@settings(max_examples=150, deadline=None)
def test_any_text_has_the_same_ids(texts):
    assert same_in_graph(BPE, texts)


@given(st.binary(max_size=31))
@settings(max_examples=150, deadline=None)
def test_any_bytes_have_the_same_ids(raw):
    assert same_in_graph(BPE, [raw.decode("utf-8", "surrogateescape")])


@given(st.lists(st.lists(st.integers(0, 292), max_size=11), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_ids_are_the_same_text(rows):
    in_graph = BPE.detokenize_in_graph(tf.ragged.constant(rows, tf.int32, ragged_rank=1))
    assert [text.decode() for text in in_graph.numpy()] == BPE.detokenize(rows)


def test_padded_ids_are_detokenized(bpe):
    ids = [[bpe.bos_id, *bpe.tokenize("the cat"), bpe.eos_id, bpe.pad_id]]
    assert bpe.detokenize_in_graph(tf.constant(ids, tf.int64)).numpy().tolist() == [b"the cat"]


def test_a_tokenizer_first_used_inside_a_dataset_works_anywhere(bpe):
    fresh = Tokenizer(bpe.model)
    dataset = tf.data.Dataset.from_tensors(["the cat", "sat"]).map(fresh.tokenize_in_graph)
    assert next(iter(dataset)).to_list() == bpe.tokenize(["the cat", "sat"])
    del dataset
    assert fresh.tokenize_in_graph(tf.constant(["sat"])).to_list() == bpe.tokenize(["sat"])


def test_the_model_travels_with_an_exported_module(bpe, tmp_path):
    module = tf.Module()
    module.tokenizer = bpe.in_graph

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def there_and_back(texts):
        return bpe.detokenize_in_graph(bpe.tokenize_in_graph(texts))

    module.there_and_back = there_and_back
    tf.saved_model.save(module, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert loaded.there_and_back(tf.constant(["the cat"])).numpy().tolist() == [b"the cat"]


# What the two libraries do with ties. "tt" and "t" may make "ttt" in two orders.

LETTERS = "abcdefghilmnorstuw.!?-"
REPEATED = [
    f"{letter * count}{end}"
    for letter in LETTERS
    for count in range(2, 17)
    for end in ("", "a", " x", ".de")
]


def unigram_of_doubled_letters():
    """A tokenizer that knows "t" and "tt", "." and "..", and so on."""
    model = Tokenizer.train(["the cat sat", "a dog ran"] * 5, 273).model
    proto = ModelProto.FromString(model)
    known = {piece.piece for piece in proto.pieces}
    for number, letter in enumerate(LETTERS):
        for piece, score in ((letter, -7 - number / 8), (letter * 2, -9 - number / 8)):
            if piece not in known:
                proto.pieces.add(piece=piece, score=score)
    return Tokenizer(proto.SerializeToString())


def log_prob(tokenizer, ids):
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    return sum(processor.get_score(id) for id in ids)


def test_ties_of_a_unigram_model_are_all_that_differs():
    """The same tokens in another order, which are as probable."""
    tokenizer = unigram_of_doubled_letters()
    live = tokenizer.tokenize(REPEATED)
    in_graph = tokenizer.tokenize_in_graph(tf.constant(REPEATED)).to_list()
    different = [pair for pair in zip(live, in_graph, strict=True) if pair[0] != pair[1]]
    assert different
    for one, other in different:
        assert sorted(one) == sorted(other)
        assert tokenizer.detokenize(one) == tokenizer.detokenize(other)
        assert log_prob(tokenizer, one) == pytest.approx(log_prob(tokenizer, other), abs=1e-4)


def test_a_bpe_model_has_no_ties():
    words = [letter * count for letter in LETTERS for count in (1, 2, 3, 5)]
    tokenizer = Tokenizer.train(words * 3, 331, model_type="bpe")
    assert tokenizer.token_to_id("tt") != tokenizer.unk_id
    assert same_in_graph(tokenizer, REPEATED)


@pytest.mark.slow
@pytest.mark.skipif(not MULTI30K, reason="KERAS_TRANSFORMER_MULTI30K names no folder")
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_captions_have_no_ties(model_type):
    """29,000 lines in each of three languages, of which the tokenizer knows two."""
    texts = {
        language: gzip.decompress(Path(MULTI30K, f"train.{language}.gz").read_bytes())
        .decode()
        .splitlines()
        for language in ("en", "de", "fr")
    }
    tokenizer = Tokenizer.train(texts["en"] + texts["de"], 8000, model_type=model_type)
    assert all(same_in_graph(tokenizer, lines) for lines in texts.values())
