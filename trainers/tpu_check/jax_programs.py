"""Compilation of the data-parallel training step of Keras on JAX."""

import time

from trainers.tpu_check.compiler import Outcome, failure, success
from trainers.tpu_check.topologies import Topology


def compile_train_step(model, batch: tuple, topology: Topology) -> Outcome:
    """Compiles a model's training step for a slice, with the batch spread over its chips.

    The step is `model.train_step(state, data)` on the whole batch, jitted as in Keras' trainer; the
    compiler inserts the communication between chips.

    Args:
        model: Built and compiled `keras.Model` on the JAX backend, with all its variables
            (`make_all_variables`), of which only the shapes are used.
        batch: Shapes and dtypes of the whole batch, as `packed_rows` returns them. The number of
            rows must be a multiple of the number of chips.
        topology: `Topology`.

    Returns:
        `Outcome` of one chip.
    """
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array(topology.devices()), ("batch",))
    replicated, sharded = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("batch",)))

    def shapes(variables):
        return [jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=replicated) for v in variables]

    inputs, labels = batch
    inputs = {name: jax.ShapeDtypeStruct(*leaf, sharding=sharded) for name, leaf in inputs.items()}
    data = inputs, jax.ShapeDtypeStruct(*labels, sharding=sharded)
    state = (
        shapes(model.trainable_variables),
        shapes(model.non_trainable_variables),
        shapes(model.optimizer.variables),
        shapes(model.metrics_variables),
    )
    started = time.perf_counter()
    try:
        lowered = jax.jit(model.train_step, donate_argnums=0).lower(state, data)
        executable = lowered.compile()
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        return failure(error, time.perf_counter() - started)
    return success(executable.runtime_executable(), time.perf_counter() - started)
