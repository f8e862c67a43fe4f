"""The page in a browser: by keyboard, wide and narrow, with hostile texts and when things fail."""

import contextlib
import dataclasses
import http.client
import re
import shutil
import socket
import subprocess
import time

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("prometheus_client", reason="needs the extra `serve`")

from keras_transformer.serving.service_settings import (
    Batching,
    FixedSearch,
    Limits,
    ServiceSettings,
)
from tests.browser import browser, requested, show_as
from tests.conftest import ROOT, searches_without_xla
from tests.serving.http_service import HANGS, running
from tests.translation.conftest import one_size, translator

__all__ = ["browser", "one_size", "translator"]
pytestmark = pytest.mark.slow

SETTINGS = ServiceSettings(
    {}, FixedSearch(beam_size=2, top_beams=1, max_length=9), Limits(seconds=HANGS), Batching(size=5)
)
TEXT = "one two three"
TOKEN = "a-token-of-many-characters"
RUNS = ["red", "<img src=x onerror=alert(1)>"]
NASTY = {
    "an image": "<img src=x onerror=alert(1)>",
    "a script": "</script><script>alert(1)</script>",
    "a template": "</template>{{7*7}}${x}",
    "right to left": "\u202eone \u2067two שלום",
    "controls": "one \x07\u2028two",
    "many characters": "<b>" + 10_000 * "x",
}


@pytest.fixture(scope="module")
def services(translator, one_size):
    """A service of one run, one of two, and one that wants a token."""
    with searches_without_xla():
        translator.model = translator.model
        closed = dataclasses.replace(SETTINGS, tokens=(TOKEN,))
        with (
            running(SETTINGS, red=translator) as one,
            running(SETTINGS, **dict.fromkeys(RUNS, translator)) as two,
            running(closed, red=translator) as wary,
        ):
            yield {"one": one, "two": two, "wary": wary}


@pytest.fixture
def opened(browser, services):
    """Function that opens the page; afterwards there was no complaint, and no request elsewhere."""
    seen = {}

    def see(name="one", port=None, path="/"):
        seen["url"] = f"http://127.0.0.1:{port or services[name].port}{path}"
        requested(browser)
        browser.get_log("browser")
        browser.get(seen["url"])
        return browser

    yield see
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    assert [one for one in complaints if "Failed to load resource" not in one] == []
    urls = requested(browser)
    assert urls
    assert [url for url in urls if not url.startswith((seen["url"], "data:"))] == []


def wait(browser, script, *arguments):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, HANGS).until(lambda _: browser.execute_script(script, *arguments))


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def texts(browser, selector):
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    return browser.execute_script(script, selector)


def ask(browser, text):
    """Types a sentence and presses Enter; waits until all is answered."""
    from selenium.webdriver import Keys

    wait(browser, "return document.querySelector('article')")
    field = browser.find_element("id", "text")
    browser.execute_script("arguments[0].value = arguments[1]; arguments[0].focus()", field, text)
    press(browser, Keys.ENTER)
    wait(browser, "return document.getElementById('status').textContent === ''")


def test_typing_and_enter_translate(opened, services, translator):
    from selenium.webdriver import Keys

    seen = opened()
    wait(seen, "return document.querySelector('article')")
    assert seen.switch_to.active_element.get_attribute("id") == "text"
    press(seen, *TEXT, Keys.ENTER)
    wait(seen, "return document.querySelector('.replay:not([hidden])')")
    (wanted,) = translator.translate([TEXT], 2, 2, max_length=9)
    assert texts(seen, ".translation") == [wanted.text]
    found = texts(seen, ".best tbody td:nth-child(2) bdi")
    assert found == [one.text for one in wanted.hypotheses]
    scores = [f"{one.score:.3f}".replace("-", "−") for one in wanted.hypotheses]
    assert texts(seen, ".best tbody td:last-child") == scores
    assert texts(seen, ".column.left .token") == list(wanted.source_tokens)
    assert texts(seen, ".column.right .token") == list(wanted.hypotheses[0].tokens)
    assert seen.execute_script("return document.querySelectorAll('.lines line').length") > 10


