import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer.text import Tokenizer

tensorflow_text = pytest.importorskip("tensorflow_text", reason="tensorflow-text is not installed")

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
