import pytest
import tensorflow as tf

from keras_transformer.text import MarianTokenizer, Tokenizer, TokenizerAdapter
from keras_transformer.text.tags import split_tags, split_tags_in_graph

TAGGED = [
    (">>fr<< I am", ">>fr<<", " I am"),
    (">>zh_Hans<<I am", ">>zh_Hans<<", "I am"),
    ("<2fr> I am", "<2fr>", " I am"),
    ("<2pt-BR>\nI\nam", "<2pt-BR>", "\nI\nam"),
    ("  >>fr<< <2formal>  I am", ">>fr<< <2formal>", "  I am"),
    (">>fr<<>>de<<", ">>fr<<>>de<<", ""),
    ("I am >>fr<<", "", "I am >>fr<<"),
    (">> fr << I am", "", ">> fr << I am"),
    (">>> a << b", "", ">>> a << b"),
    ("1 <2 and 3> 2", "", "1 <2 and 3> 2"),
    ("<2> a", "", "<2> a"),
    ("<b>bold</b>", "", "<b>bold</b>"),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "tags", "rest"), TAGGED)
def test_tags_are_split_off_the_start(text, tags, rest):
    assert split_tags(text) == (tags, rest)


def test_the_graph_splits_alike():
    texts, tags, rest = zip(*TAGGED, strict=True)
    found = [
        [one.decode() for one in part.numpy()] for part in split_tags_in_graph(tf.constant(texts))
    ]
    assert found[0] == list(tags)
    tagged = [number for number, tag in enumerate(tags) if tag]
    assert [found[1][number] for number in tagged] == [rest[number] for number in tagged]


def test_what_follows_need_not_be_utf8():
    found = split_tags_in_graph(tf.constant([b" >>fr<< <2x> I \xff am", b"I \xff am"]))
    assert [part.numpy().tolist() for part in found] == [
        [b">>fr<< <2x>", b""],
        [b" I \xff am", b"I \xff am"],
    ]


@pytest.mark.parametrize("kind", [Tokenizer, TokenizerAdapter])
def test_every_tokenizer_knows_tags(kind):
    assert kind.split_tags(None, ">>fr<< I am") == (">>fr<<", " I am")


def test_a_marian_code_may_be_any_name():
    assert MarianTokenizer.split_tags(None, ">>a b<< I am") == (">>a b<<", " I am")
    assert MarianTokenizer.split_tags(None, "<2fr> I am") == ("", "<2fr> I am")


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_tag_before_a_space_has_the_ids_that_it_has_alone(model_type):
    """On which the pieces of a long text rely: its ids are those of the tags, then of the rest."""
    sentences = [f"{tag} {text}" for tag in (">>fr<<", "<2de>") for text in ("the cat", "a cat")]
    tokenizer = Tokenizer.train(sentences * 7, 273, model_type=model_type)
    for tag in (">>fr<<", "<2de>", ">>es<<"):
        ids = tokenizer.tokenize(f"{tag} the cat")
        assert ids == tokenizer.tokenize(tag) + tokenizer.tokenize("the cat")


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_tag_of_the_training_is_one_token_anywhere(model_type):
    """In a graph, too; without it the ids of the rest are the same."""
    texts = [">>fr<< I am a student.", "I am >>fr<<a student."]
    sentences = ["I am a student.", "I am tired.", "je suis étudiant"] * 3
    tokenizer = Tokenizer.train(sentences, 280, model_type=model_type, tags=[">>fr<<"])
    tag = tokenizer.token_to_id(">>fr<<")
    assert tag != tokenizer.unk_id
    rows = tokenizer.tokenize(texts)
    assert [row.count(tag) for row in rows] == [1, 1]
    assert tokenizer.tokenize_in_graph(texts).to_list() == rows
    assert rows[0][rows[0].index(tag) + 1 :] == tokenizer.tokenize("I am a student.")


def test_what_is_no_tag_is_refused():
    with pytest.raises(ValueError, match=r"or a tag as a whole, such as >>fr<< .* 'a b'"):
        Tokenizer.train(["one"], 300, tags=["a b"])


def test_a_tag_that_is_no_token_is_refused():
    """In a graph, too; a tokenizer without any takes all as text."""
    sentences = ["I am a student.", "I am tired.", "je suis étudiant"] * 3
    tokenizer = Tokenizer.train(sentences, 280, tags=[">>fr<<", "<2formal>"])
    assert tokenizer.tags == [">>fr<<", "<2formal>"]
    for text in ("I am", ">>fr<< I am", ">>fr<<<2formal>  <2formal> I", "I am >>de<<", ""):
        tokenizer.check_tags(text)
        tokenizer.check_tags_in_graph(tf.constant(["", text]))
    for text in (">>de<< I am", ">>fr<< >>de<< I am", " >>de<<>>fr<< I"):
        with pytest.raises(ValueError, match="Source 3 starts with >>de<<, a tag that the model"):
            tokenizer.check_tags(text, "Source 3")
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"has >>fr<<, <2formal>\. Rece"):
            tokenizer.check_tags_in_graph(tf.constant(["", text]))
    plain = Tokenizer.train(sentences, 280)
    assert plain.tags == []
    plain.check_tags(">>de<< I am")
    plain.check_tags_in_graph(tf.constant([">>de<< I am"]))