TWICE = """const [first, second] = arguments[0], fetched = window.fetch;
window.fetch = async (path, options) => {
    if (!options.body.includes(first)) return fetched(path, options);
    await new Promise((resolve) => setTimeout(resolve, 700));
    try { return await fetched(path, options); } finally { window.firstIsAnswered = true; }
};
for (const one of [first, second]) {
    document.getElementById("text").value = one;
    document.getElementById("ask").requestSubmit();
}"""


def test_the_last_of_two_questions_is_answered(opened, translator):
    seen = opened()
    wait(seen, "return document.querySelector('article')")
    seen.execute_script(TWICE, [TEXT, "seven six five"])
    wait(seen, "return window.firstIsAnswered")
    wait(seen, "return document.getElementById('status').textContent === ''")
    (wanted,) = translator.translate(["seven six five"], 2, 2, max_length=9)
    assert texts(seen, ".translation") == [wanted.text]
    assert texts(seen, ".column.left .token") == list(wanted.source_tokens)
    assert len(seen.find_elements("css selector", ".tree")) == 1


def test_shift_enter_starts_a_new_line(opened):
    from selenium.webdriver import ActionChains, Keys

    seen = opened()
    wait(seen, "return document.querySelector('article')")
    chain = ActionChains(seen).send_keys("one").key_down(Keys.SHIFT).send_keys(Keys.ENTER)
    chain.key_up(Keys.SHIFT).send_keys("two").perform()
    assert seen.find_element("id", "text").get_property("value") == "one\ntwo"
    assert texts(seen, ".translation") == [""]


SHOWN = """return [...document.querySelectorAll(".tree .node")]
    .filter((node) => getComputedStyle(node).visibility === "visible")
    .map((node) => node.dataset.step)"""


def step_of(browser):
    return int(browser.find_element("css selector", "[name=step]").get_property("value"))


