"""Parts of a few lines each, such as a user may write, for tests of the layers that take them."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers import DotProductAttention

registered = keras.saving.register_keras_serializable(package="tests")


@registered
class Rotation(keras.layers.Layer):
    """A position encoder: turns pairs of numbers by angles that grow with the position."""

    def call(self, x, positions):  # (B, H, T, K), (B or 1, T)
        frequencies = 3.0 ** -np.arange(x.shape[-1] // 2).astype("float32")
        angles = ops.cast(positions, "float32")[:, None, :, None] * frequencies
        first, second = ops.split(ops.cast(x, "float32"), 2, axis=-1)
        sines, cosines = ops.sin(angles), ops.cos(angles)
        turned = [first * cosines - second * sines, first * sines + second * cosines]
        return ops.cast(ops.concatenate(turned, axis=-1), x.dtype)


@registered
class AttentionByDistance(DotProductAttention):
    """A vector for each distance is added to keys and to values, as in Shaw et al., 2018."""

    def __init__(self, max_distance=2, **kwargs):
        super().__init__(**kwargs)
        self.max_distance = max_distance

    def build(self, query_shape):
        shape = (2 * self.max_distance + 1, query_shape[-1])
        self.keys = self.add_weight(shape, "random_normal", name="keys")
        self.values = self.add_weight(shape, "random_normal", name="values")

    def vectors(self, table, distances):
        near = ops.clip(distances, -self.max_distance, self.max_distance)
        return ops.take(table, near + self.max_distance, axis=0)[:, None]  # (B, 1, T, S, K)

    def logits(self, query, key, distances):
        vectors = self.vectors(self.keys, distances)
        return super().logits(query, key, distances) + ops.sum(query[:, :, :, None] * vectors, -1)

    def mix(self, scores, value, distances):
        vectors = self.vectors(self.values, distances)
        return super().mix(scores, value, distances) + ops.sum(scores[..., None] * vectors, -2)

    def get_config(self):
        return {**super().get_config(), "max_distance": self.max_distance}


@registered
class AttentionInBlocks(DotProductAttention):
    """A position sees its own block of a few positions, and the block before it."""

    def __init__(self, block_length=3, **kwargs):
        super().__init__(**kwargs)
        self.block_length = block_length

    def sees(self, positions, key_positions):
        blocks_back = positions // self.block_length - key_positions // self.block_length
        return ops.logical_and(blocks_back >= 0, blocks_back <= 1)

    def get_config(self):
        return {**super().get_config(), "block_length": self.block_length}


@registered
class PreviousInput(keras.layers.Layer):
    """Adds the position before; no attention, and the smallest state that follows the beams."""

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        if positions is None:
            positions = ops.arange(inputs.shape[1], dtype="int32")[None]
        previous = ops.pad(inputs[:, :-1], ((0, 0), (1, 0), (0, 0)))
        outputs = inputs + ops.where(positions[..., None] == 0, 0, previous)
        return (outputs, None) if return_attention_scores else outputs

    def init_cache(self, batch_size, num_beams, length):
        return ops.zeros((batch_size, num_beams, self.width), self.compute_dtype)

    def build(self, inputs_shape):
        self.width = inputs_shape[-1]

    def prefill(self, inputs, attention_mask=None, positions=None):
        lengths = ops.sum(ops.cast(attention_mask, "int32"), axis=-1)
        padded = ops.pad(inputs, ((0, 0), (1, 0), (0, 0)))
        last = ops.take_along_axis(padded, lengths[:, None, None], axis=1)
        return self(inputs, positions=positions), last

    def step(self, inputs, cache, at, return_attention_scores=False, prompt=0.0):
        return inputs + at.inherit(cache, prompt), None, inputs


@registered
class CannotRead(keras.layers.Layer):
    """Adds nothing, and reads no prompts."""

    def call(self, inputs, attention_mask=None, positions=None):
        return inputs
