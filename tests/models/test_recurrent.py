"""The recurrent translator of the catalogue."""

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

V, D = 23, 14
SIZES = {"vocabulary_size": V, "num_layers": 2, "d_model": D, "num_heads": 4, "d_ff": 17}
SOURCE = np.array([[5, 7, 3, 9, 2], [8, 4, 2, 0, 0], [6, 6, 10, 2, 0]], "int32")
TARGET = np.array([[1, 11, 4, 7], [1, 9, 3, 0], [1, 6, 0, 0]], "int32")
IDS = {"source": SOURCE, "target": TARGET}


def made(**sizes):
    """A model with random weights, as it comes back from its description."""
    model = again = create_model("recurrent", **{**SIZES, **sizes})
    for _ in range(2):  # Keras' normalization writes its axis in another way, once
        model, again = again, model_from_description(describe_model(again))
    assert describe_model(again) == describe_model(model)
    again.build()
    return randomize(again)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_bottom_of_the_encoder_goes_both_ways_and_that_of_the_decoder_attends(dtype):
    model = made(num_layers=3, num_decoder_layers=2, dtype=dtype, dropout_rate=0.25)
    assert type(model) is EncoderDecoder
    kinds = [type(block) for block in (*model.encoder.blocks, *model.decoder.blocks)]
    assert kinds == [kt.BidirectionalRecurrentBlock, *[kt.RecurrentBlock] * 4]
    attends = [getattr(block, "cross_attention", None) for block in model.decoder.blocks]
    assert [type(one) for one in attends] == [kt.AdditiveAttention, type(None)]
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        assert type(block.cell) is keras.layers.LSTMCell
        assert (block.cell.units, block.dropout_rate, block.norm) == (D, 0.25, "post")
        assert block.dtype_policy.name == block.cell.dtype_policy.name == dtype
    assert model.source_embedding.positions is model.max_positions is None
    assert model.target_embedding is model.source_embedding


@pytest.mark.slow
def test_it_has_as_many_weights_as_the_sizes_say():
    lstm, norm = 4 * D * (2 * D + 1), 2 * D
    bottom = 2 * lstm + 2 * D * D + D + norm  # both directions, and their projection
    attention = 3 * D * D + D + norm
    expected = V * D + bottom + 2 * (lstm + norm) + 3 * (lstm + norm) + attention
    assert made(num_layers=3).count_params() == expected
    assert made(num_layers=3, norm="pre").count_params() == expected + 2 * norm
    more = made(num_layers=3, target_vocabulary_size=29, use_bias=True)
    assert more.count_params() == expected + 29 * D + 29


def test_at_the_size_of_the_phrasebook_it_is_as_large_as_the_transformer():
    sizes = {"vocabulary_size": 2600, **kt.models.PRESETS["tiny"], "num_layers": 3}
    counts = []
    for name in ("recurrent", "transformer"):
        model = create_model(name, **sizes)
        model.build()
        counts.append(model.count_params())
    assert counts[0] / counts[1] == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_padding_a_source_changes_nothing():
    model = made()
    wider = np.pad(SOURCE, ((0, 0), (0, 4)))
    np.testing.assert_allclose(model({**IDS, "source": wider}), model(IDS), atol=1e-5)
    alone = model({"source": SOURCE[1:2, :3], "target": TARGET[1:2, :3]})
    np.testing.assert_allclose(model(IDS)[1:2, :3], alone, atol=1e-5)


@pytest.mark.slow
def test_padding_is_what_the_model_is_told():
    model, other = made(), made(pad_id=22)
    other.set_weights(model.get_weights())
    ids = {**IDS, "source": np.where(SOURCE == 0, 22, SOURCE)}
    np.testing.assert_allclose(other(ids), model(IDS), atol=1e-5)


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
def test_the_context_reaches_the_top_by_the_residual_connections_alone():
    """Without the output of the attention, nothing of the source is left."""
    model = made()
    kernel = model.decoder.blocks[0].cross_attention.output_projection.kernel
    other = {**IDS, "source": SOURCE[::-1]}
    assert np.abs(np.array(model(IDS)) - np.array(model(other))).max() > 1e-2
    kernel.assign(np.zeros(kernel.shape))
    np.testing.assert_array_equal(model(IDS), model(other))


@pytest.mark.parametrize("norm", ["post", pytest.param("pre", marks=pytest.mark.slow)])
def test_what_is_generated_has_the_score_that_the_model_gives_it(norm):
    """By beams and greedily, step by step against the whole sentence."""
    model = made(norm=norm)
    for beam_size in (1, 3):
        found = kt.generate(
            model,
            ops.convert_to_tensor(SOURCE),
            ops.convert_to_tensor([7, 5, 6]),
            length=7,
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
            assert chosen[row != 0].sum() == pytest.approx(log_prob, abs=1e-5)
            if beam_size == 1:
                length = (row != 0).sum()
                best = np.array(log_probs)[0, :length, 1:].argmax(axis=-1) + 1
                np.testing.assert_array_equal(best, row[:length])


@pytest.mark.slow
def test_every_weight_learns():
    keras.utils.set_random_seed(7)
    model = create_model("recurrent", **SIZES)
    model.compile(keras.optimizers.Adam(0.01), kt.TokenCrossEntropy(), run_eagerly=True)
    model.build()
    before = [array(weight) for weight in model.trainable_variables]
    labels = np.pad(TARGET[:, 1:], ((0, 0), (0, 1)))
    losses = [model.train_on_batch(IDS, labels) for _ in range(2)]
    assert losses[-1] < losses[0]
    for weight, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(array(weight) - old).max() > 0, weight.path


REFUSED = {
    "positions": (
        {"positions": "learned"},
        "`positions` has no meaning .*the order of words is in the states. .*positions='learned'",
    ),
    "an activation": ({"activation": "gelu"}, "`activation` has no meaning .*activation='gelu'"),
    "dropout of scores": (
        {"attention_dropout_rate": 0.1},
        "it drops outputs of layers alone, by `dropout_rate`. .*attention_dropout_rate=0.1",
    ),
    "dropout in a network": (
        {"feed_forward_dropout_rate": 0.2},
        "it has no feed-forward networks. .*feed_forward_dropout_rate=0.2",
    ),
    "no layer": ({"num_layers": 0}, "`num_layers` must be at least 1. Received: num_layers=0"),
    "no decoder": ({"num_decoder_layers": 0}, "`num_decoder_layers` must be at least 1. .*=0"),
    "no width": ({"d_model": 0}, "`d_model` must be at least 1. Received: d_model=0"),
    "an unknown norm": ({"norm": "middle"}, "`norm` must be 'post' or 'pre'. Received: 'middle'"),
    "an unknown size": ({"cells": 3}, "takes the arguments of `Transformer`.* Received: cells"),
    "an option": ({"options": {"cell": "gru"}}, "has no option cell. Its options, .*: none."),
    "a language model": (
        {"base": kt.LanguageModel.from_sizes},
        "makes models for translation only",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case):
    changes, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        create_model("recurrent", **{**SIZES, **changes})


def test_what_presets_and_recipes_always_give_is_taken():
    model = create_model("recurrent", **SIZES, positions="paper", max_length=97, activation="relu")
    assert model.max_positions is None
    assert create_model("recurrent", vocabulary_size=V).d_model == 512
