import os
import signal
import warnings

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


def raises_in_time(function):
    """In a child process: whether the call is refused, as its exit code."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(20)
    try:
        function(np.ones(3, "float32"), factor=2)
    except RuntimeError as error:
        return 0 if "was used before the process was forked" in str(error) else 3
    return 5


def test_after_a_fork_it_says_so_instead_of_waiting_for_ever(counting):
    function, _ = counting
    function(np.ones(3, "float32"), factor=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # later Pythons warn of what is tried here
        child = os.fork()
    if child == 0:
        code = 7
        try:
            code = raises_in_time(function)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_that_forked_before_the_first_call_may_call(counting):
    function, _ = counting
    found = keras.ops.convert_to_numpy(function(np.ones(3, "float32"), factor=2))
    assert found.tolist() == [2.0, 2.0, 2.0]
