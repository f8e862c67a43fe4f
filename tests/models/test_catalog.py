"""The named architectures."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import (
    DecodingStep,
    FeedForward,
    FusedAttention,
    LanguageModel,
    LocalAttention,
    RelativeAttention,
    RotaryEmbedding,
    SeparableConvolution,
    Transformer,
)
from keras_transformer.models import (
    create_model,
    describe_model,
    model_from_description,
    register_architecture,
)

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


def first_steps(t, length=3, sentences=2):
    """The step at place `t` of sentences with a beam each."""
    return DecodingStep(
        place=ops.array(t),
        positions=ops.full((sentences,), t, "int32"),
        first=ops.full((sentences,), t == 0, "bool"),
        ancestry=ops.broadcast_to(ops.arange(length)[:, None] <= t, (sentences, 1, length, 1)),
    )


def made(architecture, options=None, **sizes):
    """A built model of the catalogue, as it comes back from its description."""
    model = create_model(architecture, options, **{**SIZES, **sizes})
    again = model_from_description(describe_model(model))
    assert describe_model(again) == describe_model(model)
    return again


def blocks_of(model):
    return [*model.encoder.blocks, *model.decoder.blocks]


def parameters_more(model):
    """How many weights a model has more than the paper's of the same size."""
    paper = Transformer(**SIZES)
    paper.build()
    return model.count_params() - paper.count_params()


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_rotary_positions_are_in_self_attention_alone(dtype):
    model = made("rotary", dtype=dtype)
    for block in blocks_of(model):
        encoder = block.self_attention.position_encoder
        assert (type(encoder), encoder.dtype_policy.name) == (RotaryEmbedding, dtype)
    assert all(block.cross_attention.position_encoder is None for block in model.decoder.blocks)
    assert model.source_embedding.positions is model.max_positions is None
    assert parameters_more(model) == 0


@pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)]
)
def test_fused_attentions_are_everywhere_and_change_nothing(dtype):
    model, paper = made("fused", dtype=dtype), Transformer(**SIZES, dtype=dtype)
    for block in blocks_of(model):
        for attention in (block.self_attention, getattr(block, "cross_attention", None)):
            if attention is not None:
                assert type(attention.attention) is FusedAttention
                assert attention.attention.dtype_policy.name == dtype
    paper.build()
    paper.set_weights(model.get_weights())
    ids = np.random.default_rng(1).integers(3, 11, (2, 2, 9))  # fewer queries are not fused
    inputs = {"source": ids[0], "target": ids[1]}
    tolerance = 1e-5 if dtype == "float32" else 0.05
    np.testing.assert_allclose(model(inputs), paper(inputs), atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_relative_positions_are_in_self_attention_alone(dtype):
    model = made("relative", {"max_distance": 3}, dtype=dtype, attention_dropout_rate=0.25)
    for block in blocks_of(model):
        attention = block.self_attention.attention
        assert (type(attention), attention.dtype_policy.name) == (RelativeAttention, dtype)
        assert attention.max_distance == 3
        assert block.self_attention.dropout.rate == 0.25
    assert all(block.cross_attention.is_standard("attention") for block in model.decoder.blocks)
    assert model.source_embedding.positions is None
    assert parameters_more(model) == 4 * 2 * 7 * 4  # blocks, tables, rows, width of a head


@pytest.mark.parametrize("architecture", ["rotary", "relative"])
def test_positions_are_not_given_twice(architecture):
    message = f"The architecture {architecture} has .* Received: positions='t2t'"
    with pytest.raises(ValueError, match=message):
        create_model(architecture, **SIZES, positions="t2t")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "options", "heads"),
    [
        ("multi_query", None, 1),
        ("grouped_query", None, 2),
        ("grouped_query", {"num_key_value_heads": 4}, 4),
    ],
)
def test_all_attentions_share_heads_of_keys_and_values(architecture, options, heads):
    model = made(architecture, options, num_heads=4, use_bias=True, attention_dropout_rate=0.25)
    attentions = [block.self_attention for block in blocks_of(model)]
    attentions += [block.cross_attention for block in model.decoder.blocks]
    for attention in attentions:
        assert (attention.num_heads, attention.num_key_value_heads) == (4, heads)
        assert (attention.use_bias, attention.dropout.rate) == (True, 0.25)
    paper = Transformer(**{**SIZES, "num_heads": 4}, use_bias=True)
    paper.build()
    fewer = 6 * 2 * (8 + 1) * 2 * (4 - heads)  # attentions, matrices with biases, width, heads
    assert model.count_params() == paper.count_params() - fewer


