"""Conversion of batches of NumPy arrays to a `tf.data.Dataset`."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.collation import INPUTS, Batch
from keras_transformer.data.token_cache import TokenCache
from keras_transformer.forking import refused_after_fork

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED_BATCHES = 8


@refused_after_fork
def dataset_of(
    batches: Callable[[], Iterator[Batch]],
    shapes: Sequence[BatchShape],
    inputs: Sequence[str] = INPUTS,
) -> "tf.data.Dataset":
    """Converts a function that iterates over batches to a prefetched dataset.

    Args:
        batches: Function that returns a new iterator of batches at each call.
        shapes: The shapes of the batches. A single shape is static in the dataset; several become
            `(None, None)`.
        inputs: Names of the inputs. Each starts with the side, `"source"` or `"target"`, that
            determines its shape.

    Returns:
        Dataset of `({"source": (B, S), "target": (B, T)}, labels (B, T))`, int32, possibly with
        more inputs. With several workers, each takes its part of every batch
        (`AutoShardPolicy.DATA`).
    """
    import tensorflow as tf

    size, source_length, target_length = shapes[0] if len(shapes) == 1 else (None, None, None)
    sides = {
        "source": tf.TensorSpec((size, source_length), tf.int32),
        "target": tf.TensorSpec((size, target_length), tf.int32),
    }
    signature = ({name: sides[name.split("_")[0]] for name in inputs}, sides["target"])
    return prefetched(batches, signature)


def prefetched(batches: Callable[[], Iterator], signature) -> "tf.data.Dataset":
    """Converts a function that iterates over batches of a signature to a prefetched dataset.

    With several workers, each takes its part of every batch (`AutoShardPolicy.DATA`).
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.autotune.enabled = False  # its thread can delay the end of an iterator by seconds
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.with_options(options).prefetch(_PREFETCHED_BATCHES)


def with_id_limits(dataset: "tf.data.Dataset", cache: TokenCache) -> "tf.data.Dataset":
    """Marks a dataset with the vocabulary sizes of its cache, which `fit` compares with the model.

    The ids themselves were checked when the cache was written.
    """
    dataset.id_limits = cache.id_limits
    return dataset
