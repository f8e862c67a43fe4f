"""Takes docs/images/serve.png, a picture of the page of `serve`.

It needs chromium, chromedriver and the extra `dev`, and a service of the run of `make demo`:

    python -m keras_transformer serve --run runs/phrasebook --batch-size 1
    python docs/images/serve.py
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

TEXT = "The animal didn't cross the street because it was too tired."
OPTIONS = "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage"
ASK = """const text = document.getElementById("text");
text.value = arguments[0];
document.getElementById("ask").requestSubmit();
text.blur();"""
REPLAY = """for (const slider of document.querySelectorAll("[name=step]")) {
    slider.value = arguments[0];
    slider.dispatchEvent(new Event("input"));
}
for (const tree of document.querySelectorAll(".tree-scroll")) tree.style.scrollBehavior = "auto";"""


def chromium() -> webdriver.Chrome:
    """Starts chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in OPTIONS.split():
        options.add_argument(option)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def show_as(browser, width: int, height: int, theme: str) -> None:
    """Sets the size of the window, and light or dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def picture(url: str, text: str, step: int, width: int, height: int, theme: str) -> Image.Image:
    """Returns the page after a translation, the search at a step; a height of 0 is the page's."""
    with chromium() as browser:
        show_as(browser, width, 900, theme)
        browser.get(url)
        wait = WebDriverWait(browser, 30)
        wait.until(lambda _: browser.find_elements("tag name", "article"))
        browser.execute_script(ASK, text)
        wait.until(lambda _: browser.find_elements("css selector", ".replay:not([hidden])"))
        page_height = browser.execute_script("return document.documentElement.scrollHeight")
        show_as(browser, width, height or page_height, theme)
        if step >= 0:
            browser.execute_script(REPLAY, step)
            browser.execute_script(REPLAY, step)
        return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def main() -> None:
    """Takes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("serve.png"))
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--step", type=int, default=8)
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--height", type=int, default=1390)
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    given = parser.parse_args()
    sizes = {name: getattr(given, name) for name in ("step", "width", "height", "theme")}
    image = picture(given.url, given.text, **sizes)
    small = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3)  # keeps rare colours
    small.save(given.output, optimize=True)
    print(f"{given.output}: {image.width} x {image.height}")


if __name__ == "__main__":
    main()
