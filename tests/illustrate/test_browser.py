"""The page in a browser: what is drawn, what changes it, and that nothing else is loaded or run."""

import dataclasses
import itertools

import numpy as np
import pytest

from keras_transformer.illustrate import (
    SearchStep,
    attention_figure,
    distributions_figure,
    page,
    search_figure,
)
from keras_transformer.illustrate.attention_view import Attention, in_levels
from tests.browser import browser, requested, show_as
from tests.illustrate.conftest import random_attention
from tests.illustrate.test_page import NASTY

__all__ = ["browser"]
pytestmark = pytest.mark.slow

LINES = """return [...document.querySelectorAll(arguments[0] + " line")]
    .filter((line) => line.getClientRects().length)
    .map((line) => [line.dataset.head, line.dataset.query, line.dataset.key,
                    line.getAttribute("stroke-opacity")].map(Number))"""


@pytest.fixture
def opened(browser, tmp_path):
    """Function that opens a figure; afterwards nothing may have been loaded, and no complaint."""

    def see(figure):
        figure.save(tmp_path / "page.html")
        browser.get_log("performance")
        browser.get((tmp_path / "page.html").as_uri())
        return browser

    yield see
    assert browser.get_log("browser") == []
    requests = requested(browser)
    assert requests
    assert [url for url in requests if not url.startswith(("file://", "data:"))] == []
    assert sum(url.startswith("file://") for url in requests) == 1


@pytest.fixture
def seen(opened, attention):
    return opened(attention_figure(attention))


def drawn(browser, group=".lines", heads=5):
    """The opacities of the lines that can be seen, `(H, queries, keys)`; 0 where there is none."""
    lines = browser.execute_script(LINES, group)
    right, left = (len(browser.find_elements("css selector", f".column.{s} .token")) for s in SIDES)
    found = np.zeros((heads, right, left))
    for head, query, key, opacity in lines:
        found[int(head), int(query), int(key)] = opacity
    return found


SIDES = ("right", "left")


def choose(browser, name, value):
    browser.find_element("css selector", f"[name={name}] option[value='{value}']").click()


def point(browser, side, index):
    from selenium.webdriver import ActionChains

    token = browser.find_elements("css selector", f".column.{side} .token")[index]
    ActionChains(browser).move_to_element(token).perform()
    return token


@pytest.mark.parametrize("kind", ["inp_inp", "inp_out", "out_out", "all"])
def test_every_line_is_as_strong_as_its_score(seen, attention, kind):
    choose(seen, "kind", kind)
    for layer in range(attention.layers(kind)):
        choose(seen, "layer", layer)
        found = drawn(seen)
        parts = np.split(found, [7], axis=1) if kind == "all" else [found]
        sums = [part.sum(axis=-1) for part in parts]
        expected = in_levels(attention.scores(kind, layer)) / 255
        if kind == "all":  # a row of the target has two sums of one, each rounded for itself
            expected[:, 7:] = np.concatenate(
                [in_levels(attention.cross[layer]), in_levels(attention.decoder[layer])], axis=-1
            )
            expected[:, 7:] /= 255
            np.testing.assert_allclose(sums[0], layer < 2, atol=1e-6)
            np.testing.assert_allclose(sums[1], 2, atol=1e-6)
            assert (found[:, :7, 7:] == 0).all()
        else:
            np.testing.assert_allclose(sums[0], 1, atol=1e-6)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(found, attention.scores(kind, layer), atol=1 / 255)


def test_cross_attention_is_drawn_alone_where_there_is_no_other(opened, attention):
    alone = Attention(attention.source, attention.encoder[:0], attention.written)
    alone = dataclasses.replace(alone, cross=attention.cross[:1], read=attention.read)
    seen = opened(attention_figure(alone))
    for name, texts in (("kind", ["Input - Output"]), ("layer", ["0"])):
        options = seen.find_elements("css selector", f"[name={name}] option")
        assert [one.text for one in options] == texts
    np.testing.assert_allclose(drawn(seen), in_levels(attention.cross[0]) / 255, atol=1e-6)


def test_the_tokens_stand_in_two_columns(seen, attention):
    for kind in ("inp_out", "all"):
        choose(seen, "kind", kind)
        for side, texts in zip(("left", "right"), attention.texts(kind), strict=True):
            tokens = seen.find_elements("css selector", f".column.{side} .token")
            assert [token.text for token in tokens] == texts


def test_layers_and_kinds_can_be_chosen(seen, attention):
    layers = "[name=layer] option"
    assert [one.text for one in seen.find_elements("css selector", layers)] == ["0", "1"]
    before = drawn(seen)
    choose(seen, "layer", 0)
    assert (drawn(seen) != before).any()
    choose(seen, "kind", "inp_out")
    assert [one.text for one in seen.find_elements("css selector", layers)] == ["0", "1", "2"]


