"""The steps of `TokenTrainer` under JAX, which see the whole batch, whatever the devices."""

import keras
from keras import ops


def train_step(model, state, data):
    """Learns from a batch; returns the metrics and the new state, as Keras' own step."""
    import jax

    trainable, others, optimizer_state, metrics = state

    def sums(trainable, changing, data):
        with _holding(model, trainable, *changing) as scope:
            total, count = model.token_sums(data, training=True)
        return total, (count, _values(scope, model, *changing))

    take_gradients = jax.grad(sums, has_aux=True)

    def add_one(carry, micro):
        changing, count, gradients = carry
        new_gradients, (new_count, changing) = take_gradients(trainable, changing, micro)
        gradients = jax.tree.map(jax.numpy.add, gradients, new_gradients)
        return (changing, count + new_count, gradients), None

    nothing = jax.tree.map(jax.numpy.zeros_like, trainable)
    start = (others, metrics), jax.numpy.zeros(()), nothing
    if model.accumulate_steps == 1:
        ((others, metrics), count, gradients), _ = add_one(start, data)
    else:
        folded = _fold(data, model.accumulate_steps)
        ((others, metrics), count, gradients), _ = jax.lax.scan(add_one, start, folded)
    count = ops.where(ops.equal(count, 0.0), 1.0, count)
    trainable, optimizer_state = model.optimizer.stateless_apply(
        optimizer_state,
        [gradient / ops.cast(count, gradient.dtype) for gradient in gradients],
        trainable,
    )
    return _results(model, metrics), (trainable, others, optimizer_state, metrics)


def test_step(model, state, data):
    """Tells the metrics of a batch; returns them and the new state."""
    trainable, others, metrics = state
    with _holding(model, trainable, others, metrics) as scope:
        model.token_sums(data, training=False)
    others, metrics = _values(scope, model, others, metrics)
    return _results(model, metrics), (trainable, others, metrics)


def _fold(data, count):
    """Micro-batch n is rows n, n + N, n + 2N ...: `(B, ...)` to `(N, B / N, ...)`."""

    def fold(array):
        if array.shape[0] % count:
            raise ValueError(
                f"The batch size must be a multiple of accumulate_steps={count}. "
                f"Received: {array.shape[0]}"
            )
        return ops.moveaxis(ops.reshape(array, (-1, count, *array.shape[1:])), 1, 0)

    return keras.tree.map_structure(fold, tuple(part for part in data if part is not None))


def _holding(model, trainable, others, metrics):
    """A scope in which the model's variables have these values."""
    variables = model.trainable_variables + model.non_trainable_variables + model.metrics_variables
    values = zip(variables, [*trainable, *others, *metrics], strict=True)
    return keras.StatelessScope(values, collect_losses=True)  # those that layers add


def _values(scope, model, others, metrics):
    """What the variables that are not trained have at the end of a scope."""

    def now(variables, before):
        pairs = zip(variables, before, strict=True)
        found = [(scope.get_current_value(variable), value) for variable, value in pairs]
        return [value if new is None else new for new, value in found]

    return now(model.non_trainable_variables, others), now(model.metrics_variables, metrics)


def _results(model, metrics):
    with keras.StatelessScope(zip(model.metrics_variables, metrics, strict=True)):
        return model.get_metrics_result()
