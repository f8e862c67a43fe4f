"""Low-rank adapters: fine-tuning that trains, and saves, a small part of a model.

LoRA of [Hu et al., 2021](https://arxiv.org/abs/2106.09685), section 4.1: the weights `W` of a model
are frozen, and each of its matrices becomes `W + A B`, where `A` has `rank` columns and `B` has
`rank` rows. `B` starts at zero, so training starts at the model as it is.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from keras_transformer.forking import refused_after_fork
from keras_transformer.io import atomic_write, local_path
from keras_transformer.keras_patches import base_kernel, layers_of, remove_variable

ADAPTER = "adapter.weights.h5"
FORMAT = 1
ADAPTED = (keras.layers.Dense, keras.layers.EinsumDense)


class AdapterError(ValueError):
    """Error raised if an adapter cannot be used; the message says why and what to do."""


@refused_after_fork
def add_adapter(model: keras.Model, rank: int) -> None:
    """Adds a low-rank adapter to every dense layer of a model and freezes all other weights.

    These are the projections of attention and the feed-forward networks. Embeddings, biases and
    normalizations stay as they are. The product `A B` is not scaled. The optimizer must be built
    afterwards, so compile the model then.

    Args:
        model: A built model, which is not quantized.
        rank: Integer, at least 1. Number of columns of `A`.

    Raises:
        ValueError: The rank is out of range, or the model has no dense layers, is quantized, or has
            an adapter.

    Example:

    ```python
    add_adapter(translator.model, rank=8)
    translator.model.compile(...)
    translator.model.fit(...)
    save_adapter(translator.model, "adapter.weights.h5")
    ```
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ValueError(f"`rank` of an adapter must be an integer, at least 1. Received: {rank!r}")
    if adapted_layers(model):
        raise ValueError("The model has an adapter. Call `merge_adapter` before adding another.")
    layers = _dense_layers(model)
    if not layers:
        raise ValueError(
            "An adapter needs dense layers, such as the projections of attention. Received: a "
            f"{type(model).__name__} without one. Train all of its weights instead."
        )
    if any(getattr(layer, "quantization_mode", None) for layer in layers_of(model)):
        raise ValueError(
            "An adapter needs a model that is not quantized. Add it to the model from before."
        )
    shapes = [base_kernel(layer).shape for layer in layers]
    largest = min(min(math.prod(shape[:-1]), shape[-1]) for shape in shapes)
    if rank > largest:
        raise ValueError(
            f"`rank` of an adapter must be at most {largest}, the smallest side of a matrix of "
            f"this model. Received: {rank}"
        )
    for variable in model.trainable_weights:
        variable.trainable, variable.frozen_by_adapter = False, True
    for layer in layers:
        layer.enable_lora(rank)


def adapted_layers(model: keras.Model) -> list:
    """Returns the layers with an adapter that is not merged, in a fixed order."""
    return [layer for layer in layers_of(model) if getattr(layer, "lora_enabled", False)]


def adapter_weights(model: keras.Model) -> list:
    """Returns the variables of an adapter, `A` and `B` of each layer in order."""
    pairs = ((layer.lora_kernel_a, layer.lora_kernel_b) for layer in adapted_layers(model))
    return [variable for pair in pairs for variable in pair]


def base_weights(model: keras.Model) -> list:
    """Returns the weights of a model without those of an adapter."""
    adapter = {id(variable) for variable in adapter_weights(model)}
    return [variable for variable in model.weights if id(variable) not in adapter]


def base_fingerprint(model: keras.Model) -> str:
    """Returns the SHA-256 of the weights of a model, without those of an adapter.

    It depends on their order, shapes and values, and not on the names that Keras numbers.

    Args:
        model: A built model.

    Example:

    ```python
    base_fingerprint(Translator.load("runs/base").model)
    ```
    """
    digest = hashlib.sha256()
    for variable in base_weights(model):
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


@refused_after_fork
def save_adapter(model: keras.Model, path: str | Path) -> None:
    """Saves the adapter of a model with an atomic write.

    Args:
        model: A model with an adapter.
        path: Path of the file, which also holds the rank and the `base_fingerprint`.

    Raises:
        ValueError: The model has no adapter.
        OSError: The file could not be written.

    Example:

    ```python
    save_adapter(translator.model, "adapter.weights.h5")
    ```
    """
    import h5py

    layers = adapted_layers(model)
    if not layers:
        raise ValueError("The model has no adapter to save. Call `add_adapter` before training.")
    path = local_path(path, "An adapter")
    with atomic_write(path) as scratch, h5py.File(scratch, "w") as file:
        file.attrs.update(format=FORMAT, rank=layers[0].lora_rank, base=base_fingerprint(model))
        for number, layer in enumerate(layers):
            group = file.create_group(f"{number:04d}")
            group.attrs["layer"] = layer.path
            group["a"] = keras.ops.convert_to_numpy(layer.lora_kernel_a)
            group["b"] = keras.ops.convert_to_numpy(layer.lora_kernel_b)


