"""What the documents say is run: the examples in every docstring of the package."""

import doctest
import importlib
import inspect

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
