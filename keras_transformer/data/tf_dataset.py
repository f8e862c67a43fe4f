"""Batches of NumPy arrays as a `tf.data.Dataset`."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.collation import INPUTS, Batch

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED = 8


def dataset_of(
    batches: Callable[[], Iterator[Batch]],
    shapes: Sequence[BatchShape],
    inputs: Sequence[str] = INPUTS,
) -> "tf.data.Dataset":
    """A prefetched dataset of the batches that a function iterates over.

    Args:
        batches: Function that returns an iterator of batches, a fresh one at each call.
        shapes: The shapes that the batches have. One shape is static in the dataset; several are
            `(None, None)`.
        inputs: The names of the inputs. Each starts with its side, `"source"` or `"target"`, whose
            shape it has.

    Returns:
        Dataset of `({"source": (B, S), "target": (B, T)}, labels (B, T))`, int32, or of more
        inputs. Several workers each take their part of every batch.
    """
    import tensorflow as tf

    size, source_length, target_length = shapes[0] if len(shapes) == 1 else (None, None, None)
    sides = {
        "source": tf.TensorSpec((size, source_length), tf.int32),
        "target": tf.TensorSpec((size, target_length), tf.int32),
    }
    signature = ({name: sides[name.split("_")[0]] for name in inputs}, sides["target"])
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.autotune.enabled = False  # the end of an iterator can wait seconds for its thread
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.with_options(options).prefetch(_PREFETCHED)
