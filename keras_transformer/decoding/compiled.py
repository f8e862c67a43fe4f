"""Functions over a model's weights, compiled by XLA on either backend."""

import functools
import threading

import keras


def compiled(function, model):
    """Compiles `function` once for every combination of argument shapes and constants.

    The weights are looked up at every call, so training may go on between two calls. Several
    threads may call at a time.

    Args:
        function: Function of arrays that uses `model`; its keyword arguments are constants.
        model: A built `keras.Model`.

    Returns:
        A function with the same arguments and results.
    """
    compile_one = {"tensorflow": _by_tensorflow, "jax": _by_jax}.get(keras.backend.backend())
    if compile_one is None:
        return function
    programs, lock = {}, threading.Lock()

    def call(*arguments, **constants):
        key = (tuple(array.shape for array in arguments), tuple(sorted(constants.items())))
        with lock:
            if key not in programs:
                programs[key] = compile_one(functools.partial(function, **constants), model)
        return programs[key](*arguments)

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
