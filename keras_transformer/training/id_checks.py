"""Checks of token ids against a model's vocabulary, where data enters training and evaluation.

A program compiled by XLA reads some other row for an id outside the vocabulary, and trains on with
a finite loss. The ids are therefore checked on the host: arrays once, before training; the batches
of a `tf.data.Dataset`, a generator or a `keras.utils.PyDataset` as they are read. Datasets of the
package's own token batches are compared by the size of the vocabulary alone, since the ids of a
token cache are checked when it is written. A distributed dataset is not checked.
"""

import contextlib
import inspect
import re
from collections.abc import Iterator

import keras
import numpy as np

PREFIX = "Ids out of range: "
_MESSAGE = re.compile(rf"{PREFIX}[^\]\n]*")
HINT = "Check that the tokenizer is that of the model."  # no quotes, which TensorFlow escapes
PADDING_HINT = (
    "Labels that are not to count are {pad_id} (`pad_id` of the loss), or any id with a "
    "`sample_weight` of 0."
)


def check_data(data: dict, limits: dict) -> dict:
    """Returns the `x`, `y` and `validation_data` of `fit`, checked or wrapped in a check.

    Args:
        data: Keyword arguments of a method of `keras.Model`.
        limits: `IdLimits` of each input and of `"labels"`, by name.

    Raises:
        ValueError: An id is out of range.
    """
    checked = {name: data[name] for name in ("x", "y", "validation_data") if name in data}
    x, validation = checked.get("x"), checked.get("validation_data")
    if x is not None:
        checked["x"] = _checked(x, checked.get("y"), limits)
    if isinstance(validation, list | tuple):
        _checked(validation[0], validation[1] if len(validation) > 1 else None, limits)
    elif validation is not None:
        checked["validation_data"] = _checked(validation, None, limits)
    return {**data, **checked}


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Raises an error about ids that comes out of a dataset as a `ValueError` of one line."""
    try:
        yield
    except Exception as error:
        found = _MESSAGE.search(str(error))
        if found is None or str(error) == found[0]:
            raise
        raise ValueError(found[0]) from None


def make_limits(sizes: dict[str, int], loss=None) -> dict[str, "IdLimits"]:
    """Returns the limits of the inputs, and of the labels if the loss takes ids.

    Args:
        sizes: Number of ids of each input and of `"labels"`.
        loss: Loss of the model. The ids that it ignores may be outside the range.
    """
    limits = {
        name: IdLimits(f"`{name}`", size, hint=HINT)
        for name, size in sizes.items()
        if name != "labels"
    }
    takes_ids = loss == "sparse_categorical_crossentropy" or isinstance(
        loss, keras.losses.SparseCategoricalCrossentropy
    )
    if "labels" in sizes and (takes_ids or getattr(loss, "provides_sums", False)):
        pad_id = getattr(loss, "pad_id", getattr(loss, "ignore_class", None))
        hint = PADDING_HINT.format(pad_id=pad_id) if hasattr(loss, "pad_id") else HINT
        limits["labels"] = IdLimits("`labels`", sizes["labels"], pad_id, hint)
    return limits


class IdLimits:
    """The range of ids of one input or of the labels, from 0 to `size - 1`.

    Args:
        name: Name in error messages.
        size: Number of ids.
        pad_id: An id that is allowed outside the range, too.
        hint: What to do about an id out of range.
    """

    def __init__(self, name: str, size: int, pad_id: int | None = None, hint: str = ""):
        self.name, self.size, self.pad_id = name, size, pad_id
        self.expected = f"Expected ids from 0 to {size - 1}, those of the model. {hint}"

    def message(self, id, place) -> str:
        """Returns the error message for an id and its indices."""
        where = ", ".join(map(str, place))
        return f"{PREFIX}{self.name} holds the id {id} at ({where}). {self.expected}"

    def check(self, value) -> None:
        """Raises `ValueError` if an array, list or eager tensor holds an id out of range."""
        ids = _to_numpy(value)
        if ids is None or not ids.size:
            return
        if ids.min() >= 0 and ids.max() < self.size:
            return
        bad = ~((ids >= 0) & (ids < self.size))
        if self.pad_id is not None:
            bad &= ids != self.pad_id
        if bad.any():
            place = np.unravel_index(int(np.argmax(bad)), ids.shape)
            raise ValueError(self.message(ids[place], [int(index) for index in place]))

    def check_tensor(self, ids):
        """Adds an assertion to the graph of a `tf.data` function; returns the ids."""
        import tensorflow as tf

        values = tf.cast(ids, tf.int64) if ids.dtype.is_integer else ids
        is_good = (values >= 0) & (values < self.size)
        if self.pad_id is not None:
            is_good |= tf.equal(values, tf.cast(self.pad_id, values.dtype))
        flat = tf.reshape(is_good, [-1])

        def fail():
            first = tf.argmin(tf.cast(flat, tf.int32))
            place = tf.unravel_index(first, tf.shape(ids, tf.int64))
            where = tf.strings.reduce_join(tf.strings.as_string(place), separator=", ")
            id = tf.strings.as_string(tf.reshape(ids, [-1])[first])
            before, between, after = self.message("\0", ["\0"]).split("\0")
            message = tf.strings.join([before, id, between, where, after])
            with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
                return tf.constant(False)

        is_checked = tf.cond(tf.reduce_all(flat), lambda: tf.constant(True), fail)
        with tf.control_dependencies([is_checked]):
            return tf.identity(ids)


def _to_numpy(value):
    """Returns an array of numbers, or `None` for what is not one."""
    if isinstance(value, keras.KerasTensor) or value is None:
        return None
    try:
        array = keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value
        array = np.asarray(array)
    except (TypeError, ValueError, NotImplementedError):
        return None  # ragged lists and symbolic tensors, which Keras refuses in its own words
    return array if array.dtype.kind in "iuf" else None


def _parts(x, y, limits: dict) -> Iterator[tuple[IdLimits, object]]:
    """Yields the limits that apply to inputs and labels, each with its value."""
    for name, value in x.items() if isinstance(x, dict) else ():
        if name in limits and name != "labels":
            yield limits[name], value
    if "labels" in limits and not isinstance(y, dict):
        yield limits["labels"], y


def _check_batch(batch, limits: dict) -> None:
    x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    for limit, value in _parts(x, y, limits):
        limit.check(value)


def _checked(x, y, limits: dict):
    """Returns `x` after a check of its arrays, or wrapped in a check of its batches."""
    if _is_dataset(x):
        return _checked_dataset(x, limits)
    if inspect.isgenerator(x):
        return _checked_batches(x, limits)
    if isinstance(x, keras.utils.PyDataset):
        return _CheckedPyDataset(x, limits)
    for limit, value in _parts(x, y, limits):
        limit.check(value)
    return x


def _is_dataset(x) -> bool:
    if type(x).__module__.partition(".")[0] != "tensorflow":
        return False
    import tensorflow as tf

    return isinstance(x, tf.data.Dataset)


def _checked_dataset(dataset, limits: dict):
    """Returns a dataset whose batches are checked, or one of ours after comparing its sizes."""
    ours = getattr(dataset, "id_limits", None)
    if ours is None:
        return _map_check(dataset, limits)
    for name, size in ours.items():
        if size is not None and name in limits and size > limits[name].size:
            raise ValueError(
                f"{PREFIX}the vocabulary of the token cache has {size} ids for "
                f"{limits[name].name}, that of the model {limits[name].size}. {HINT}"
            )
    return dataset


def _map_check(dataset, limits: dict):
    import tensorflow as tf

    def checked(name, value):
        is_number = isinstance(value, tf.Tensor) and (
            value.dtype.is_integer or value.dtype.is_floating
        )
        return limits[name].check_tensor(value) if name in limits and is_number else value

    def check(*batch):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch if len(batch) > 1 else batch[0])
        if isinstance(x, dict):
            x = {name: checked(name, value) for name, value in x.items()}
        return keras.utils.pack_x_y_sample_weight(x, checked("labels", y), weight)

    return dataset.map(check)


def _checked_batches(batches, limits: dict):
    for batch in batches:
        _check_batch(batch, limits)
        yield batch


class _CheckedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` that checks every batch of another one."""

    def __init__(self, dataset, limits):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset, self.limits = dataset, limits

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def __getitem__(self, index):
        batch = self.dataset[index]
        _check_batch(batch, self.limits)
        return batch

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()
