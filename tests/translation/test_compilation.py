import keras
import numpy as np
import pytest

from keras_transformer.translation import compilation as module
from keras_transformer.translation.compilation import compiled


@pytest.fixture
def counting():
    """A compiled function and how often it was traced."""
    traced = []

    def scaled(x, factor):
        traced.append((*x.shape, factor))
        return x * factor

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    return compiled(scaled, model), traced


def test_the_last_programs_are_kept(counting, monkeypatch):
    monkeypatch.setattr(module, "MAX_PROGRAMS", 2)
    function, traced = counting
    for size, factor in [(3, 5), (7, 5), (3, 5), (3, 11), (3, 5), (7, 5)]:
        found = function(np.ones(size, "float32"), factor=factor)
        np.testing.assert_array_equal(found, np.full(size, factor))
    assert traced == [(3, 5), (7, 5), (3, 11), (7, 5)]  # the last had to go in between


def test_a_program_computes(counting):
    function, _ = counting
    found = keras.ops.convert_to_numpy(function(np.ones(3, "float32"), factor=2))
    assert found.tolist() == [2.0, 2.0, 2.0]
