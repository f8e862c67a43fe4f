"""Functions over a model's weights, compiled by XLA on either backend."""

import functools

import keras


def compiled(function, model):
    """Compiles `function` once for every combination of argument shapes and constants.

    The weights are looked up at every call, so training may go on between two calls.

    Args:
        function: Function of tensors that uses `model`; its keyword arguments are constants.
        model: A built `keras.Model`.

    Returns:
        A function with the same arguments and results.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    if keras.backend.backend() == "jax":
        return _compiled_by_jax(function, model)
    return function


def _compiled_by_jax(function, model):
    import jax

    @functools.cache
    def with_constants(constants):
        def run(weights, arguments):
            with keras.StatelessScope(zip(model.variables, weights, strict=True)):
                return function(*arguments, **dict(constants))

        return jax.jit(run)

    def call(*arguments, **constants):
        run = with_constants(tuple(sorted(constants.items())))
        return run([variable.value for variable in model.variables], arguments)

    return call
