"""Training and evaluation steps of `TokenTrainer` under TensorFlow.

A step runs on each replica, with the replica's part of the batch.
"""

import keras
from keras import ops

from keras_transformer.replicas import sum_over_replicas


def train_step(model, data):
    """Runs a training step on this replica's part of a batch; returns the metrics."""
    if model.accumulate_steps == 1:
        count, gradients = _compute_gradients(model, data)
    else:
        count, gradients = _accumulate_gradients(model, data)
    count, *gradients = sum_over_replicas([count, *gradients])
    count = ops.where(ops.equal(count, 0.0), 1.0, count)
    model.optimizer.apply(
        [gradient / ops.cast(count, gradient.dtype) for gradient in gradients],
        model.trainable_variables,
    )
    return model.get_metrics_result()


def test_step(model, data):
    """Runs an evaluation step on this replica's part of a batch; returns the metrics."""
    model.token_sums(data, training=False)
    return model.get_metrics_result()


def _compute_gradients(model, data):
    """Returns the number of tokens and the dense gradients of their summed losses."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total, count = model.token_sums(data, training=True)
    gradients = tape.gradient(
        total,
        [variable.value for variable in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return count, [tf.convert_to_tensor(gradient) for gradient in gradients]


def _accumulate_gradients(model, data):
    """Computes the sums of `_compute_gradients` over micro-batches.

    Micro-batch n of N consists of the rows n, n + N, n + 2N and so on.
    """
    import tensorflow as tf

    N = model.accumulate_steps

    def split(tensor):
        shape = tf.shape(tensor)
        message = f"The batch size on each device must be a multiple of accumulate_steps={N}."
        with tf.control_dependencies([tf.debugging.assert_equal(shape[0] % N, 0, message)]):
            return tf.reshape(tensor, tf.concat([[shape[0] // N, N], shape[1:]], axis=0))

    split_data = keras.tree.map_structure(split, tuple(part for part in data if part is not None))

    def accumulate(n, count, gradients):
        micro_batch = keras.tree.map_structure(lambda tensor: tensor[:, n], split_data)
        new_count, new_gradients = _compute_gradients(model, micro_batch)
        return n + 1, count + new_count, list(map(tf.add, gradients, new_gradients))

    zeros = [tf.zeros(variable.shape, variable.dtype) for variable in model.trainable_variables]
    _, count, gradients = tf.while_loop(
        lambda n, *_: n < N, accumulate, (0, tf.zeros(()), zeros), parallel_iterations=1
    )
    return count, gradients