def test_a_head_can_be_turned_off_and_on(seen):
    before = drawn(seen)
    boxes = seen.find_elements("css selector", ".head input")
    boxes[3].click()
    after = drawn(seen)
    assert (after[3] == 0).all()
    np.testing.assert_array_equal(np.delete(after, 3, 0), np.delete(before, 3, 0))
    every = seen.find_element("css selector", "[name=every]")
    every.click()
    np.testing.assert_array_equal(drawn(seen), before)
    every.click()
    assert (drawn(seen) == 0).all()


@pytest.mark.parametrize("side", ["right", "left"])
def test_pointing_at_a_token_leaves_its_lines_alone(seen, attention, side):
    before = drawn(seen)
    point(seen, side, 2)
    alone = drawn(seen)
    expected = np.zeros_like(before)
    own = (slice(None), 2) if side == "right" else (slice(None), slice(None), 2)
    expected[own] = before[own]
    np.testing.assert_array_equal(alone, expected)
    summary = seen.find_element("css selector", ".summary").text
    assert summary.startswith("did " + ("attends to" if side == "right" else "is attended to by"))
    means = attention.encoder[1].mean(axis=0)
    means = means[2] if side == "right" else means[:, 2]
    assert f"{attention.source[means.argmax()]} {means.max():.2f}"[:-1] in summary


def test_tokens_can_be_reached_by_keyboard(seen):
    from selenium.webdriver import ActionChains, Keys

    before = drawn(seen)
    seen.execute_script("document.querySelector('.column.left .token').focus()")
    ActionChains(seen).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_DOWN).perform()
    assert seen.switch_to.active_element.text == "did"
    assert seen.switch_to.active_element.get_attribute("data-side") == "right"
    np.testing.assert_array_equal(drawn(seen)[:, 2], before[:, 2])
    assert drawn(seen).sum() == pytest.approx(5)
    ActionChains(seen).send_keys(Keys.ESCAPE).perform()
    np.testing.assert_array_equal(drawn(seen), before)
    stops = seen.execute_script("return document.querySelectorAll('.token[tabindex=\"0\"]').length")
    assert stops == 2  # one a column


def test_a_heat_map_shows_the_mean_of_the_heads(seen, attention):
    choose(seen, "kind", "inp_out")
    choose(seen, "view", "heat")
    cells = """return [...document.querySelectorAll(".heat [data-query]")]
        .map((cell) => [cell.dataset.query, cell.dataset.key, cell.getAttribute("fill-opacity")])"""

    def map_of():
        found = np.zeros((4, 7))
        for query, key, opacity in seen.execute_script(cells):
            found[int(query), int(key)] = float(opacity)
        return found

    np.testing.assert_allclose(map_of(), attention.cross[1].mean(axis=0), atol=1 / 255)
    seen.execute_script(
        "document.querySelector('.heat [data-query]').dispatchEvent("
        "new Event('mouseover', {bubbles: true}))"
    )
    summary = f"Le attends to The {attention.cross[1].mean(axis=0)[0, 0]:.2f}"[:-1]
    assert seen.find_element("css selector", ".summary").text.startswith(summary)
    assert seen.find_element("css selector", ".summary").text.endswith("(mean of the heads shown)")
    for box in seen.find_elements("css selector", ".head input")[1:]:
        box.click()
    np.testing.assert_allclose(map_of(), attention.cross[1, 0], atol=1 / 255)
    seen.execute_script("document.querySelectorAll('.heat .label[data-side=right]')[2].focus()")
    greatest = attention.cross[1, 0, 2].argmax()
    summary = seen.find_element("css selector", ".summary").text
    assert summary.startswith(f"veille attends to {attention.source[greatest]} ")


def test_arrow_keys_go_along_the_edges_of_a_heat_map(seen):
    from selenium.webdriver import ActionChains, Keys

    choose(seen, "view", "heat")
    seen.execute_script("document.querySelector('.heat .label[data-side=left]').focus()")
    for keys, place in (
        ([Keys.ARROW_RIGHT, Keys.ARROW_RIGHT], ("left", "did")),
        ([Keys.ARROW_LEFT, Keys.ARROW_DOWN], ("right", "cat")),
        ([Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT], ("left", "n't")),
    ):
        ActionChains(seen).send_keys(*keys).perform()
        active = seen.switch_to.active_element
        assert (active.get_attribute("data-side"), active.text) == place


