import numpy as np
import pytest

from keras_transformer.text import TokenizerAdapter, TokenizerProtocol

hub = pytest.importorskip("keras_hub", reason="keras-hub needs Keras 3.15").tokenizers

WORDS = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "the", "cat", "##s", "sat", "dog"]
IDS = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}


def word_piece(**options):
    options = {"vocabulary": WORDS, "oov_token": "[UNK]", "lowercase": True, **options}
    return hub.WordPieceTokenizer(**options)


@pytest.fixture(scope="module")
def words():
    return TokenizerAdapter(word_piece(), **IDS)


def test_a_word_piece_tokenizer_returns_lists(words):
    assert isinstance(words, TokenizerProtocol)
    assert words.vocabulary_size() == 9
    assert words.tokenize("The cats sat") == [4, 5, 6, 7]
    assert words.tokenize(["the cats", "", "zebra"]) == [[4, 5, 6], [], [3]]
    assert words.tokenize([]) == []
    assert words.tokenize("") == []
    assert {type(id) for id in words.tokenize("the cats")} == {int}


def test_ids_come_back_as_text(words):
    assert words.detokenize([1, 4, 5, 6, 2, 0]) == "the cats"
    assert words.detokenize(np.array([[1, 4, 5], [7, 2, 0]])) == ["the cat", "sat"]
    assert words.detokenize([]) == ""
    assert words.detokenize([[1, 2], [8]]) == ["", "dog"]


def test_tokens_have_ids(words):
    assert words.id_to_token(5) == "cat"
    assert words.token_to_id("cat") == 5


@pytest.mark.parametrize("ids", [[4, 9], [[4], [-1]]])
def test_ids_outside_the_vocabulary_are_named(words, ids):
    with pytest.raises(ValueError, match=r"^Ids must be between 0 and 8\. Received: (9|-1)$"):
        words.detokenize(ids)


def test_a_sentence_piece_tokenizer_gives_our_ids(bpe):
    foreign = TokenizerAdapter(hub.SentencePieceTokenizer(proto=bpe.model), **IDS)
    texts = ["the cat sat", "", "日本語 müde"]
    assert foreign.tokenize(texts) == bpe.tokenize(texts)
    assert foreign.tokenize(texts[0]) == bpe.tokenize(texts[0])
    assert foreign.detokenize(bpe.tokenize(texts)) == texts


class InTensors:
    """A tokenizer whose results are tensors: bytes of the text, shifted past the special ids."""

    def __init__(self, tensorflow):
        self.tf = tensorflow

    def vocabulary_size(self):
        return 260

    def tokenize(self, text):
        ids = self.tf.io.decode_raw(text, self.tf.uint8) if isinstance(text, str) else None
        if ids is not None:
            return self.tf.cast(ids, self.tf.int32) + 4
        return self.tf.ragged.constant([[4 + byte for byte in one.encode()] for one in text])

    def detokenize(self, ids):
        return self.tf.constant(bytes(id - 4 for id in ids))


def test_tensors_and_ragged_tensors_become_lists():
    foreign = TokenizerAdapter(InTensors(pytest.importorskip("tensorflow")), **IDS)
    assert foreign.tokenize("ab") == [101, 102]
    assert foreign.tokenize(["ab", "c"]) == [[101, 102], [103]]
    assert foreign.detokenize([101, 102]) == "ab"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"eos_id": 1}, r"^The special ids must be four different ids\. .* bos_id=1, eos_id=1"),
        ({"unk_id": 9}, r"^Every special id must be in the vocabulary, between 0 and 8\. .*=9"),
        ({"pad_id": -1}, r"^Every special id must be in the vocabulary, .* pad_id=-1"),
    ],
)
def test_special_ids_are_checked(changed, message):
    with pytest.raises(ValueError, match=message):
        TokenizerAdapter(word_piece(), **{**IDS, **changed})


def test_a_tokenizer_that_pads_is_refused():
    with pytest.raises(ValueError, match=r"nothing cut or added\. Received one with sequence_len"):
        TokenizerAdapter(word_piece(sequence_length=5), **IDS)


def test_a_tokenizer_that_adds_bos_is_refused(bpe):
    tokenizer = hub.SentencePieceTokenizer(proto=bpe.model, add_bos=True)
    with pytest.raises(ValueError, match="add_bos=True"):
        TokenizerAdapter(tokenizer, **IDS)


def test_the_fingerprint_tells_tokenizers_apart(words):
    same = TokenizerAdapter(word_piece(), **IDS)
    others = [
        TokenizerAdapter(word_piece(lowercase=False), **IDS),
        TokenizerAdapter(word_piece(vocabulary=[*WORDS[:-1], "cow"]), **IDS),
        TokenizerAdapter(word_piece(), **{**IDS, "bos_id": 2, "eos_id": 1}),
    ]
    assert words.fingerprint == same.fingerprint
    assert len({words.fingerprint, *(other.fingerprint for other in others)}) == 4
