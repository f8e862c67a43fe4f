"""Functions over a model's weights, compiled by XLA on either backend."""

import keras


def compiled(function, model):
    """Compiles `function` once for every combination of argument shapes.

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
    import functools

    import jax

    @functools.partial(jax.jit, static_argnames=("length",))
    def run(weights, arguments, length):
        scope = keras.StatelessScope(zip(model.variables, weights, strict=True))
        with scope:
            return function(*arguments, length=length)

    def call(*arguments, length):
        return run([variable.value for variable in model.variables], arguments, length)

    return call