@refused_after_fork
def load_adapter(model: keras.Model, path: str | Path) -> None:
    """Loads an adapter on top of the model that it was trained on.

    Training can go on from there. `merge_adapter` makes the result an ordinary model.

    Args:
        model: The base model, built, with its own weights. The adapter that it may have, of the
            same rank, is replaced.
        path: A file written by `save_adapter`, such as `adapter.weights.h5` of a run.

    Raises:
        AdapterError: The file is missing, damaged or not an adapter, or its base is another model.

    Example:

    ```python
    translator = Translator.load("runs/base")
    load_adapter(translator.model, "runs/fine_tuned/adapter.weights.h5")
    merge_adapter(translator.model)
    ```
    """
    path = local_path(path, "An adapter")
    rank, base, matrices = _read(path)
    found = base_fingerprint(model)
    if base != found:
        raise AdapterError(
            f"{path} is the adapter of another base: of weights {base:.12}, not {found:.12}. Load "
            "the run that it was trained from."
        )
    if not adapted_layers(model):
        _check_shapes(path, matrices, _dense_layers(model), rank)
        add_adapter(model, rank)
    else:
        _check_shapes(path, matrices, adapted_layers(model), adapted_layers(model)[0].lora_rank)
    for variable, matrix in zip(adapter_weights(model), matrices, strict=True):
        variable.assign(matrix)


def _dense_layers(model: keras.Model) -> list:
    """Returns the layers that an adapter is added to."""
    return [layer for layer in layers_of(model) if isinstance(layer, ADAPTED) and layer.built]


def _check_shapes(path: Path, matrices: list[np.ndarray], layers: list, rank: int) -> None:
    """Raises an `AdapterError` if matrices do not fit dense layers."""
    kernels = [tuple(base_kernel(layer).shape) for layer in layers]
    expected = [shape for kernel in kernels for shape in ((*kernel[:-1], rank), (rank, kernel[-1]))]
    shapes = [matrix.shape for matrix in matrices]
    if shapes == expected:
        return
    pairs = zip(shapes, expected, strict=False)
    differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
    found, wanted = f"{len(shapes)} matrices", len(expected)
    if differing:
        found, wanted = f"a matrix of shape {differing[0]}", differing[1]
    raise AdapterError(
        f"{path} does not fit the model: it has {found}, the model {wanted}. Copy the file again."
    )


def _read(path: Path) -> tuple[int, str, list[np.ndarray]]:
    """Returns the rank, the fingerprint of the base, and the matrices of an adapter."""
    import h5py

    if not path.is_file():
        raise AdapterError(
            f"There is no adapter {path}. Give the {ADAPTER} of a run that was trained with "
            "--lora-rank."
        )
    try:
        with h5py.File(path) as file:
            rank, base, version = (file.attrs[name] for name in ("rank", "base", "format"))
            rank = int(rank)
            matrices = [np.asarray(file[name][key]) for name in sorted(file) for key in "ab"]
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise AdapterError(
            f"{path} is damaged or not an adapter ({reason}). Give the {ADAPTER} of a run that was "
            "trained with --lora-rank."
        ) from error
    if version != FORMAT:
        raise AdapterError(
            f"{path} has format {version}; this package reads {FORMAT}. Use the package version "
            "that wrote it."
        )
    return rank, str(base), matrices


@refused_after_fork
def merge_adapter(model: keras.Model) -> None:
    """Merges the adapter of a model into its weights, which become trainable again.

    The result is an ordinary model, of the same outputs up to rounding. A model without an adapter
    is left as it is.

    Args:
        model: A model with an adapter.

    Example:

    ```python
    merge_adapter(translator.model)
    translator.save("runs/merged")
    ```
    """
    layers = adapted_layers(model)
    for layer in layers:
        base_kernel(layer).assign(_merged_kernel(layer))
        layer.lora_kernel_b.assign(np.zeros(layer.lora_kernel_b.shape))  # for compiled programs
        for variable in (layer.lora_kernel_a, layer.lora_kernel_b):
            remove_variable(layer, variable)
        layer.lora_enabled, layer.lora_rank = False, None
    for variable in model.weights:
        if getattr(variable, "frozen_by_adapter", False):
            variable.trainable, variable.frozen_by_adapter = True, False


@contextlib.contextmanager
def merged_adapter(model: keras.Model) -> Iterator[None]:
    """Returns a context manager inside which the adapter of a model is merged, to save the model.

    Keras merges as it saves, too, but in the precision that the layer computes in.
    """
    layers = adapted_layers(model)
    before = [keras.ops.convert_to_numpy(base_kernel(layer)).copy() for layer in layers]
    ranks = [layer.lora_rank for layer in layers]
    try:
        for layer in layers:
            base_kernel(layer).assign(_merged_kernel(layer))
            layer.lora_enabled, layer.lora_rank = False, None
        yield
    finally:
        for layer, kernel, rank in zip(layers, before, ranks, strict=True):
            base_kernel(layer).assign(kernel)
            layer.lora_enabled, layer.lora_rank = True, rank


def _merged_kernel(layer) -> np.ndarray:
    parts = (base_kernel(layer), layer.lora_kernel_a, layer.lora_kernel_b)
    kernel, a, b = map(keras.ops.convert_to_numpy, parts)
    return kernel + layer.lora_alpha / layer.lora_kernel_a.shape[-1] * (a @ b)
