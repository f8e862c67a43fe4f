"""Functions over a model's weights, compiled by XLA on either backend."""

import functools
import os
import threading
from collections import OrderedDict

import keras

KEPT = 128  # programs of some 60 MB


def compiled(function, model):
    """Compiles `function` once for every combination of argument shapes and constants.

    The last `KEPT` programs are kept. The weights are looked up at every call, so training may go
    on between two calls; but the layers must stay, and their variables: a model that was quantised
    or got another layer wants a new function. Several threads may call at a time, but no process
    that was forked after the first call.

    Args:
        function: Function of arrays that uses `model`; its keyword arguments are constants.
        model: A built `keras.Model`.

    Returns:
        A function with the same arguments and results.

    Raises:
        RuntimeError: Another process called first.
    """
    compile_one = {"tensorflow": _by_tensorflow, "jax": _by_jax}.get(keras.backend.backend())
    if compile_one is None:
        return function
    programs, lock, processes = OrderedDict(), threading.Lock(), set()

    def call(*arguments, **constants):
        key = (tuple(array.shape for array in arguments), tuple(sorted(constants.items())))
        processes.add(os.getpid())
        if len(processes) > 1:  # before the lock, which a thread of the other may hold for ever
            raise RuntimeError(
                "This translator was used before the process was forked, which the threads of "
                f"{keras.backend.backend()} do not survive: the call would never end. Load it in "
                "each process, or start them by `spawn`."
            )
        with lock:
            if key not in programs:
                programs[key] = compile_one(functools.partial(function, **constants), model)
            programs.move_to_end(key)
            program = programs[key]
            if len(programs) > KEPT:
                programs.popitem(last=False)
        return program(*arguments)

    return call


def _by_tensorflow(function, model):
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def _by_jax(function, model):
    import jax

    @jax.jit
    def run(weights, arguments):
        with keras.StatelessScope(zip(model.variables, weights, strict=True)):
            return function(*arguments)

    return lambda *arguments: run([variable.value for variable in model.variables], arguments)
