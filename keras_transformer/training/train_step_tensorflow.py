"""The steps of `TokenTrainer` under TensorFlow, on one replica of however many."""

import keras
from keras import ops

from keras_transformer.replicas import sum_over_replicas


def train_step(model, data):
    """Learns from a batch, or from this replica's share of it; returns the metrics."""
    if model.accumulate_steps == 1:
        count, gradients = _gradients(model, data)
    else:
        count, gradients = _accumulated(model, data)
    count, *gradients = sum_over_replicas([count, *gradients])
    count = ops.where(ops.equal(count, 0.0), 1.0, count)
    model.optimizer.apply(
        [gradient / ops.cast(count, gradient.dtype) for gradient in gradients],
        model.trainable_variables,
    )
    return model.get_metrics_result()


def test_step(model, data):
    """Tells the metrics of a batch; returns them."""
    model.token_sums(data, training=False)
    return model.get_metrics_result()


def _gradients(model, data):
    """How many tokens, and the gradients of the sum of their losses, dense."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total, count = model.token_sums(data, training=True)
    gradients = tape.gradient(
        total,
        [variable.value for variable in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return count, [tf.convert_to_tensor(gradient) for gradient in gradients]


def _accumulated(model, data):
    """The same, one micro-batch after the other: rows n, n + N, n + 2N and so on."""
    import tensorflow as tf

    N = model.accumulate_steps

    def fold(tensor):
        shape = tf.shape(tensor)
        message = f"The batch size on each device must be a multiple of accumulate_steps={N}."
        with tf.control_dependencies([tf.debugging.assert_equal(shape[0] % N, 0, message)]):
            return tf.reshape(tensor, tf.concat([[shape[0] // N, N], shape[1:]], axis=0))

    folded = keras.tree.map_structure(fold, tuple(part for part in data if part is not None))

    def add_one(n, count, gradients):
        micro = keras.tree.map_structure(lambda tensor: tensor[:, n], folded)
        new_count, new_gradients = _gradients(model, micro)
        return n + 1, count + new_count, list(map(tf.add, gradients, new_gradients))

    nothing = [tf.zeros(variable.shape, variable.dtype) for variable in model.trainable_variables]
    _, count, gradients = tf.while_loop(
        lambda n, *_: n < N, add_one, (0, tf.zeros(()), nothing), parallel_iterations=1
    )
    return count, gradients
