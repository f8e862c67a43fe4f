"""Quantized models in run folders: which layers are quantized, and how."""

import keras

from keras_transformer.keras_patches import layers_of

MODES = ("int8", "int4", "float8")  # of `keras.Model.quantize` that need no further options
QUANTIZABLE = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)


def read_modes(model: keras.Model) -> list[str | None] | None:
    """Returns the quantization mode of each quantizable layer in order; `None` if none has one.

    Raises:
        ValueError: A layer is quantized in a way that its mode alone does not describe.
    """
    layers = _quantizable(model)
    modes = [layer.quantization_mode for layer in layers]
    if not any(modes):
        return None
    copy = type(model).from_config(model.get_config())
    copy.build()
    unknown = sorted({mode for mode in modes if mode} - {*MODES})
    if not unknown:
        quantize(copy, modes)
    for layer, standard in zip(layers, _quantizable(copy), strict=True):
        is_described = not unknown and _describe(layer) == _describe(standard)
        if layer.quantization_mode and not is_described:
            raise ValueError(
                "A run folder can hold models that `model.quantize` has quantized in the modes "
                f"{', '.join(MODES)} with their standard options. Received: {layer.path} in "
                f"{layer.dtype_policy.name}. Save the translator before its model is quantized."
            )
    return modes


def quantize(model: keras.Model, modes: list[str | None]) -> None:
    """Quantizes the layers of a built model in the modes that `read_modes` returned.

    Raises:
        ValueError: The modes do not fit the model.
    """
    for layer, mode in zip(_quantizable(model), modes, strict=True):
        if mode is not None and mode not in MODES:
            raise ValueError(f"the quantization mode is {mode!r}; expected {', '.join(MODES)}")
        if mode is not None:
            layer.quantize(mode)


def _quantizable(model: keras.Model) -> list:
    return [layer for layer in layers_of(model) if isinstance(layer, QUANTIZABLE)]


def _describe(layer) -> tuple:
    config = layer.quantization_config
    return layer.dtype_policy.name, config and keras.saving.serialize_keras_object(config)
