"""Marian's tokenizer: SentencePiece's pieces, and a table of ids."""

import json

import pytest
import sentencepiece

from keras_transformer.text import MarianTokenizer, Tokenizer, TokenizerProtocol, load_tokenizer
from tests.formats.marian_reference import (
    LEFT_OUT,
    PAD,
    SOURCE_TEXT,
    TARGET_TEXT,
    UNKNOWN,
    train_pieces,
    vocabulary,
)

TEXTS = [
    "the red cat",
    "",
    " ",
    ">>fra<< a dog",
    ">>fra<<",
    ">>deu<< a dog",
    ">> a << dog",
    "a >>fra<< dog",
    ">>fra<",
    ">><<",
    "ñandú ½ 😀",
    "bad \udcff bytes",
    ">>fra<< bad \udcff bytes",
    "</s> <pad> a",
    "line\nfeed << >>",
]
IDS = {"pad_id": PAD, "bos_id": PAD, "eos_id": 0, "unk_id": UNKNOWN}


@pytest.fixture(scope="module")
def model():
    return train_pieces(SOURCE_TEXT)


@pytest.fixture(scope="module")
def tokens(model):
    return list(vocabulary([model, train_pieces(TARGET_TEXT)]))


@pytest.fixture(scope="module")
def tokenizer(model, tokens):
    return MarianTokenizer(model, tokens, **IDS)


def test_it_is_a_tokenizer(tokenizer):
    assert isinstance(tokenizer, TokenizerProtocol)
    assert tokenizer.vocabulary_size() == PAD + 1


def test_ids_are_those_of_the_table(tokenizer, model, tokens):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = processor.encode(["a red cat", "street"], out_type=str)
    ids = tokenizer.tokenize(["a red cat", "street"])
    assert [[tokens[id] for id in row] for row in ids] == pieces
    assert tokenizer.tokenize("street") == ids[1]


def test_text_must_be_a_string(tokenizer):
    with pytest.raises(TypeError, match=r"^Text must be a `str`\. Received: NoneType$"):
        tokenizer.tokenize(["street", None])


