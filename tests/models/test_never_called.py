"""A layer or a model that was never called builds what its first use needs."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from tests.models.conftest import SIZES, SOURCE, TARGET, V
from tests.weights import random

B, D = len(SOURCE), SIZES["d_model"]


def first_step(num_beams, length):
    ancestry = np.zeros((B, num_beams, length, num_beams), bool)
    ancestry[:, :, 0] = np.eye(num_beams, dtype=bool)
    return kt.DecodingStep(0, np.zeros(B, "int32"), np.ones(B, bool), ancestry)


def generate(model):
    found = kt.generate(
        model, ops.convert_to_tensor(SOURCE), ops.convert_to_tensor([3] * B), length=3,
        bos_id=1, eos_id=2, beam_size=2,
    )  # fmt: skip
    return found.scores


def decode_step(model):
    memory, cache = model.encode(SOURCE), model.init_cache(B, 1, 5)
    return model.decode_step(TARGET[:, :1], cache, first_step(1, 5), memory)[0]


def step_before_encode(model):
    cache = model.init_cache(B, 1, 5)
    return model.decode_step(TARGET[:, :1], cache, first_step(1, 5), model.encode(SOURCE))[0]


FIRST_USES = {
    "generate": generate,
    "encode and decode": lambda model: model.decode(TARGET, model.encode(SOURCE)),
    "encode and decode_step": decode_step,
    "init_cache": step_before_encode,
    "the decoder alone": lambda model: model.decoder.project_memory(random(B, 7, D))[0][0],
    "logits": lambda model: model.target_embedding.logits(random(B, 3, D)),
    "output_vectors": lambda model: model.output_vectors(),
}


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST_USES)
def test_the_first_use_finds_the_same_as_a_later_one(first):
    model = kt.Transformer(V, **SIZES)
    expected = FIRST_USES[first](model)
    paths = [w.path for w in kt.Transformer.from_config(model.get_config()).weights]
    model({"source": SOURCE, "target": TARGET})
    assert len(model.weights) >= len(paths)
    np.testing.assert_array_equal(FIRST_USES[first](model), expected)
    model.build()
    np.testing.assert_array_equal(FIRST_USES[first](model), expected)


@pytest.mark.parametrize("cross_attention", [True, False])
def test_a_block_may_begin_with_a_step(cross_attention):
    block = kt.DecoderBlock(D, 7, 17, cross_attention=cross_attention)
    source = random(B, 7, D) if cross_attention else None
    cache, memory = block.init_cache(B, 2, 5), block.project_memory(source)
    x = random(B, 2, D, seed=3)
    output, _, _ = block.step(x, cache, first_step(2, 5), memory)
    expected = block(x[:, :1], source)
    np.testing.assert_allclose(output[:, :1], expected, atol=1e-5)


def test_attention_may_begin_with_a_step():
    attention, x = kt.MultiHeadAttention(D, 7), random(B, 1, D)
    output, _, _ = attention.step(x, attention.init_cache(B, 1, 5), first_step(1, 5))
    np.testing.assert_allclose(output, attention(x), atol=1e-5)


def test_layers_can_be_applied_to_every_piece_of_a_text():
    """As Keras' `TimeDistributed` does, which asks for the shape of the output."""
    x = random(2, 3, 5, D)
    for layer in (kt.EncoderBlock(D, 7, 17), kt.MultiHeadAttention(D, 7), kt.FeedForward(D, 17)):
        output = keras.layers.TimeDistributed(layer)(x)
        np.testing.assert_allclose(output[:, 1], layer(x[:, 1]), atol=1e-5)


def test_a_subclass_of_dropout_is_built():
    class Scaled(kt.Dropout):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")

        def call(self, inputs, training=False):
            return super().call(inputs, training) * self.factor

    assert Scaled(0.5)(random(2, 3)).shape == (2, 3)
