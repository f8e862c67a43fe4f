"""Copies of a model that share a training step under `tf.distribute`.

Everywhere else there is one: under JAX a program sees the whole batch, whatever the devices.
"""

import sys

import keras


def _context():
    """TensorFlow's replica context if there are several replicas; else `None`."""
    if keras.backend.backend() != "tensorflow" or "tensorflow" not in sys.modules:
        return None
    import tensorflow as tf

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return None
    return tf.distribute.get_replica_context()


def replica_id():
    """Which replica this is, counted from 0: an integer or a scalar tensor."""
    context = _context()
    return 0 if context is None else context.replica_id_in_sync_group


def sum_over_replicas(tensors):
    """Adds up what every replica has.

    Args:
        tensors: A tensor, or a list of tensors.

    Returns:
        The sums, the same on all replicas.
    """
    context = _context()
    if context is None:
        return tensors
    import tensorflow as tf

    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def replicas_in_sync():
    """How many replicas share a step: 1 outside `tf.distribute`."""
    if keras.backend.backend() != "tensorflow" or "tensorflow" not in sys.modules:
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
