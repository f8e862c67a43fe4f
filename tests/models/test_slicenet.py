"""The convolutional translator of the catalogue."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.models import (
    EncoderDecoder,
    create_model,
    describe_model,
    model_from_description,
)
from tests.weights import array, randomize

V, D = 23, 12
SIZES = {"vocabulary_size": V, "num_layers": 2, "d_model": D, "num_heads": 5, "d_ff": 17}
SOURCE = np.array([[5, 7, 3, 9, 2], [8, 4, 2, 0, 0], [6, 6, 10, 2, 0]], "int32")
TARGET = np.array([[1, 11, 4, 7], [1, 9, 3, 0], [1, 6, 0, 0]], "int32")
IDS = {"source": SOURCE, "target": TARGET}
SMALL = {"kernels": "3-5", "dilations": "2-1", "groups": "2-3"}


def made(options=SMALL, **sizes):
    """A model with random weights, as it comes back from its description."""
    model = again = create_model("slicenet", options, **{**SIZES, **sizes})
    for _ in range(2):  # Keras' normalization writes its axis in another way, once
        model, again = again, model_from_description(describe_model(again))
    assert describe_model(again) == describe_model(model)
    return randomize(again)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_it_is_made_of_the_modules_of_the_paper(dtype):
    """Six of them in the encoder; in the decoder a mixer and four; all others as the options."""
    model = made({}, num_layers=4, dtype=dtype, dropout_rate=0.25)
    assert type(model) is EncoderDecoder
    assert [type(block) for block in model.encoder.blocks] == [kt.ConvolutionModule] * 6
    mixer, *blocks = model.decoder.blocks
    assert type(mixer) is kt.InputOutputMixer
    assert [type(block) for block in blocks] == [kt.AttendingConvolutionModule] * 4
    modules = [*model.encoder.blocks, *(block.module for block in blocks)]
    for module in modules:
        convolutions = [step.convolution for step in module.steps()]
        assert [one.kernel_size for one in convolutions] == [3, 7, 15, 31]
        assert [one.dilation for one in convolutions] == [1, 1, 1, 1]
        assert [one.groups for one in convolutions] == [2, 3, 2, 3]
        assert {one.causal for one in convolutions} == {module not in model.encoder.blocks}
        assert {one.dtype_policy.name for one in convolutions} == {dtype}
        assert module.dropout.rate == 0.25
    for block in (mixer, *blocks):
        steps = [step.convolution for step in block.cross_attention.steps()]
        assert [(one.kernel_size, one.dilation) for one in steps] == [(5, 1), (5, 4)]
        assert all(one.causal for one in steps)
    assert model.target_embedding is model.source_embedding
    assert (model.source_embedding.positions, model.max_positions) == ("paper", None)


def test_options_and_sizes_are_those_of_the_model():
    options = {"groups": "1", "kernels": "3-3-15-15", "dilations": "1-1-1-8"}
    model = made(options, d_model=14, num_decoder_layers=1, target_vocabulary_size=29, pad_id=3)
    assert (len(model.encoder.blocks), len(model.decoder.blocks)) == (3, 2)
    steps = [step.convolution for step in model.encoder.blocks[2].steps()]
    assert [(one.kernel_size, one.dilation, one.groups) for one in steps] == [
        (3, 1, 1),
        (3, 1, 1),
        (15, 1, 1),
        (15, 8, 1),
    ]
    assert (model.vocabulary_size, model.target_vocabulary_size, model.pad_id) == (V, 29, 3)


@pytest.mark.slow
def test_it_has_as_many_weights_as_the_sizes_say():
    def step(kernel_size, groups, width=D):
        return kernel_size * width + width * D // groups + D + 2 * D  # bias and normalization

    module = step(3, 2) + step(5, 3)
    attention = step(5, 2) + step(5, 3)
    mixer = attention + step(3, 1, 2 * D)
    expected = V * D + 3 * module + mixer + 2 * (module + attention)
    assert made().count_params() == expected


@pytest.mark.slow
def test_at_the_size_of_the_phrasebook_it_is_as_large_as_the_transformer():
    sizes = {"vocabulary_size": 2600, **kt.models.PRESETS["tiny"], "num_layers": 3}
    counts = []
    for name, changes in (("slicenet", {"num_layers": 2, "d_model": 228}), ("transformer", {})):
        model = create_model(name, **{**sizes, **changes})
        model.build()
        counts.append(model.count_params())
    assert counts[0] / counts[1] == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_padding_a_source_changes_nothing():
    model = made()
    wider = np.pad(SOURCE, ((0, 0), (0, 19)))
    np.testing.assert_allclose(model({**IDS, "source": wider}), model(IDS), atol=1e-5)
    alone = model({"source": SOURCE[1:2, :3], "target": TARGET[1:2, :3]})
    np.testing.assert_allclose(model(IDS)[1:2, :3], alone, atol=1e-5)


@pytest.mark.slow
def test_a_prefix_knows_nothing_of_what_follows():
    model = made()
    logits = np.array(model(IDS))
    for t in range(1, TARGET.shape[1]):
        other = np.where(np.arange(TARGET.shape[1]) < t, TARGET, 13).astype("int32")
        changed = np.array(model({**IDS, "target": other}))
        np.testing.assert_array_equal(changed[:, :t], logits[:, :t])
        assert (changed[:, t:] != logits[:, t:]).any()


@pytest.mark.slow
def test_each_block_of_the_decoder_has_a_head_of_scores_and_no_other_block_has_any():
    _, scores = made()(IDS, return_attention_scores=True)
    assert scores["encoder"] == scores["decoder"] == [None] * 3
    for of_block in scores["cross"]:
        assert of_block.shape == (3, 1, 4, 5)
        np.testing.assert_allclose(ops.sum(of_block, axis=-1), 1, atol=1e-5)
        np.testing.assert_array_equal(of_block[1, :, :, 3:], 0)


@pytest.mark.slow
def test_what_is_generated_has_the_score_that_the_model_gives_it():
    """By beams and greedily, step by step against the whole sentence."""
    model = made()
    for beam_size in (1, 3):
        found = kt.generate(
            model,
            ops.convert_to_tensor(SOURCE),
            ops.convert_to_tensor([17, 15, 16]),
            length=17,
            bos_id=1,
            eos_id=2,
            beam_size=beam_size,
        )
        ids = array(found.ids).astype("int32")
        for source, row, log_prob in zip(
            SOURCE, ids[:, 0], array(found.log_probs)[:, 0], strict=True
        ):
            target = np.concatenate([[1], row[:-1]])[None]
            log_probs = ops.log_softmax(model({"source": source[None], "target": target}))
            chosen = np.array(log_probs)[0, np.arange(len(row)), row]
            assert chosen[row != 0].sum() == pytest.approx(log_prob, abs=1e-4)


@pytest.mark.slow
def test_every_weight_learns():
    keras.utils.set_random_seed(7)
    model = create_model("slicenet", SMALL, **SIZES)
    model.compile(keras.optimizers.Adam(0.01), kt.TokenCrossEntropy(), run_eagerly=True)
    model.build()
    before = [array(weight) for weight in model.trainable_variables]
    labels = np.pad(TARGET[:, 1:], ((0, 0), (0, 1)))
    losses = [model.train_on_batch(IDS, labels) for _ in range(3)]
    assert losses[-1] < losses[0]
    for weight, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(array(weight) - old).max() > 0, weight.path


REFUSED = {
    "positions": ({}, {"positions": "t2t"}, "has positions='paper' only.*positions='t2t'"),
    "no positions": ({}, {"positions": None}, "leave out `positions`. Received: positions=None"),
    "a norm": ({}, {"norm": "pre"}, "has norm='post' only: leave out `norm`.*norm='pre'"),
    "an activation": ({}, {"activation": "gelu"}, "activation='relu' only.*activation='gelu'"),
    "dropout of scores": (
        {},
        {"attention_dropout_rate": 0.1},
        "attention_dropout_rate=0.0 only.*Received: attention_dropout_rate=0.1",
    ),
    "a width that no group divides": (
        {},
        {"d_model": 128},
        "multiple of all groups of the architecture slicenet, here 2-3, .*Received: d_model=128",
    ),
    "no layer": ({}, {"num_layers": 0}, "`num_layers` must be at least 1. Received: num_layers=0"),
    "no decoder": ({}, {"num_decoder_layers": 0}, "`num_decoder_layers` must be at least 1"),
    "no width": ({}, {"d_model": 0}, "`d_model` must be at least 1. Received: d_model=0"),
    "an unknown size": ({}, {"cells": 3}, "the arguments of `Transformer`. Received: cells"),
    "no integers": ({"kernels": "3-x"}, {}, "kernels .*separated by -, such as 2-3.*: 3-x"),
    "no group": ({"groups": ""}, {}, "groups .*integers of at least 1, .*Received: $"),
    "zero groups": ({"groups": "2-0"}, {}, "groups .*integers of at least 1, .*Received: 2-0"),
    "a kernel of even size": ({"kernels": "3-7-15-32"}, {}, "must be odd.*kernels=3-7-15-32"),
    "three kernels": (
        {"kernels": "3-7-15", "dilations": "1-1-1"},
        {},
        "an even number.*Received: kernels=3-7-15, dilations=1-1-1",
    ),
    "more dilations": (
        {"dilations": "1-1-1-1-2-2"},
        {},
        "must be as many.*Received: kernels=3-7-15-31, dilations=1-1-1-1-2-2",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_be_is_refused_in_a_line(case):
    options, sizes, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        create_model("slicenet", options, **{**SIZES, **sizes})
    assert "\n" not in str(caught.value)


def test_what_presets_and_recipes_always_give_is_taken():
    model = create_model("slicenet", **SIZES, positions="paper", max_length=97, activation="relu")
    assert model.max_positions is None
    assert create_model("slicenet", vocabulary_size=V).d_model == 768


def test_it_makes_no_language_model():
    with pytest.raises(ValueError, match="slicenet makes models for translation only"):
        create_model("slicenet", base=kt.LanguageModel.from_sizes, **SIZES)
