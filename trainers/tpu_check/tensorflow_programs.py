"""Programs as TensorFlow makes them for XLA."""

from collections.abc import Callable


def lower_by_tensorflow(function: Callable, *arguments) -> bytes:
    """A function as XLA gets it from `tf.function(jit_compile=True)`, before it is compiled.

    Nothing is run. Variables become arguments of the program.

    Args:
        function: Function of tensors, or of nested structures of them.
        *arguments: Its arguments' shapes and types: `(shape, dtype)` at each leaf, such as those of
            `packed_rows`.

    Returns:
        A serialised `HloModuleProto`.
    """
    import tensorflow as tf

    specs = [_as_specs(argument) for argument in arguments]
    leaves = tf.nest.flatten(specs)

    def flat(*tensors):
        return tf.nest.flatten(function(*tf.nest.pack_sequence_as(specs, tensors)))

    compiled = tf.function(flat, jit_compile=True, autograph=False)
    return compiled.experimental_get_compiler_ir(*leaves)(stage="hlo_serialized")


def _as_specs(argument):
    import tensorflow as tf

    if isinstance(argument, dict):
        return {name: _as_specs(value) for name, value in argument.items()}
    if isinstance(argument, tuple) and isinstance(argument[-1], str):
        return tf.TensorSpec(*argument)
    return tuple(map(_as_specs, argument))
