"""XLA compilation of functions that use the weights of a model, on TensorFlow and JAX."""

import functools
import threading
from collections import OrderedDict

import keras

from keras_transformer.forking import refuse_after_fork

MAX_PROGRAMS = 128  # each takes about 60 MB


class _Tally:
    """The number of compilations of this process."""

    count = 0
    lock = threading.Lock()


def compilations() -> int:
    """Returns how often this process has compiled a program, of any translator."""
    return _Tally.count


def compiled(function, model):
    """Returns `function`, compiled once for every combination of argument shapes and constants.

    The `MAX_PROGRAMS` most recently used programs are kept. A program reads the weights at every
    call, so the model may be trained between calls. If layers were quantized or replaced, so that
    the model has other variables, new programs are compiled. Calls from several threads are safe.

    Args:
        function: Function of arrays that uses `model`. Its keyword arguments are constants.
        model: A built `keras.Model`.

    Returns:
        A function with the same arguments and results. On backends without XLA, `function` itself.

    Raises:
        ForkError: When called, if the process was forked after TensorFlow or JAX was used.
    """
    backends = {"tensorflow": _compile_with_tensorflow, "jax": _compile_with_jax}
    compile_function = backends.get(keras.backend.backend())
    if compile_function is None:
        return function
    programs, lock = OrderedDict(), threading.Lock()

    def call(*arguments, **constants):
        variables = model.variables
        shapes = tuple(array.shape for array in arguments)
        key = (shapes, tuple(sorted(constants.items())), tuple(map(id, variables)))
        refuse_after_fork()  # before the lock, which a thread of the parent may have held
        with lock:
            if key not in programs:
                counted = functools.partial(_traced, functools.partial(function, **constants))
                program = compile_function(counted, model)
                programs[key] = program, variables  # held, so that no other variable has their ids
            programs.move_to_end(key)
            program, _ = programs[key]
            if len(programs) > MAX_PROGRAMS:
                programs.popitem(last=False)
        return program(*arguments)

    return call


def _traced(function, *arguments):
    """Calls a function, and counts it: a trace is followed by a compilation, whoever caused it."""
    with _Tally.lock:
        _Tally.count += 1
    return function(*arguments)


def _compile_with_tensorflow(function, model):
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def _compile_with_jax(function, model):
    import jax

    @jax.jit
    def run(weights, arguments):
        with keras.StatelessScope(zip(model.variables, weights, strict=True)):
            return function(*arguments)

    return lambda *arguments: run([variable.value for variable in model.variables], arguments)
