import io
import stat
import subprocess
import sys

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer.text import Tokenizer, TokenizerProtocol

LOSSLESS = Tokenizer.train(
    ["the cat sat", "the dog ran"] * 3, 283, model_type="bpe", normalization="identity"
)


def test_special_ids_are_fixed_at_training(tokenizer):
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) == (0, 1, 2, 3)
    assert tokenizer.vocabulary_size() == 293
    assert isinstance(tokenizer, TokenizerProtocol)


def test_ids_are_those_of_sentencepiece(tokenizer):
    reference = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    text = "the dog sat on die Straße"
    assert tokenizer.tokenize(text) == reference.encode(text)
    assert len(tokenizer.tokenize(text)) > 3


def test_a_list_is_tokenized_as_its_sentences(tokenizer):
    texts = ["the cat", "", "müde 日本語"]
    ids = tokenizer.tokenize(texts)
    assert ids == [tokenizer.tokenize(text) for text in texts]
    assert tokenizer.detokenize(ids) == texts
    assert tokenizer.tokenize([]) == []


@pytest.mark.parametrize("text", ["the cat ran", "pas traversé 😀", "שלום עולם", "日本語"])
def test_text_comes_back(tokenizer, text):
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


@pytest.mark.parametrize("text", ["<s>", "a </s> b", "<pad><unk>", "<0x41>"])
def test_the_names_of_special_tokens_are_plain_text(tokenizer, text):
    ids = tokenizer.tokenize(text)
    assert not set(range(4)) & set(ids)
    assert tokenizer.detokenize(ids) == text


def test_pad_bos_and_eos_leave_no_trace(tokenizer):
    ids = tokenizer.tokenize("the cat ran")
    framed = [tokenizer.bos_id, *ids[:2], tokenizer.pad_id, *ids[2:], tokenizer.eos_id, 0, 0]
    assert tokenizer.detokenize(framed) == "the cat ran"
    assert tokenizer.detokenize(np.array([framed, framed])) == ["the cat ran"] * 2
    assert tokenizer.detokenize([]) == ""
    assert tokenizer.detokenize([tokenizer.bos_id, tokenizer.eos_id]) == ""


def test_an_unknown_token_is_seen(tokenizer):
    assert tokenizer.detokenize([tokenizer.unk_id]).strip() == "⁇"


@pytest.mark.parametrize(("ids", "outside"), [([5, 293], 293), ([[5], [6, -1]], -1)])
def test_ids_outside_the_vocabulary_are_named(bpe, ids, outside):
    with pytest.raises(ValueError, match=rf"^Ids must be between 0 and 292\. Received: {outside}$"):
        bpe.detokenize(ids)


def test_tokens_and_ids_are_each_others_inverse(bpe):
    assert [bpe.token_to_id(bpe.id_to_token(id)) for id in range(293)] == list(range(293))
    assert bpe.token_to_id("no such token") == bpe.unk_id
    with pytest.raises(ValueError, match=r"between 0 and 292\. Received: 293"):
        bpe.id_to_token(293)


def test_normalization_loses_what_its_documentation_says(bpe):
    assert bpe.detokenize(bpe.tokenize("½  a\x01")) == "½ a"
    lossy = Tokenizer.train(["the cat sat"] * 3, 271, model_type="bpe", normalization="nmt_nfkc")
    assert lossy.detokenize(lossy.tokenize("½  a\x01 10²")) == "1⁄2 a 102"
    assert LOSSLESS.detokenize(LOSSLESS.tokenize("½  a\x01")) == "½  a\x01"


@pytest.mark.slow
@given(st.text())
@settings(max_examples=200, deadline=None)
def test_identity_keeps_every_character(text):
    assert LOSSLESS.detokenize(LOSSLESS.tokenize(text)) == text.replace("\u2581", " ")


