"""A dense layer for each group of channels."""

import keras
from keras import ops

from keras_transformer.layers.layer import Layer


@keras.saving.register_keras_serializable(package="keras_transformer")
class GroupedDense(Layer):
    """Splits the channels into equal groups, each with a dense layer of its own.

    The groups never mix. There are `1 / groups` as many weights as in a single dense layer.

    Args:
        units: Integer, a multiple of `groups`. Width of the output.
        groups: Integer. Number of groups, by which the width of the input must be divisible, too.

    Call arguments:
        inputs: Tensor of shape `(..., D)`.

    Returns:
        Tensor of shape `(..., units)`.

    Example:

    >>> layer = GroupedDense(units=6, groups=3)
    >>> tuple(layer(keras.ops.ones((2, 5, 12))).shape), layer.count_params()
    ((2, 5, 6), 30)
    """

    def __init__(self, units, groups, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.groups = groups

    def build(self, inputs_shape):
        width, units = inputs_shape[-1] // self.groups, self.units // self.groups
        limit = (6 / (width + units)) ** 0.5  # Glorot's, of a single group
        self.kernel = self.add_weight(
            shape=(self.groups, width, units),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs):
        parts = ops.split(inputs, self.groups, axis=-1)
        outputs = [ops.matmul(part, self.kernel[i]) for i, part in enumerate(parts)]
        return ops.concatenate(outputs, axis=-1) + self.bias

    def compute_output_shape(self, inputs_shape):
        return (*inputs_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "groups": self.groups}
