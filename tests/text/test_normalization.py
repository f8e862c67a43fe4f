import unicodedata

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from keras_transformer.text import Tokenizer
from keras_transformer.text.normalization import CONTROLS, LINE_BREAKS, nfc_rules

NFC = Tokenizer.train(["the cat sat", "a dog ran"] * 5, 273)


def restored(text: str) -> str:
    return NFC.detokenize(NFC.tokenize(text))


@pytest.mark.slow
def test_characters_of_unicode_come_back_in_form_nfc():
    """All that have another form, and others: but for spaces, line breaks, controls and U+2581."""
    outside = {*CONTROLS, *LINE_BREAKS, " ", "\u2581", "\0"}
    texts = []
    for code in [*range(0xD800), *range(0xE000, 0x110000)]:
        forms = [chr(code), unicodedata.normalize("NFD", chr(code))]
        if chr(code) not in outside and (forms[0] != forms[1] or code % 97 < 2):
            texts += [f"({form})" for form in forms]  # nothing that marks combine with
    assert len(texts) > 50_000
    wanted = [unicodedata.normalize("NFC", text) for text in texts]
    assert NFC.detokenize(NFC.tokenize(texts)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "10² and 10⁶, 5 m², H₂O",
        "½ cup",
        "他说:“你好,(世界)！”",
        "10\u00a0€, 1\u202f000",
        "می\u200cخواهم",
        "ﬁne Ⅳ ①",
        "한국어 tiếng Việt ё",
    ],
)
def test_what_a_text_says_stays(text):
    assert restored(text) == text


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("e\u0301", "é"),
        ("\u1100\u1161\u11a8 \uac00\u11a8", "각 각"),  # three letters, and a syllable with one
        ("\u00ea\u0301", "ế"),  # composed in part
        ("\u212b \u2126", "Å Ω"),
        ("a  b ", "a b"),
        ("a\tb\nc\r\nd\u2028e", "a b c d e"),
        ("a\u2581b", "a b"),
        ("\ufeffa\x01\x1bb\x9f", "ab"),
    ],
)
def test_the_same_character_in_other_codes_becomes_one(text, normalized):
    assert restored(text) == normalized
    assert NFC.tokenize(text) == NFC.tokenize(normalized)


@given(
    st.lists(st.text(alphabet="aeouAEO\u0301\u0302\u0308\u0327가각\u1100\u1161\u11a8é"), min_size=1)
)
@settings(max_examples=100, deadline=None)
def test_the_graph_has_the_same_ids(texts):
    assert NFC.tokenize_in_graph(tf.constant(texts)).to_list() == NFC.tokenize(texts)


def test_rules_leave_nothing_to_do():
    rules = nfc_rules()
    assert all(old != new == unicodedata.normalize("NFC", new) for old, new in rules.items())
    assert "²" not in rules


def test_the_model_names_its_normalization_and_no_file():
    spec = ModelProto.FromString(NFC.model).normalizer_spec
    assert (spec.name, spec.normalization_rule_tsv) == ("nfc", "")
    lossy = Tokenizer.train(["the cat sat"] * 3, 271, normalization="nmt_nfkc", model_type="bpe")
    assert ModelProto.FromString(lossy.model).normalizer_spec.name == "nmt_nfkc"