def test_bytes_that_are_not_utf8_count_as_replacement_characters():
    text = b"a\xff\xc3b".decode("utf-8", "surrogateescape")
    assert LOSSLESS.detokenize(LOSSLESS.tokenize(text)) == "a\ufffd\ufffdb"
    assert LOSSLESS.detokenize(LOSSLESS.tokenize("a\ud800b")) == "a\ufffd\ufffd\ufffdb"


def test_text_must_be_a_string(bpe):
    with pytest.raises(TypeError, match=r"^Text must be a `str`\. Received: NoneType$"):
        bpe.tokenize(["the cat", None])


def test_a_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"something old")
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert loaded.model == tokenizer.model
    assert loaded.fingerprint == tokenizer.fingerprint
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.model"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failed_save_leaves_nothing(bpe, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        bpe.save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_other_tokenizers_have_other_fingerprints(bpe):
    assert LOSSLESS.fingerprint != bpe.fingerprint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"^There is no tokenizer at .*none\.model\. Expect"
    ):
        Tokenizer.load(tmp_path / "none.model")


def test_a_model_cut_off_anywhere_is_refused():
    assert Tokenizer(LOSSLESS.model).fingerprint == LOSSLESS.fingerprint
    for end in range(len(LOSSLESS.model)):
        with pytest.raises(
            ValueError, match=r"^Expected a complete SentencePiece model\. Received: \d"
        ):
            Tokenizer(LOSSLESS.model[:end])


def test_a_damaged_file_is_named(bpe, tmp_path):
    path = tmp_path / "cut.model"
    path.write_bytes(bpe.model[:-7])
    with pytest.raises(
        ValueError, match=r"cut\.model cannot serve as a tokenizer\. Expected a complete"
    ):
        Tokenizer.load(path)


def test_something_else_is_refused(tmp_path):
    path = tmp_path / "text.model"
    path.write_text("This is no model.\n" * 7)
    with pytest.raises(ValueError, match=r"Received: 126 bytes that are not one"):
        Tokenizer.load(path)


def test_a_model_without_a_special_id_is_refused():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(["the cat sat"]), model_writer=model, vocab_size=11, minloglevel=2
    )  # unk 0, bos 1, eos 2 and no pad, as SentencePiece does by itself
    message = r"^Every special id must be in the vocabulary, between 0 and 10\. Received: pad_id=-1"
    with pytest.raises(ValueError, match=message):
        Tokenizer(model.getvalue())


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, (15, 1, 2, 0)),  # as SentencePiece numbers them by itself
        ({"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}, (0, 15, 1, 2)),  # as T5 does
        ({"bos_id": -1, "eos_id": -1}, (15, 16, 17, 0)),
    ],
)
def test_a_loaded_model_gets_the_special_tokens_that_it_lacks(options, ids, tmp_path):
    path = tmp_path / "other.model"
    with open(path, "wb") as file:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(["the cat sat", "a dog ran"] * 7), model_writer=file,
            vocab_size=15, minloglevel=2, **options,
        )  # fmt: skip
    tokenizer = Tokenizer.load(path)
    found = (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id)
    assert found == ids
    assert tokenizer.vocabulary_size() == max(15, *(id + 1 for id in ids))
    plain = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert tokenizer.tokenize("the cat ran") == plain.encode("the cat ran")
    padded = [tokenizer.bos_id, *plain.encode("the cat ran"), tokenizer.eos_id, tokenizer.pad_id]
    assert tokenizer.detokenize(padded) == "the cat ran"
    tokenizer.save(tmp_path / "again.model")
    assert Tokenizer.load(tmp_path / "again.model").model == tokenizer.model


def test_a_name_that_is_taken_by_another_token_is_refused(tmp_path):
    path = tmp_path / "other.model"
    with open(path, "wb") as file:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(["the cat sat", "a dog ran"] * 7), model_writer=file,
            vocab_size=18, minloglevel=2, user_defined_symbols=["<pad>"],
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"has no pad_id, but '<pad>' is another token of it\.$"):
        Tokenizer.load(path)


def test_text_does_not_load_tensorflow():
    program = "import sys, keras_transformer.text; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
