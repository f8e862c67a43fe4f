import dataclasses
import html.parser
import re

import numpy as np
import pytest

from keras_transformer import Tokenizer, Translator
from keras_transformer.illustrate import Attention, extraction, page
from keras_transformer.illustrate.page import choose
from tests.illustrate.conftest import LINES
from tests.translation.conftest import BYTES, make_model

NASTY = {
    "script": "</title></script><script>alert(1)</script>",
    "quotes": "six \"one\" 'two' `x` {{ 7 * 7 }} ${x} <b onmouseover=alert(1)>",
    "emoji": "six 🐈\u200d⬛ 👍🏽 two",
    "right to left": "שלום עולם \u202e مرحبا six",
    "controls": "one \x00\x07\x85\u2028 two \ud83d",
    "long": "two " * 100,
}


class Reader(html.parser.HTMLParser):
    """What a browser would make of a page: its elements, and its text."""

    def __init__(self, document):
        super().__init__()
        self.elements, self.headings, self.attributes, self.inside = [], [], set(), None
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attributes}
        self.inside = tag if tag in ("h1", "h2") else self.inside
        if self.inside == tag:
            self.headings.append("")

    def handle_endtag(self, tag):
        self.inside = None if tag == self.inside else self.inside

    def handle_data(self, data):
        if self.inside:
            self.headings[-1] += data


@pytest.fixture
def quickly(translator, monkeypatch):
    """Function that makes the page of a text whose translation is cut off after five tokens."""

    def page_of(text, **options):
        length = len(extraction.ids_of(translator, text, "")[0])
        monkeypatch.setattr(extraction, "EXTRA_LENGTH", 5 - length)
        return page(translator, text, **options).document()

    return page_of


@pytest.fixture(scope="module")
def shown(translator):
    return page(translator, "six", "one two")


def test_it_goes_the_way_of_the_data(shown):
    headings = Reader(shown.document()).headings
    assert "initialized again with the run's seed, 5)" in shown.body
    assert headings[0] == "six"
    assert [heading[:2] for heading in headings[1:]] == ["1.", "2.", "3.", "4.", "5.", "6."]
    assert headings[2].endswith("a vector that contains its position")
    assert set(shown.data) == {"positions", "steps", "attention", "search", "distributions"}
    assert set(shown.data["positions"]) == {"t2t", "paper", "small"}


def test_the_figures_agree_with_one_another(translator, shown):
    """The steps' softmax is a row of the attention; the search's words are those it is shown of."""
    data = shown.data
    token, layer, head = choose(
        extraction.attention_of(translator, *extraction.ids_of(translator, "six", "")),
        None,
        None,
        None,
    )
    np.testing.assert_allclose(
        data["steps"]["softmax"], data["attention"]["encoder"][layer, head, token], atol=1e-5
    )
    best = data["search"]["hypotheses"][0]["ids"]
    tokens = [translator.tokenizer.id_to_token(id) for id in best]
    assert data["attention"]["written"][: len(tokens)] == tokens
    labels = data["distributions"]["target"].argmax(-1).tolist()
    assert labels == [*translator.tokenizer.tokenize("one two"), 2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "long"])
def test_any_text_shows_as_text(quickly, shown, name):
    """A browser looks at each of them in `test_browser.py`."""
    text = NASTY.get(name, " ".join(text for name, text in NASTY.items() if name != "long"))
    document = quickly(text, reference=text)
    read, plain = Reader(document), Reader(shown.document())
    assert read.elements.count("script") == plain.elements.count("script") == 2
    assert set(read.elements) <= set(plain.elements)
    assert read.attributes <= plain.attributes
    assert not any(name.startswith("on") for name in read.attributes)
    assert read.headings[0] == text
    warning = r"has \d{3} tokens, but the model was trained on at most 16: expect a poor"
    assert re.search(warning, document)
    assert not re.search("expect a poor translation", shown.document())


