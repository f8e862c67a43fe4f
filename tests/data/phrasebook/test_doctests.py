"""The examples in the docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

from keras_transformer.data import phrasebook

MODULES = [
    module.name for module in pkgutil.walk_packages(phrasebook.__path__, phrasebook.__name__ + ".")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