def test_pieces_that_the_table_lacks_are_unknown(tokenizer, model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert processor.encode("dog", out_type=str) == [LEFT_OUT]
    assert tokenizer.tokenize("dog") == [UNKNOWN]
    assert tokenizer.tokenize("😀")[-1] == UNKNOWN


def test_a_language_code_is_one_token(tokenizer):
    assert tokenizer.tokenize(">>fra<< a") == [2, *tokenizer.tokenize(" a")]
    assert tokenizer.tokenize(">>deu<< a") == [UNKNOWN, *tokenizer.tokenize(" a")]
    assert 2 not in tokenizer.tokenize("a >>fra<<")


def test_special_tokens_mean_nothing_inside_text(tokenizer):
    assert not {0, PAD} & set(tokenizer.tokenize("</s> <pad> </s>"))


def test_a_code_that_the_table_lacks_is_refused_where_it_is_checked(tokenizer, model, tokens):
    for text in (
        ">>fra<< a",
        ">> not a code << a",
        " >>deu<< a",
        "a >>deu<<",
        ">>deu<",
        "",
        ">><<",
    ):
        tokenizer.check_tags(text)
    with pytest.raises(ValueError, match=r"^Text 7 starts with >>deu<<.* It has >>fra<<\.$"):
        tokenizer.check_tags(">>deu<<a", "Text 7")
    many = [f">>{id}<<" if 5 < id < 20 else token for id, token in enumerate(tokens)]
    with pytest.raises(ValueError, match=r"It has >>10<<, >>11<<,.*>>17<< and 7 more\.$"):
        MarianTokenizer(model, many, **IDS).check_tags(">>deu<<")
    none = MarianTokenizer(model, ["fra" if id == 2 else t for id, t in enumerate(tokens)], **IDS)
    with pytest.raises(ValueError, match=r"It has none: leave the code out\.$"):
        none.check_tags(">>fra<< a")


def test_text_comes_back(tokenizer):
    texts = ["the red cat", "a cat ran in the street", ""]
    rows = [[PAD, *row, 0, PAD] for row in tokenizer.tokenize(texts)]
    assert tokenizer.detokenize(rows) == texts
    assert tokenizer.detokenize(tokenizer.tokenize("cat 😀")) == "cat  ⁇"
    assert tokenizer.detokenize([]) == ""
    assert tokenizer.tokenize([]) == []
    with pytest.raises(ValueError, match=r"between 0 and 96\. Received: 97"):
        tokenizer.detokenize([[97]])


@pytest.mark.slow
def test_a_graph_gives_the_same(tokenizer):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    texts = [text.encode("utf-8", "surrogateescape") for text in TEXTS]
    rows = tokenizer.tokenize(TEXTS)
    tokenize = tf.function(tokenizer.tokenize_in_graph)
    detokenize = tf.function(tokenizer.detokenize_in_graph)
    found = tokenize(tf.constant(texts))
    assert found.dtype == tf.int32
    assert found.to_list() == rows
    padded = [[PAD, *row, 0] for row in rows]
    expected = [text.encode() for text in tokenizer.detokenize(padded)]
    assert detokenize(tf.ragged.constant(padded, tf.int32)).numpy().tolist() == expected
    assert detokenize(found.to_tensor(PAD)).numpy().tolist() == expected


def test_a_saved_one_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.model")
    loaded = load_tokenizer(tmp_path / "tokenizer.model")
    assert type(loaded) is MarianTokenizer
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.tokenize(TEXTS) == tokenizer.tokenize(TEXTS)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.model"]


def test_the_fingerprint_tells_tokenizers_apart(tokenizer, model, tokens):
    swapped = [*tokens[:3], tokens[4], tokens[3], *tokens[5:]]
    others = [
        MarianTokenizer(model, swapped, **IDS),
        MarianTokenizer(model, tokens, **{**IDS, "bos_id": 7}),
        MarianTokenizer(train_pieces(TARGET_TEXT), tokens, **IDS),
    ]
    assert len({one.fingerprint for one in (tokenizer, *others)}) == 4


def test_sentencepiece_models_are_loaded_too(tmp_path):
    tokenizer = Tokenizer.train(SOURCE_TEXT, 290, model_type="bpe")
    tokenizer.save(tmp_path / "tokenizer.model")
    assert type(load_tokenizer(tmp_path / "tokenizer.model")) is Tokenizer
    with pytest.raises(FileNotFoundError, match="There is no tokenizer at"):
        load_tokenizer(tmp_path / "none")


def without(name):
    return lambda facts: facts.pop(name)


@pytest.mark.parametrize(
    "damage",
    [
        without("tokens"),
        without("special_ids"),
        without("sentencepiece"),
        lambda facts: facts.update(sentencepiece=facts["sentencepiece"][:1000]),
        lambda facts: facts["special_ids"].update(unk_id=PAD),
    ],
)
def test_a_damaged_file_is_refused(damage, tokenizer, tmp_path):
    tokenizer.save(tmp_path / "file")
    facts = json.loads((tmp_path / "file").read_text(encoding="utf-8"))
    damage(facts)
    (tmp_path / "file").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="file cannot serve as a Marian tokenizer"):
        load_tokenizer(tmp_path / "file")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ({"eos_id": PAD}, "must be different, except that `bos_id`.*eos_id=96"),
        ({"bos_id": UNKNOWN}, "must be different.*bos_id=1"),
        ({"pad_id": 97}, "between 0 and 96. Received: pad_id=97"),
        ({"unk_id": -1}, "Received: .*unk_id=-1"),
    ],
)
def test_special_ids_must_make_sense(ids, message, model, tokens):
    with pytest.raises(ValueError, match=message):
        MarianTokenizer(model, tokens, **{**IDS, **ids})


def test_tokens_must_differ(model, tokens):
    with pytest.raises(ValueError, match="Received: '</s>' twice"):
        MarianTokenizer(model, [*tokens[:-1], "</s>"], **IDS)


def test_a_table_with_half_a_character_comes_back(model, tokens, tmp_path):
    odd = MarianTokenizer(
        model, [*tokens[:-1], "\ud83d", tokens[-1]], **{**IDS, "pad_id": PAD + 1, "bos_id": PAD + 1}
    )
    odd.save(tmp_path / "odd")
    assert MarianTokenizer.load(tmp_path / "odd").fingerprint == odd.fingerprint
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    assert odd.tokenize_in_graph(tf.constant(["a"])).to_list() == [odd.tokenize("a")]
