"""Lowering of functions to XLA programs through TensorFlow."""

from collections.abc import Callable


def lower_by_tensorflow(function: Callable, *arguments) -> bytes:
    """Lowers a function to the HLO that `tf.function(jit_compile=True)` passes to XLA.

    The function is traced but not run. Variables become arguments of the program.

    Args:
        function: Function of tensors, or of nested structures of them.
        *arguments: Shapes and dtypes of the arguments: `(shape, dtype)` at each leaf, as
            `packed_rows` returns them.

    Returns:
        A serialized `HloModuleProto`.
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
