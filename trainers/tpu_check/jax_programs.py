"""The data-parallel training step as Keras makes it under JAX."""

import time

from trainers.tpu_check.compiler import Outcome, failure, success
from trainers.tpu_check.topologies import Topology


def compile_train_step(model, batch: tuple, topology: Topology) -> Outcome:
    """Compiles a model's training step for all chips of a slice, the batch spread over them.

    The step is `model.train_step(state, data)` over the whole batch, jitted as Keras' trainer does
    it: what the chips have to tell one another is found by the compiler.

    Args:
        model: A built and compiled `keras.Model` under the JAX backend, with all its variables
            (`make_all_variables`). They are only asked for their shapes.
        batch: Shapes and types of the whole batch, as `packed_rows` gives them. The number of rows
            must be a multiple of that of the chips.
        topology: `Topology`.

    Returns:
        `Outcome` of one chip.
    """
    import jax
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array(topology.devices()), ("batch",))
    everywhere, spread = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("batch",)))

    def shapes(variables):
        return [jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=everywhere) for v in variables]

    inputs, labels = batch
    inputs = {name: jax.ShapeDtypeStruct(*leaf, sharding=spread) for name, leaf in inputs.items()}
    data = inputs, jax.ShapeDtypeStruct(*labels, sharding=spread)
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