@pytest.mark.parametrize("text", ["", "  \n", None, 7])
def test_without_a_sentence_there_is_no_page(translator, text):
    with pytest.raises(ValueError, match=r"`text` must be a sentence.* Received: "):
        page(translator, text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["token", "layer", "head"])
def test_a_place_that_is_not_there_is_refused(translator, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0 and less than .*: 99"):
        page(translator, "six", **{name: 99})


def test_more_positions_than_were_learnt_are_refused(translator):
    model = make_model(277, positions="learned", max_length=75)
    learned = Translator(model, translator.tokenizer, max_source_length=16)
    with pytest.raises(ValueError, match=r"has learned 75 positions, but .* may need 87"):
        page(learned, "one " * 9)


def test_it_is_looked_at_where_there_is_an_it(attention):
    scores = np.full_like(attention.encoder, 0.1)
    scores[1, 2, 3, 1], scores[0, 4, 3, 3], scores[0, 1, 0, 1] = 0.5, 0.9, 0.8
    source = [*attention.source[:3], "▁it", *attention.source[4:]]
    attention = dataclasses.replace(attention, source=source, encoder=scores)
    assert choose(attention, None, None, None) == (3, 1, 2)
    assert choose(attention, 0, None, None) == (0, 0, 1)
    assert choose(attention, None, 0, 3)[1:] == (0, 3)
    attention.source[3] = "n't"
    assert choose(attention, None, None, None) == (0, 0, 1)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("▁He ▁s it s ▁as ▁it ▁rains", 5),
        ("▁It ▁was ▁it", 0),
        ("▁He ▁s it s", None),
        ("he sits as it rains", 3),
    ],
)
def test_it_is_a_word_and_no_piece_of_one(source, place):
    tokens = source.split()
    scores = np.full((1, 1, len(tokens), len(tokens)), 0.1)
    scores[0, 0, 1, 0] = 0.9
    found, _, _ = choose(Attention(tokens, scores), None, None, None)
    assert found == (1 if place is None else place)


@pytest.mark.slow
def test_ids_that_no_token_has_are_shown_as_unknown(translator):
    model = make_model(283, seed=24, seldom=[*range(277)])
    figure = page(Translator(model, translator.tokenizer), "six", beam_size=1)
    written = figure.data["attention"]["written"]
    assert written == ["<unk>"] * (len(written) - 1) + ["</s>"]
    labels = figure.data["distributions"]["target"].argmax(-1).tolist()
    assert labels == [translator.tokenizer.token_to_id(token) for token in written]


@pytest.mark.parametrize("beam_size", [-1, 0])
def test_a_search_without_beams_is_refused(translator, beam_size):
    with pytest.raises(ValueError, match=f"`beam_size` must be at least 1.*: {beam_size}"):
        page(translator, "six", beam_size=beam_size)


@pytest.mark.slow
def test_greedy_search_is_not_said_to_weigh_beginnings(translator, shown):
    assert "Beam search keeps the 2 most probable partial translations" in shown.body
    greedy = page(translator, "six", beam_size=1).body
    assert "until EOS: greedy decoding" in greedy
    assert "Beam search" not in greedy


@pytest.mark.slow
def test_it_stays_below_a_megabyte(monkeypatch):
    """Six layers, eight heads, 60 tokens on either side, and vectors of 512."""
    monkeypatch.setattr(extraction, "EXTRA_LENGTH", -1)
    tokenizer = Tokenizer.train(LINES, 277, model_type="bpe")
    sizes = {"num_layers": 6, "num_heads": 8, "d_model": 512, "d_ff": 64}
    model = make_model(277, seldom=BYTES, **sizes)
    translator = Translator(model, tokenizer, max_source_length=64)
    text = "two " * 58 + "x"
    monkeypatch.setattr(translator.tokenizer, "tokenize", lambda text: [4 + i for i in range(59)])
    figure = page(translator, text)
    assert figure.data["attention"]["cross"].shape == (6, 8, 60, 60)
    assert len(figure.document().encode()) < 1_000_000, len(figure.document().encode())
