import numpy as np
import pytest

from keras_transformer.data import EvaluationBatches, TokenBatches


@pytest.fixture(scope="module")
def batches(cache):
    return EvaluationBatches(cache, 601, max_shapes=5)


def test_every_pair_comes_once(batches, cache):
    seen = [
        (source[source != 0].tolist(), label[label != 0].tolist())
        for inputs, labels in batches
        for source, label in zip(inputs["source"], labels, strict=True)
        if source.any()
    ]
    pairs = [(cache.source(n).tolist(), cache.target(n)[1:].tolist()) for n in range(len(cache))]
    assert sorted(seen) == sorted(pairs)


def test_every_batch_has_its_whole_shape(batches):
    assert len(batches) == sum(1 for _ in batches)
    for inputs, labels in batches:
        rows, source_length = inputs["source"].shape
        assert (rows, source_length, labels.shape[1]) in batches.shapes
        real = inputs["source"].any(axis=1)
        assert (np.diff(real.astype(int)) <= 0).all()  # rows of padding come last
        assert not inputs["target"][~real].any()
        assert not labels[~real].any()
    assert not all(inputs["source"].any(axis=1).all() for inputs, _ in batches)


def test_the_order_never_changes(batches, cache):
    again = EvaluationBatches(cache, 601, max_shapes=5)
    for (inputs, labels), (same_inputs, same_labels) in zip(batches, again, strict=True):
        assert np.array_equal(inputs["source"], same_inputs["source"])
        assert np.array_equal(labels, same_labels)


def test_the_dataset_is_finite_and_repeats(batches):
    dataset = batches.dataset()
    assert dataset.cardinality().numpy() == len(batches)
    for _ in range(2):
        seen = [labels.numpy() for _, labels in dataset]
        expected = [labels for _, labels in batches]
        assert all(np.array_equal(one, other) for one, other in zip(seen, expected, strict=True))


def test_shapes_are_those_of_training(batches, cache):
    assert batches.shapes == TokenBatches(cache, 601, max_shapes=5).shapes