def test_a_view_can_begin_with_a_token(opened, attention):
    seen = opened(attention_figure(attention, layer=0, kind="inp_out", token=1))
    found = drawn(seen)
    np.testing.assert_allclose(found[:, 1].sum(axis=-1), 1, atol=1e-6)
    assert (np.delete(found, 1, axis=1) == 0).all()
    point(seen, "left", 0)
    seen.execute_script(
        "document.querySelector('.column.left .token').dispatchEvent(new Event('mouseleave'))"
    )
    assert (drawn(seen).sum(axis=-1) > 0).all()


@pytest.mark.parametrize("name", NASTY)
def test_any_text_shows_as_text(opened, translator, name, monkeypatch):
    from keras_transformer.illustrate import extraction

    text = NASTY[name]
    length = len(extraction.ids_of(translator, text, "")[0])
    monkeypatch.setattr(extraction, "EXTRA_LENGTH", 5 - length)
    seen = opened(page(translator, text, reference=text))
    heading = seen.execute_script("return document.querySelector('h1').textContent")
    assert heading == text.replace("\x00", "").replace("\ud83d", "?")
    tokens = seen.execute_script(
        "return [...document.querySelectorAll('.column.left .token')].map((one) => one.textContent)"
    )
    expected = [
        translator.tokenizer.id_to_token(id) for id in extraction.ids_of(translator, text, "")[0]
    ]
    assert tokens == expected
    assert seen.execute_script("return document.scripts.length") == 2


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_wide_and_narrow_light_and_dark(opened, translator, width, theme):
    seen = opened(page(translator, "six"))
    show_as(seen, width, theme)
    assert seen.execute_script("return document.documentElement.scrollWidth") <= width
    paper = seen.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 20, 24)"}[theme]
    smallest = """return Math.min(...[...document.querySelectorAll("body *")]
        .filter((one) => one.textContent && !["SCRIPT", "STYLE"].includes(one.tagName))
        .map((one) => parseFloat(getComputedStyle(one).fontSize)))"""
    assert seen.execute_script(smallest) >= 10
    seen.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


LONG = ["▁Wohnungsbaugenossenschaft", "▁MANAGEMENTSYSTEM", "▁Donaudampfschiff", "機械翻訳の注意"]


def test_long_tokens_of_a_heat_map_are_not_cut_off_by_its_edge(opened):
    seen = opened(attention_figure(random_attention(1, 2, LONG, LONG)))
    choose(seen, "view", "heat")
    outside = """return [...document.querySelectorAll(".heat .label")].filter((label) => {
        const [own, map] = [label, label.ownerSVGElement].map((one) => one.getBoundingClientRect());
        return own.left < map.left || own.top < map.top;
    }).map((label) => label.textContent)"""
    assert seen.execute_script(outside) == []


def test_long_tokens_head_their_columns_whole(opened):
    words = [*LONG[1:], *"abcdefghi"]
    even = np.full((3, len(words)), 1 / len(words))
    seen = opened(distributions_figure([0, 1, 2], words, even, even))
    cut = """return [...document.querySelectorAll(".cells thead bdi")].filter((word) => {
        const range = document.createRange(); range.selectNodeContents(word);
        const text = range.getBoundingClientRect();
        return text.top < word.closest(".scroll").getBoundingClientRect().top
            || text.height > word.getBoundingClientRect().height + 1;
    }).map((word) => word.textContent)"""
    assert seen.execute_script(cut) == []
    assert len(seen.find_elements("css selector", ".cells thead bdi")) == 3 * len(words)


def test_long_tokens_of_a_tree_do_not_hide_one_another(opened):
    log_probs = np.log([[0.01, 0.9, 0.01, 0.08]])
    steps = [SearchStep([(1,) * n], [0.0], log_probs, [(1,) * (n + 1)]) for n in range(3)]
    seen = opened(search_figure(steps, [], LONG.__getitem__, 1, eos_id=0, pad_id=3))
    boxes = seen.execute_script(
        """return [...document.querySelectorAll(".tree .node text")]
            .map((text) => text.getBoundingClientRect()).map((box) => [box.left, box.right])"""
    )
    assert len(boxes) == 3
    assert all(one[1] < other[0] for one, other in itertools.pairwise(boxes)), boxes


def test_two_figures_of_one_page_are_apart(opened, attention):
    """And the largest view that is promised answers."""
    from keras_transformer.illustrate import Figure

    words = [f"word{i}" for i in range(60)]
    large = attention_figure(random_attention(6, 8, words, words))
    seen = opened(Figure("two", attention_figure(attention).body + large.body, {}))
    figures = seen.find_elements("css selector", "figure.attention")
    assert [len(one.find_elements("css selector", ".column.right .token")) for one in figures] == [
        7,
        60,
    ]
    figures[0].find_element("css selector", ".head input").click()
    assert len(figures[1].find_elements("css selector", "line[data-head='0'][data-query='3']")) > 0
