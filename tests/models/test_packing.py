"""Packed = unpacked: the rows that `PackedBatches` makes, through the model that masks them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_transformer as kt
from keras_transformer.data import InMemoryCorpus, PackedBatches, PairFilter, TokenCache
from tests.models.conftest import SIZES, V
from tests.weights import randomize

LENGTH = 31


class Numbers:
    """A tokenizer whose words are the ids themselves."""

    pad_id, bos_id, eos_id, unk_id = 0, 1, 2, 3
    fingerprint = "numbers"

    def vocabulary_size(self):
        return V

    def tokenize(self, texts):
        return [[int(word) for word in text.split()] for text in texts]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    generator = np.random.default_rng(19)

    def sentence():
        return " ".join(map(str, generator.integers(4, V, generator.integers(2, 13))))

    corpus = InMemoryCorpus([(sentence(), sentence()) for _ in range(37)])
    filters = PairFilter(max_ratio=None)
    return TokenCache.build(corpus, Numbers(), tmp_path_factory.mktemp("packing") / "c", filters)


@pytest.fixture(scope="module")
def batch(cache):
    return PackedBatches(cache, 3 * LENGTH, length=LENGTH, batch_multiple=3).batch(0, 0)


def segments(batch):
    """Row and places in it of each pair: (row, source places, target places)."""
    inputs, _ = batch
    for row, (source, target) in enumerate(
        zip(inputs["source_segments"], inputs["target_segments"], strict=True)
    ):
        for segment in range(1, source.max() + 1):
            yield row, source == segment, target == segment


def alone(batch, cache):
    """The pairs of a batch, each as a batch of its own, as the cache has them."""
    target_of = {tuple(cache.source(n).tolist()): cache.target(n) for n in range(len(cache))}
    assert len(target_of) == len(cache)
    for row, places, _ in segments(batch):
        source = batch[0]["source"][row][places]
        target = target_of[tuple(source.tolist())].astype("int32")
        yield {"source": source[None], "target": target[None, :-1]}, target[None, 1:]


def gradients(model, batch):
    """The summed loss of the real tokens of a batch, without dropout, and its gradients."""
    inputs, labels = batch
    with tf.GradientTape() as tape:
        mean = kt.TokenCrossEntropy(label_smoothing=0.1)(labels, model(inputs))
        loss = mean * np.count_nonzero(labels)
    found = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    return float(loss), [ops.convert_to_numpy(tf.convert_to_tensor(g)) for g in found]


def test_the_rows_are_worth_testing(batch):
    inputs, _ = batch
    assert (inputs["source_segments"].max(axis=1) >= 3).all()
    for side in ("source", "target"):
        assert (inputs[f"{side}_segments"] == 0).any()


@pytest.mark.slow
def test_logits_of_packed_pairs_are_those_of_the_pairs_alone(model, batch, cache):
    packed = ops.convert_to_numpy(model(batch[0]))
    assert np.isfinite(packed).all()
    for (row, _, places), (inputs, _) in zip(segments(batch), alone(batch, cache), strict=True):
        np.testing.assert_allclose(packed[row][places], model(inputs)[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_gradients_of_a_packed_batch_are_the_sum_over_its_pairs(norm, models, batch, cache):
    model = models[norm]
    loss, packed = gradients(model, batch)
    parts = [gradients(model, pair) for pair in alone(batch, cache)]
    assert loss == pytest.approx(sum(part for part, _ in parts), rel=1e-5)
    summed = [np.sum(weight, axis=0) for weight in zip(*(part for _, part in parts), strict=True)]
    for weight, one, other in zip(model.trainable_weights, packed, summed, strict=True):
        assert np.abs(other).max() > 1e-3, weight.path
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max(), rtol=1e-5)


@pytest.fixture(scope="module")
def local_model():
    """A translation model whose self-attentions are local, longer than their windows."""
    model = kt.Transformer(V, **SIZES)
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        block.self_attention = kt.MultiHeadAttention(14, 7, attention=kt.LocalAttention(3))
    model.build()
    return randomize(model)


@pytest.mark.slow
def test_local_attention_in_encoder_and_decoder_keeps_to_the_pairs(local_model, batch, cache):
    test_logits_of_packed_pairs_are_those_of_the_pairs_alone(local_model, batch, cache)
    loss, packed = gradients(local_model, batch)
    parts = [gradients(local_model, pair) for pair in alone(batch, cache)]
    assert loss == pytest.approx(sum(part for part, _ in parts), rel=1e-5)
    for weight, found, *of_pairs in zip(
        local_model.trainable_weights, packed, *(part for _, part in parts), strict=True
    ):
        summed = np.sum(of_pairs, axis=0)
        error = {"atol": 1e-5 * np.abs(summed).max(), "rtol": 1e-5}
        np.testing.assert_allclose(found, summed, **error, err_msg=weight.path)


def test_fit_takes_the_dataset(cache):
    model = kt.Transformer(V, num_layers=1, d_model=6, num_heads=3, d_ff=5, dropout_rate=0.0)
    model.compile(keras.optimizers.SGD(0.1), kt.TokenCrossEntropy(), jit_compile=False)
    dataset = PackedBatches(cache, 3 * LENGTH, length=LENGTH, batch_multiple=3).dataset()
    history = model.fit(dataset, steps_per_epoch=5, epochs=2, verbose=0, shuffle=False).history
    assert history["loss"][1] < history["loss"][0]
