"""Replicas: copies of a model that each process a part of the batch under `tf.distribute`.

Elsewhere there is a single replica. Under JAX, one program processes the whole batch on any number
of devices.
"""

import sys
import threading
import weakref

import keras
from keras import ops


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


def of_whole_batch(sums):
    """Returns the sums over all replicas, for a loss that is no sum over tokens.

    The gradient of such a loss is right if the gradients of the replicas are averaged: it passes
    to this replica's part alone, once for each replica.

    Args:
        sums: Tensor, sums over this replica's part of the batch.

    Returns:
        Tensor of the same shape.
    """
    count = replicas_in_sync()
    if count == 1:
        return sums
    scaled = count * sums
    return scaled + ops.stop_gradient(sum_over_replicas(sums) - scaled)


class AddsLossOfWholeBatch:
    """Mixin of layers that add a loss in which the replicas meet; see `of_whole_batch`.

    Replicas run in threads, which take turns where they meet. By then Keras has the losses of
    several of them in the one list of the layer: `losses_of_replica` tells them apart.
    """

    def add_loss(self, loss):
        super().add_loss(loss)
        if replicas_in_sync() > 1:
            _THREADS[id(loss)] = weakref.ref(loss), threading.get_ident()


_THREADS = {}  # id of a loss: the loss, and the thread of its replica


def losses_of_replica(model):
    """Returns the additional losses of a model, `model.losses`, without those of other replicas."""
    found = []
    for loss in model.losses:
        noted, thread = _THREADS.get(id(loss), (None, None))
        if noted is None or noted() is not loss or thread == threading.get_ident():
            found.append(loss)
    for key in [key for key, (noted, _) in list(_THREADS.items()) if noted() is None]:
        _THREADS.pop(key, None)
    return found


def replicas_in_sync():
    """Returns the number of replicas that share a training step; 1 outside `tf.distribute`."""
    if keras.backend.backend() != "tensorflow" or "tensorflow" not in sys.modules:
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
