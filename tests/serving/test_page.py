"""The page and `/explain`: what they answer. `test_page_browser.py` has a browser read them."""

import base64
import dataclasses
import html.parser
import re

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

from keras_transformer.illustrate.attention_view import in_levels
from keras_transformer.serving.page_routes import PAGE_FILES
from keras_transformer.serving.service_settings import (
    Batching,
    FixedSearch,
    Limits,
    ServiceSettings,
)
from keras_transformer.translation.compilation import compilations
from tests.conftest import searches_without_xla
from tests.serving.http_service import HANGS, running
from tests.translation.conftest import one_size, translator

__all__ = ["one_size", "translator"]

SETTINGS = ServiceSettings(
    {}, FixedSearch(beam_size=2, top_beams=1, max_length=9), Limits(seconds=HANGS), Batching(size=1)
)
TOKEN = "a-token-of-many-characters"
TEXT = "one two three"
UNSAFE = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("]
STORED = ["localStorage", "sessionStorage", "document.cookie"]


@pytest.fixture(scope="module")
def service(translator, one_size):
    with searches_without_xla():
        translator.model = translator.model  # a new generator
        with running(SETTINGS, red=translator, blue=translator) as service:
            yield service


def explain(service, text, **options):
    return service.post("/explain", {"text": text, **options})


@pytest.mark.parametrize("path", PAGE_FILES)
def test_its_headers_allow_nothing_from_elsewhere_and_no_inline_script(service, path):
    status, headers, _ = service.get(path)
    assert status == 200
    kind = {"/": "html", "/page.css": "css", "/page.js": "javascript"}[path]
    assert headers["content-type"] == f"text/{kind}; charset=utf-8"
    policy = headers["content-security-policy"].split("; ")
    rules = dict(rule.split(" ", 1) for rule in policy)
    assert rules.pop("img-src") == "data:"
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert [name for name, value in rules.items() if value == "'self'"] == [
        "script-src", "style-src", "connect-src",
    ]  # fmt: skip
    assert {"default-src", "base-uri", "form-action", "frame-ancestors"} <= rules.keys()
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


class Links(html.parser.HTMLParser):
    """The attributes of a page, and what its scripts and styles hold."""

    def __init__(self, document):
        super().__init__()
        self.attributes, self.inline, self.inside = [], "", None
        self.labelled, self.fields = set(), set()
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        self.inside = tag
        named = dict(attributes)
        if tag == "label" and "for" in named:
            self.labelled.add(named["for"])
        if tag in ("textarea", "input") and "id" in named:
            self.fields.add(named["id"])

    def handle_data(self, data):
        if self.inside in ("script", "style"):
            self.inline += data.strip()


def test_it_has_no_inline_code_and_no_address_but_its_own(service):
    page = Links(service.get("/")[2])
    assert page.inline == ""
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    links = {value for name, value in page.attributes if name in ("src", "href", "action")}
    assert links == {"data:,", "page.css", "page.js"}
    assert page.fields == page.labelled == {"text", "token"}
    style, script = (service.get(path)[2] for path in ("/page.css", "/page.js"))
    assert "url(" not in style
    assert "@import" not in style
    assert set(re.findall(r"\w+://[^\s\"']+", script)) == {"http://www.w3.org/2000/svg"}


def test_its_script_makes_no_html_of_texts(service):
    script = service.get("/page.js")[2]
    assert [one for one in (*UNSAFE, *STORED) if one in script] == []


@pytest.mark.slow
def test_an_explanation_has_the_hypotheses_of_the_search(service, translator):
    status, _, found = explain(service, TEXT, run="red")
    assert status == 200
    (wanted,) = translator.translate([TEXT], 2, 2, max_length=9, return_attention=True)
    assert found["source_tokens"] == list(wanted.source_tokens)
    assert len(found["hypotheses"]) == len(wanted.hypotheses) == 2  # whatever `top_beams` is
    for one, other in zip(found["hypotheses"], wanted.hypotheses, strict=True):
        assert (one["text"], one["tokens"]) == (other.text, list(other.tokens))
        assert one["score"] == pytest.approx(other.score, abs=1e-5)
    path = [node["token"] for node in found["tree"]["nodes"] if node["best"]]
    assert path == list(wanted.hypotheses[0].tokens)
    steps = [node["step"] for node in found["tree"]["nodes"]]
    assert set(steps) == set(range(1, len(found["steps"]) + 1))
    levels = np.frombuffer(base64.b64decode(found["attention"]["cross"]), "uint8")
    np.testing.assert_array_equal(levels, in_levels(wanted.hypotheses[0].attention).ravel())


def test_explanations_compile_nothing(service):
    before = compilations()
    for text in (TEXT, "six", "two red"):
        assert explain(service, text, run="blue")[0] == 200
    metrics = service.get("/metrics")[2]
    assert compilations() == before
    assert 'kt_texts_total{operation="explain",run="blue"}' in metrics
    assert 'path="/explain"' in metrics


def test_what_is_explained_is_said(service):
    runs = service.get("/about")[2]["runs"]
    assert [(run["name"], run["explained_tokens"]) for run in runs] == [("red", 12), ("blue", 12)]
    assert "/explain" in service.get("/openapi.json")[2]["paths"]
    assert "ExplainRequest" in service.get("/docs")[2]


REFUSED = {
    "an empty text": ({"text": " ", "run": "red"}, "The text is empty. Send a sentence."),
    "a long text": ({"text": "one " * 13, "run": "red"}, "A text has 52 tokens, at most 12 are"),
    "many characters": ({"text": "x" * 10_000, "run": "red"}, "A text has 10000 characters, at"),
    "no run": ({"text": "one"}, "Say which `run` to use, one of red, blue."),
    "another run": ({"text": "one", "run": "<b>"}, "`run` must be one of red, blue. Received"),
    "another field": ({"text": "one", "beam_size": 3}, "'beam_size' is not a field of a request."),
    "no text": ({}, "'text': Field required. Expected: text, run."),
    "a list": ({"text": ["one"]}, "'text': Input should be a valid string. Expected: text, run."),
    "half a character": (b'{"text": "\\ud800"}', "'text': half of a surrogate pair"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_requests_are_refused(service, name):
    body, message = REFUSED[name]
    status, _, found = service.post("/explain", body)
    assert status == 422
    assert found["error"]["message"].startswith(message)


@pytest.mark.slow
def test_the_page_needs_no_token_but_its_requests_do(service, translator):
    settings = dataclasses.replace(SETTINGS, tokens=(TOKEN,))
    with searches_without_xla(), running(settings, red=translator) as service:
        assert {service.get(path)[0] for path in PAGE_FILES} == {200}
        assert {service.get(path)[0] for path in ("/about", "/docs")} == {401}
        assert explain(service, TEXT)[0] == 401
        right = f"authorization: Bearer {TOKEN}\r\n"
        assert service.post("/explain", {"text": TEXT}, right)[0] == 200


def test_without_a_page_there_is_nothing_of_it(service, translator):
    settings = dataclasses.replace(SETTINGS, page=False)
    with running(settings, red=translator) as service:
        assert {service.get(path)[0] for path in PAGE_FILES} == {404}
        assert explain(service, TEXT)[0] == 404
        assert service.get("/about")[2]["runs"][0]["explained_tokens"] == 0


@pytest.mark.slow
def test_an_engine_without_history_says_so(translator, tmp_path):
    pytest.importorskip("ctranslate2")
    translator.save(tmp_path / "red")
    engine = type(translator).load(tmp_path / "red", "ctranslate2")
    with running(SETTINGS, red=engine) as service:
        assert service.get("/")[0] == 200
        assert service.get("/about")[2]["runs"][0]["explained_tokens"] == 0
        status, _, found = explain(service, TEXT)
    assert status == 422
    assert "keeps no history of its search, finds all words at once, or has a shortlist" in str(
        found
    )
