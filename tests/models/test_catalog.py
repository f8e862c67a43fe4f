"""The named architectures."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import DecodingStep, SeparableConvolution, Transformer
from keras_transformer.models import create_model

SIZES = {"vocabulary_size": 11, "num_layers": 2, "d_model": 8, "num_heads": 2, "d_ff": 12}


def test_the_transformer_is_that_of_the_constructor():
    """Weight by weight, with the same seed, whatever sizes it has."""
    more = {"positions": "learned", "num_decoder_layers": 1, "target_vocabulary_size": 13}
    models = []
    for make in (lambda **sizes: create_model("transformer", **sizes), Transformer):
        keras.utils.set_random_seed(7)
        models.append(make(**SIZES, **more, name="model"))
        models[-1].build()
    assert models[0].get_config() == models[1].get_config()
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_convolutions_stand_where_self_attention_was(dtype):
    model = create_model("convolutional", {"kernel_size": 5}, **SIZES, dtype=dtype)
    model.build()
    for stack, causal in ((model.encoder, False), (model.decoder, True)):
        for block in stack.blocks:
            assert type(block.self_attention) is SeparableConvolution
            assert (block.self_attention.kernel_size, block.self_attention.causal) == (5, causal)
            assert block.self_attention.dtype_policy.name == dtype
    # In each of 4 blocks: depthwise kernel, matrix and bias instead of four projections.
    attention, convolution = 4 * 8 * 8, 5 * 8 + 8 * 8 + 8
    paper = Transformer(**SIZES)
    paper.build()
    assert model.count_params() == paper.count_params() + 4 * (convolution - attention)


def test_a_convolutional_model_decodes_step_by_step_as_it_is_trained():
    model = create_model("convolutional", **SIZES)
    source, target = np.array([[4, 7, 5, 2, 0], [3, 2, 0, 0, 0]]), np.array([[1, 9, 4], [1, 3, 8]])
    wanted = model({"source": ops.array(source), "target": ops.array(target)})
    memory, cache = model.encode(ops.array(source)), model.init_cache(2, 1, 3)
    for t in range(3):
        logits, _, cache = model.decode_step(
            ops.array(target[:, t : t + 1]), cache, first_steps(t), memory
        )
        np.testing.assert_allclose(logits[:, 0], wanted[:, t], atol=1e-5)


def first_steps(t, length=3):
    """The step at place `t` of two sentences with a beam each."""
    return DecodingStep(
        place=ops.array(t),
        positions=ops.full((2,), t, "int32"),
        first=ops.full((2,), t == 0, "bool"),
        ancestry=ops.broadcast_to(ops.arange(length)[:, None] <= t, (2, 1, length, 1)),
    )
