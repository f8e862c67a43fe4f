"""Training and evaluation steps of `TokenTrainer` under JAX.

A step is one program over the whole batch, on any number of devices.
"""

import keras
from keras import ops


def train_step(model, state, data):
    """Runs a training step; returns the metrics and the new state, as in Keras."""
    import jax

    trainable, non_trainable, optimizer_state, metrics = state

    def summed_loss(trainable, mutable, data):
        with _stateless_scope(model, trainable, *mutable) as scope:
            total, count = model.token_sums(data, training=True)
        return total, (count, _current_values(scope, model, *mutable))

    compute_gradients = jax.grad(summed_loss, has_aux=True)

    def accumulate(carry, micro_batch):
        mutable, count, gradients = carry
        new_gradients, (new_count, mutable) = compute_gradients(trainable, mutable, micro_batch)
        gradients = jax.tree.map(jax.numpy.add, gradients, new_gradients)
        return (mutable, count + new_count, gradients), None

    zeros = jax.tree.map(jax.numpy.zeros_like, trainable)
    carry = (non_trainable, metrics), jax.numpy.zeros(()), zeros
    if model.accumulate_steps == 1:
        carry, _ = accumulate(carry, data)
    else:
        carry, _ = jax.lax.scan(accumulate, carry, _split(data, model.accumulate_steps))
    (non_trainable, metrics), count, gradients = carry
    count = ops.where(ops.equal(count, 0.0), 1.0, count)
    trainable, optimizer_state = model.optimizer.stateless_apply(
        optimizer_state,
        [gradient / ops.cast(count, gradient.dtype) for gradient in gradients],
        trainable,
    )
    return _results(model, metrics), (trainable, non_trainable, optimizer_state, metrics)


def test_step(model, state, data):
    """Runs an evaluation step; returns the metrics and the new state, as in Keras."""
    trainable, non_trainable, metrics = state
    with _stateless_scope(model, trainable, non_trainable, metrics) as scope:
        model.token_sums(data, training=False)
    non_trainable, metrics = _current_values(scope, model, non_trainable, metrics)
    return _results(model, metrics), (trainable, non_trainable, metrics)


def _split(data, accumulate_steps):
    """Splits a batch into N micro-batches, from `(B, ...)` to `(N, B / N, ...)`.

    Micro-batch n consists of the rows n, n + N, n + 2N and so on.
    """
    N = accumulate_steps

    def split(array):
        if array.shape[0] % N:
            raise ValueError(
                f"The batch size must be a multiple of accumulate_steps={N}. "
                f"Received: {array.shape[0]}"
            )
        return ops.moveaxis(ops.reshape(array, (-1, N, *array.shape[1:])), 1, 0)

    return keras.tree.map_structure(split, tuple(part for part in data if part is not None))


def _stateless_scope(model, trainable, non_trainable, metrics):
    """Returns a scope in which the model's variables have the given values."""
    variables = model.trainable_variables + model.non_trainable_variables + model.metrics_variables
    values = zip(variables, [*trainable, *non_trainable, *metrics], strict=True)
    return keras.StatelessScope(values, collect_losses=True)  # from `add_loss`


def _current_values(scope, model, non_trainable, metrics):
    """Returns the values of non-trainable and metric variables at the end of a scope."""

    def current(variables, initial_values):
        pairs = zip(variables, initial_values, strict=True)
        values = [(scope.get_current_value(variable), initial) for variable, initial in pairs]
        return [initial if value is None else value for value, initial in values]

    return (
        current(model.non_trainable_variables, non_trainable),
        current(model.metrics_variables, metrics),
    )


def _results(model, metrics):
    """Returns the results of the metrics, given the values of their variables."""
    with keras.StatelessScope(zip(model.metrics_variables, metrics, strict=True)):
        return model.get_metrics_result()