@pytest.mark.slow
def test_a_model_learns_with_all_kinds_of_dropout():
    keras.utils.set_random_seed(7)
    rates = {"dropout_rate": 0.0, "attention_dropout_rate": 0.2, "feed_forward_dropout_rate": 0.3}
    model = made("grouped_query", {"num_key_value_heads": 1}, **rates)
    ids = {"source": np.array([[4, 7, 2]]), "target": np.array([[1, 9]])}
    np.testing.assert_array_equal(model(ids), model(ids))
    assert np.abs(model(ids, training=True) - model(ids, training=True)).max() > 1e-3
    for block in blocks_of(model):
        assert (block.self_attention.dropout.rate, block.feed_forward.dropout.rate) == (0.2, 0.3)
        assert block.is_standard("feed_forward")


LANGUAGE_MODELS = ["transformer", "convolutional", "rotary", "relative", "multi_query"]
LANGUAGE_MODELS += ["grouped_query", "fused"]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", LANGUAGE_MODELS)
def test_language_models_have_the_parts_of_the_translators(architecture):
    """And continue a prompt as they read the whole text."""
    positions = {"positions": None} if architecture in ("rotary", "relative") else {}
    model = create_model(architecture, base=LanguageModel.from_sizes, **SIZES)
    plain = LanguageModel.from_sizes(**SIZES, **positions)
    counts = []
    for one in (model, plain, translator := create_model(architecture, **SIZES)):
        one.build()
        counts.append(one.count_params())
    assert describe_model(model_from_description(describe_model(model))) == describe_model(model)
    per_block = parameters_more(translator) / 6  # encoder, decoder and cross-attention, twice each
    shared = architecture in ("multi_query", "grouped_query")  # cross-attentions, too
    assert counts[0] - counts[1] == 2 * per_block * (1 if shared else 1.5)
    check_continuation(model)


def check_continuation(model):
    """A prompt of three tokens is continued as the whole text is read."""
    text = ops.array([[1, 7, 5, 4, 9]])
    wanted = model({"target": text})
    memory, cache = model.encode(text[:, :3]), model.init_cache(1, 1, 3)
    for t in range(3):
        logits, _, cache = model.decode_step(
            text[:, t + 2 : t + 3], cache, first_steps(t, 3, 1), memory
        )
        np.testing.assert_allclose(logits[:, 0], wanted[:, t + 2], atol=1e-5)


@pytest.mark.parametrize("base", [LanguageModel.from_sizes, Transformer])
def test_local_and_compressed_blocks_take_turns_in_the_decoder(base):
    options = {"block_length": 2, "compression": 2}
    sizes = {**SIZES, "num_layers": 3, "attention_dropout_rate": 0.25}
    model = create_model("memory_compressed", options, base=base, **sizes)
    kinds = [type(block.self_attention).__name__ for block in model.decoder.blocks]
    assert kinds == ["MultiHeadAttention", "MemoryCompressedAttention", "MultiHeadAttention"]
    for block in model.decoder.blocks:
        assert block.self_attention.dropout.rate == 0.25
    for block in model.decoder.blocks[::2]:
        part = block.self_attention.attention
        assert (type(part), part.block_length, part.look_back) == (LocalAttention, 2, 0)
    assert model.decoder.blocks[1].self_attention.compression == 2
    if base is Transformer:
        assert all(block.is_standard("self_attention") for block in model.encoder.blocks)
    else:
        check_continuation(model)


@pytest.mark.parametrize("interval", [1, 2])
def test_experts_stand_in_every_so_many_blocks(interval):
    options = {"num_experts": 3, "k": 1, "balance_weight": 0.5, "interval": interval}
    model = made("experts", options, activation="gelu", feed_forward_dropout_rate=0.25)
    for stack in (model.encoder, model.decoder):
        for number, block in enumerate(stack.blocks, start=1):
            if number % interval:
                assert type(block.feed_forward) is FeedForward
                continue
            layer = block.feed_forward
            assert (layer.num_experts, layer.k, layer.balance_weight) == (3, 1, 0.5)
            assert (layer.d_ff, layer.dropout_rate) == (SIZES["d_ff"], 0.25)
            assert layer.activation is keras.activations.gelu
    # Two more networks in each of 4 or 2 blocks, and the gate's two matrices.
    network = 2 * 8 * 12 + 8 + 12
    assert parameters_more(model) == 4 // interval * (2 * network + 2 * 8 * 3)


@pytest.mark.parametrize("interval", [0, 3])
def test_a_model_without_experts_is_not_called_experts(interval):
    with pytest.raises(ValueError, match=r"at most the number of blocks.*Received: interval="):
        create_model("experts", {"interval": interval}, **SIZES)


def test_an_architecture_for_translation_alone_makes_no_language_model():
    @register_architecture
    def test_catalog_translates_only(**sizes):
        return Transformer(**sizes)

    message = (
        "test_catalog_translates_only makes models for translation only: .* no argument `base`"
    )
    with pytest.raises(ValueError, match=message):
        create_model("test_catalog_translates_only", base=LanguageModel.from_sizes, **SIZES)
