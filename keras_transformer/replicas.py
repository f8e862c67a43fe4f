"""Replicas: copies of a model that each process a part of the batch under `tf.distribute`.

Elsewhere there is a single replica. Under JAX, one program processes the whole batch on any number
of devices.
"""

import sys

import keras


def _replica_context():
    """Returns TensorFlow's replica context, or `None` with a single replica."""
    if keras.backend.backend() != "tensorflow" or "tensorflow" not in sys.modules:
        return None
    import tensorflow as tf

    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return None
    return tf.distribute.get_replica_context()


def replica_id():
    """Returns the index of this replica, counted from 0: an integer or a scalar tensor."""
    context = _replica_context()
    return 0 if context is None else context.replica_id_in_sync_group


def sum_over_replicas(tensors):
    """Sums tensors over all replicas (all-reduce).

    Args:
        tensors: Tensor, or list of tensors.

    Returns:
        The sums, in the structure of `tensors`, identical on all replicas.
    """
    context = _replica_context()
    if context is None:
        return tensors
    import tensorflow as tf

    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def replicas_in_sync():
    """Returns the number of replicas that share a training step; 1 outside `tf.distribute`."""
    if keras.backend.backend() != "tensorflow" or "tensorflow" not in sys.modules:
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
