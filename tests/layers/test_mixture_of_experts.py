"""The mixture of experts: its output, its losses, and what it learns."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import AttentionMask
from tests.weights import random, randomize

B, T, D, F, E = 3, 7, 8, 11, 5
INPUTS = random(B, T, D, seed=1)


def mixture(**options):
    layer = kt.MixtureOfExperts(D, F, **{"num_experts": E, "k": 2, "seed": 4, **options})
    layer.build((B, T, D))
    randomize(layer, seed=2)
    return layer


def numpy_of(layer):
    return {weight.name: ops.convert_to_numpy(weight) for weight in layer.weights}


def gates_of(layer, x):
    """The shares of the experts in evaluation."""
    with kt.layers.collect_gates() as gates:
        layer(x)
    return gates[layer][0]


def by_hand(layer, x):
    """Token by token, expert by expert."""
    w, outputs = numpy_of(layer), np.zeros_like(x)
    for index in np.ndindex(x.shape[:-1]):
        logits = x[index] @ w["gate_kernel"]
        chosen = np.argsort(-logits)[: layer.k]
        shares = np.exp(logits[chosen]) / np.exp(logits[chosen]).sum()
        for expert, share in zip(chosen, shares, strict=True):
            hidden = x[index] @ w["hidden_kernel"][expert] + w["hidden_bias"][expert]
            output = np.maximum(hidden, 0) @ w["output_kernel"][expert] + w["output_bias"][expert]
            outputs[index] += share * output
    return outputs


@pytest.mark.parametrize("k", [1, 2, E])
def test_each_token_gets_its_experts_by_their_shares(k):
    layer = mixture(k=k)
    np.testing.assert_allclose(layer(INPUTS), by_hand(layer, INPUTS), atol=1e-5)
    gates = ops.convert_to_numpy(gates_of(layer, INPUTS))
    assert ((gates > 0).sum(axis=-1) == k).all()
    np.testing.assert_allclose(gates.sum(axis=-1), 1, atol=1e-6)


def test_equal_experts_are_one_expert():
    layer, one = mixture(), kt.FeedForward(D, F)
    one.build((B, T, D))
    randomize(one, seed=3)
    weights = [one.hidden.kernel, one.hidden.bias]
    weights += [one.output_projection.kernel, one.output_projection.bias]
    names = ["hidden_kernel", "hidden_bias", "output_kernel", "output_bias"]
    for name, weight in zip(names, weights, strict=True):
        getattr(layer, name).assign(np.stack([ops.convert_to_numpy(weight)] * E))
    np.testing.assert_allclose(layer(INPUTS), one(INPUTS), atol=1e-5)
    np.testing.assert_allclose(layer(INPUTS, training=True), one(INPUTS), atol=1e-5)


def test_it_begins_even_and_without_loss():
    layer = kt.MixtureOfExperts(D, F, num_experts=E, k=E, balance_weight=1.0, seed=1)
    layer(INPUTS, training=True)
    np.testing.assert_allclose(gates_of(layer, INPUTS), np.full((B, T, E), 1 / E), atol=1e-7)
    layer = kt.MixtureOfExperts(D, F, num_experts=E, k=E, noisy=False, balance_weight=1.0)
    layer(INPUTS, training=True)
    assert [float(loss) for loss in layer.losses] == [0.0]


def test_it_begins_about_even_with_a_few_experts_each():
    """The noise decides, so that of many tokens all experts get about as many."""
    layer = kt.MixtureOfExperts(D, F, num_experts=E, k=2, balance_weight=1.0, seed=1)
    layer(random(1, 5003, D, seed=7), training=True)
    assert float(layer.losses[0]) < 0.01


def test_noise_and_losses_are_those_of_training():
    layer = mixture()
    np.testing.assert_array_equal(layer(INPUTS), layer(INPUTS))
    assert layer.losses == []
    first, second = (ops.convert_to_numpy(layer(INPUTS, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    assert len(layer.losses) == 1
    for quiet in (mixture(noisy=False), mixture(balance_weight=0.0, noisy=False)):
        np.testing.assert_allclose(quiet(INPUTS, training=True), quiet(INPUTS), atol=1e-6)
    assert quiet.losses == []


def loss_by_hand(layer, x, real):
    """Without noise the numbers of tokens are shares, too; they have no gradient of their own."""
    shares = ops.convert_to_numpy(gates_of(layer, x))[real].sum(axis=0)
    return layer.balance_weight * 2 * (shares.std() / shares.mean()) ** 2


@pytest.mark.parametrize("as_mask", [lambda real: real, AttentionMask])
def test_padding_does_not_count(as_mask):
    layer, real = mixture(noisy=False), np.arange(T)[None] < np.array([[7], [2], [3]])
    layer(INPUTS, attention_mask=as_mask(ops.array(real)), training=True)
    assert float(layer.losses[0]) == pytest.approx(loss_by_hand(layer, INPUTS, real), rel=1e-5)
    layer(INPUTS, training=True)
    everything = np.ones((B, T), bool)
    assert float(layer.losses[0]) == pytest.approx(
        loss_by_hand(layer, INPUTS, everything), rel=1e-5
    )


@pytest.mark.parametrize("packed", [False, True])
def test_the_padding_of_a_model_does_not_count(packed):
    """In the decoder, too, whose attention needs no padding mask."""
    model = kt.create_model("experts", {"interval": 1}, vocabulary_size=23, num_layers=1,
                            d_model=D, num_heads=2, d_ff=F, dropout_rate=0.0)  # fmt: skip
    source, target = np.array([[4, 5, 2, 0, 0]]), np.array([[1, 9, 7, 0]])
    inputs = [
        {"source": source, "target": target},
        {"source": source[:, :3], "target": target[:, :3]},
    ]
    if packed:
        for one in inputs:
            for side in ("source", "target"):
                one[f"{side}_segments"] = (one[side] > 0).astype("int32")
                one[f"{side}_positions"] = np.arange(one[side].shape[1])[None] * (one[side] > 0)
    model.build()
    randomize(model, seed=5)
    for block in (model.encoder.blocks[0], model.decoder.blocks[0]):
        block.feed_forward.noisy = False
    losses = []
    for one in inputs:
        model({name: ops.array(ids) for name, ids in one.items()}, training=True)
        losses.append([float(loss) for loss in model.losses])
    assert len(losses[0]) == 2
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_the_load_teaches_the_gate():
    """Also where the shares are equal, so that importance has no gradient."""
    layer = mixture(k=1, balance_weight=1.0)
    before = ops.convert_to_numpy(layer.gate_kernel)
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.1), loss=lambda y, x: 0.0 * ops.sum(x))
    model.train_on_batch(INPUTS, INPUTS)
    assert np.abs(ops.convert_to_numpy(layer.gate_kernel) - before).max() > 1e-5


def test_micro_batches_are_refused():
    model = kt.create_model("experts", vocabulary_size=23, num_layers=2, d_model=D, num_heads=2,
                            d_ff=F)  # fmt: skip
    with pytest.raises(ValueError, match=r"cannot be computed in micro-batches.*MixtureOfExperts"):
        model.compile("sgd", kt.TokenCrossEntropy(), accumulate_steps=2)
    for block in (model.encoder.blocks[1], model.decoder.blocks[1]):
        block.feed_forward.balance_weight = 0.0
    model.compile("sgd", kt.TokenCrossEntropy(), accumulate_steps=2)


@pytest.mark.parametrize("k", [0, E + 1])
def test_more_experts_than_there_are_are_refused(k):
    with pytest.raises(ValueError, match=rf"at most `num_experts`. Received: k={k}, num_experts=5"):
        kt.MixtureOfExperts(D, F, num_experts=E, k=k)
