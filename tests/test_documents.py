"""What the documents say is run: the examples in docstrings, the code in the README."""

import doctest
import importlib
import inspect
import os
import re
from pathlib import Path

import keras
import pytest

import keras_transformer as kt
from tests.conftest import ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "keras_transformer").rglob("*.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_do_what_they_say(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs={"keras": keras}).failed == 0


@pytest.mark.parametrize("place", ["layers", "models"])
def test_every_public_class_and_function_shows_an_example(place):
    home = getattr(kt, place)
    for name in home.__all__:
        if inspect.isclass(getattr(home, name)) or inspect.isfunction(getattr(home, name)):
            assert ">>>" in inspect.getdoc(getattr(home, name)), name


def test_a_wrong_example_would_be_noticed():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda text: None).failed == 1


def python_blocks(text: str) -> list[str]:
    """The ```python blocks of a Markdown text."""
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_the_code_in_the_readme_runs(capsys):
    run = os.environ.get("KERAS_TRANSFORMER_PHRASEBOOK_RUN", "")
    names = {}
    for block in python_blocks((ROOT / "README.md").read_text("utf-8")):
        if '"runs/phrasebook"' in block:
            if not (Path(run) / "run.json").is_file() or not run:
                continue  # `make demo` makes the run that this block loads
            block = block.replace("runs/phrasebook", run)
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "(1, 4, 3, 4)" in printed
    if run:
        assert "Je suis étudiant." in printed
    assert names["language_model"].output_shape == (None, None, 1000)
    assert names["classifier"].output_shape == (None, 2)


def test_the_readme_has_no_gaps():
    assert not re.findall(r"@[A-Z0-9_]+@|TODO|TBD", (ROOT / "README.md").read_text("utf-8"))
