import os

import keras
import numpy as np
import pytest

from keras_transformer.decoding import compiled as module
from keras_transformer.decoding.compiled import compiled


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
    monkeypatch.setattr(module, "KEPT", 2)
    function, traced = counting
    for size, factor in [(3, 5), (7, 5), (3, 5), (3, 11), (3, 5), (7, 5)]:
        found = function(np.ones(size, "float32"), factor=factor)
        np.testing.assert_array_equal(found, np.full(size, factor))
    assert traced == [(3, 5), (7, 5), (3, 11), (7, 5)]  # the last had to go in between


def test_after_a_fork_it_says_so_instead_of_waiting_for_ever(counting, monkeypatch):
    function, _ = counting
    function(np.ones(3, "float32"), factor=2)
    monkeypatch.setattr(os, "getpid", lambda: -7)
    with pytest.raises(RuntimeError, match="was used before the process was forked"):
        function(np.ones(3, "float32"), factor=2)


def test_a_process_that_forked_before_the_first_call_may_call(counting):
    function, _ = counting
    found = keras.ops.convert_to_numpy(function(np.ones(3, "float32"), factor=2))
    assert found.tolist() == [2.0, 2.0, 2.0]