def test_the_search_is_replayed_by_keyboard(opened):
    from selenium.webdriver import Keys

    seen = opened()
    ask(seen, TEXT)
    last = step_of(seen)
    assert last > 2
    assert max(map(int, seen.execute_script(SHOWN))) == last
    assert seen.find_elements("css selector", ".tree.done")
    press(seen, Keys.TAB, Keys.TAB, Keys.TAB)  # the button, the hypotheses, Previous
    assert seen.switch_to.active_element.text == "Previous"
    press(seen, Keys.ENTER)
    assert step_of(seen) == last - 1
    assert max(map(int, seen.execute_script(SHOWN))) == last - 1
    assert not seen.find_elements("css selector", ".tree.done")
    press(seen, Keys.HOME)
    assert (step_of(seen), seen.execute_script(SHOWN)) == (0, [])
    press(seen, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert (step_of(seen), set(seen.execute_script(SHOWN))) == (1, {"1"})
    assert texts(seen, ".caption")[0].startswith(f"Step 1 of {last}: 2 kept")
    seen.execute_script("document.querySelector('[name=step]').focus()")
    press(seen, Keys.ARROW_RIGHT)
    assert step_of(seen) == 2
    assert seen.find_element("css selector", "[name=step]").get_attribute("aria-valuetext") == (
        f"step 2 of {last}"
    )
    seen.execute_script("document.querySelector('.tree-scroll').focus()")
    press(seen, Keys.END)
    assert step_of(seen) == last


def test_play_runs_through_all_steps_and_can_be_paused(opened):
    from selenium.webdriver import Keys

    seen = opened()
    ask(seen, TEXT)
    last = step_of(seen)
    play = seen.find_element("css selector", "[name=play]")
    play.send_keys(Keys.ENTER)
    assert (step_of(seen), play.text) == (0, "Pause")
    wait(seen, "return Number(document.querySelector('[name=step]').value) === 1")
    play.send_keys(Keys.ENTER)
    assert play.text == "Play"
    play.send_keys(Keys.ENTER)
    wait(seen, "return Number(document.querySelector('[name=step]').value) === arguments[0]", last)
    assert play.text == "Play"


def test_every_control_is_reached_by_tab_and_has_a_name(opened):
    from selenium.webdriver import Keys

    seen = opened("two")
    ask(seen, TEXT)
    names = []
    for _ in range(100):
        press(seen, Keys.TAB)
        active = seen.switch_to.active_element
        if active.tag_name in ("body", "textarea"):
            break
        names.append(active.accessible_name.strip())
    assert all(names), names
    for name in ("Translate", "Previous", "Play", "Step", "Layer", "Attention", "View", "All"):
        found = sum(one.startswith(name) for one in names)
        assert found == (1 if name == "Translate" else 2), (name, list(names))
    live = "[aria-live=polite].translation, [role=alert], [role=status]"
    assert len(seen.find_elements("css selector", live)) >= 4


def test_two_runs_stand_side_by_side_or_below_each_other(opened):
    seen = opened("two")
    ask(seen, TEXT)
    assert texts(seen, ".run") == RUNS
    assert seen.execute_script("return document.querySelectorAll('img').length") == 0
    assert len(set(texts(seen, ".translation"))) == 1
    boxes = """return [...document.querySelectorAll("article")]
        .map((one) => one.getBoundingClientRect()).map((box) => [box.left, box.top])"""
    (left, top), (right, other_top) = seen.execute_script(boxes)
    assert right > left
    assert top == other_top
    show_as(seen, 390, "light")
    (left, top), (right, other_top) = seen.execute_script(boxes)
    assert right == left
    assert other_top > top
    seen.execute_script("document.querySelector('[name=previous]').click()")
    steps = [int(one.get_property("value")) for one in seen.find_elements("name", "step")]
    assert steps[0] == steps[1] - 1


@pytest.mark.parametrize("name", NASTY)
def test_a_hostile_text_is_text(opened, translator, name):
    seen = opened()
    ask(seen, NASTY[name])
    assert seen.execute_script("return document.scripts.length") == 1
    assert seen.execute_script("return document.querySelectorAll('img, b').length") == 0
    assert seen.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    if name == "many characters":
        assert texts(seen, "#error")[0].startswith("A text has 10003 characters, at most 5000")
        return
    (wanted,) = translator.translate([NASTY[name]], 2, 1, max_length=9)
    assert texts(seen, ".translation") == [wanted.text]


def test_a_text_of_several_pieces_is_translated_and_says_so(opened, translator):
    seen = opened()
    text = "one two three four. five six seven red. cat dog street one."
    assert len(translator.split(text)) > 1
    ask(seen, text)
    assert texts(seen, ".translation")[0]
    assert texts(seen, ".reason")[0].startswith("The text was translated in ")
    assert seen.find_elements("css selector", "section:not([hidden])") == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_wide_and_narrow_light_and_dark(opened, width, theme):
    seen = opened()
    show_as(seen, width, theme)
    ask(seen, TEXT)
    assert seen.execute_script("return document.documentElement.scrollWidth") <= width
    paper = seen.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 20, 24)"}[theme]
    smallest = """return Math.min(...[...document.querySelectorAll("main *")]
        .filter((one) => one.textContent && one.getClientRects().length)
        .map((one) => parseFloat(getComputedStyle(one).fontSize)))"""
    assert seen.execute_script(smallest) >= 12


def test_a_token_is_asked_for_and_kept_in_memory_alone(opened):
    from selenium.webdriver import Keys

    seen = opened("wary")
    wait(seen, "return !document.getElementById('token-row').hidden")
    assert texts(seen, "#error") == ["The service wants a token: type it above."]
    assert seen.switch_to.active_element.get_attribute("id") == "token"
    press(seen, "wrong", Keys.TAB, TEXT, Keys.ENTER)
    wait(seen, "return document.getElementById('error').textContent.includes('does not know')")
    field = seen.find_element("id", "token")
    field.clear()
    field.send_keys("ключ", Keys.ENTER)
    wait(seen, "return document.getElementById('error').textContent.includes('no token has')")
    field.clear()
    field.send_keys(TOKEN, Keys.ENTER)
    wait(seen, "return document.querySelector('.replay:not([hidden])')")
    assert texts(seen, "#error") == [""]
    kept = "return [localStorage.length, sessionStorage.length, document.cookie.length]"
    assert seen.execute_script(kept) == [0, 0, 0]
    seen.refresh()
    assert seen.find_element("id", "token").get_property("value") == ""


FAILED = {
    429: "Too many texts wait already. Try again in a few seconds.",
    503: "The service is ending or overloaded. Try again in a few seconds.",
    504: "The answer took too long and was given up. Try a shorter sentence, or try again later.",
    502: "The service failed, with status 502.",
    422: "It is too <b>long</b>.",
}


@pytest.mark.parametrize("status", FAILED)
def test_a_failure_is_one_sentence(opened, status):
    """A page whose requests are answered as a service would that is overloaded."""
    seen = opened()
    wait(seen, "return document.querySelector('article')")
    body = "<html>" if status == 502 else '{"error": {"message": "It is too <b>long</b>."}}'
    seen.execute_script(
        "window.fetch = async () => new Response(arguments[0], {status: arguments[1]})",
        body,
        status,
    )
    ask(seen, TEXT)
    assert texts(seen, "#error") == [FAILED[status]]
    assert texts(seen, ".translation") == [""]


def test_a_service_that_is_gone_is_said_and_so_is_an_empty_sentence(opened):
    seen = opened()
    ask(seen, "")
    assert texts(seen, "#error") == ["Type a sentence first."]
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    seen.execute_cdp_cmd("Network.enable", {})
    seen.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        ask(seen, TEXT)
    finally:
        seen.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    assert texts(seen, "#error") == ["The service cannot be reached. Is it still running?"]
    ask(seen, TEXT)
    assert texts(seen, "#error") == [""]
    assert texts(seen, ".translation")[0]


@pytest.fixture
def proxy(services, tmp_path):
    """The port of nginx, with the configuration of docs/serving.md, in front of the service."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("there is no nginx here")
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    [documented] = re.findall(r"```nginx\n(.*?)```", page, flags=re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    documented = documented.replace(
        "server 127.0.0.1:8000;", f"server 127.0.0.1:{services['one'].port};"
    )
    documented = documented.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    file = tmp_path / "nginx.conf"
    file.write_text(f"daemon off;\npid {tmp_path}/pid;\nerror_log stderr;\n{documented}", "utf-8")
    process = subprocess.Popen([program, "-p", str(tmp_path), "-c", str(file)])
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(HANGS)


def test_behind_the_documented_proxy(opened, proxy, translator):
    """Under another path; the proxy refuses large bodies, and requests for metrics."""
    seen = opened(port=proxy, path="/translator/")
    ask(seen, TEXT)
    assert texts(seen, ".translation") == [translator.translate([TEXT], 2, max_length=9)[0].text]
    wait(seen, "return document.querySelector('.replay:not([hidden])')")
    for path, body, status in [("metrics", None, 403), ("score", b"x" * 2**20 + b"x", 413)]:
        connection = http.client.HTTPConnection("127.0.0.1", proxy, timeout=HANGS)
        with contextlib.closing(connection):
            connection.request("POST" if body else "GET", f"/translator/{path}", body)
            assert connection.getresponse().status == status


def test_the_description_of_the_api_has_its_style(opened):
    """Its policy allows it by a hash."""
    browser = opened(path="/docs")
    width = "return getComputedStyle(document.body).maxWidth"
    assert browser.execute_script(width) == "800px"
