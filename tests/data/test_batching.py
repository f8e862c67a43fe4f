import time
from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest

from keras_transformer.data import InMemoryCorpus, TokenBatches, TokenCache

BUDGET = 601


@pytest.fixture(scope="module")
def batches(cache):
    return TokenBatches(cache, BUDGET, max_shapes=5, seed=3)


def sentences(batch) -> list[tuple]:
    """The pairs of a batch, each as its source ids (which start with the pair's number)."""
    return [tuple(row[row != 0].tolist()) for row in batch[0]["source"]]


def equal(one, other) -> bool:
    arrays = [(inputs["source"], inputs["target"], labels) for inputs, labels in (one, other)]
    return all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


def test_rows_are_the_ids_of_their_pairs(batches, cache):
    by_source = {tuple(cache.source(n).tolist()): cache.target(n).tolist() for n in range(1009)}
    for inputs, labels in batches.epoch(0):
        for source, target, label in zip(inputs["source"], inputs["target"], labels, strict=True):
            ids = by_source[tuple(source[source != 0].tolist())]
            real = len(ids) - 1
            assert target.tolist() == ids[:-1] + [0] * (len(target) - real)
            assert label.tolist() == ids[1:] + [0] * (len(target) - real)
            assert (source[: np.count_nonzero(source)] != 0).all()


def test_batches_have_few_static_shapes_within_the_budget(batches):
    assert len(batches.shapes) <= 5
    for inputs, labels in batches.epoch(1):
        rows, source_length = inputs["source"].shape
        assert (rows, source_length, labels.shape[1]) in batches.shapes
        assert inputs["target"].shape == labels.shape
        assert {array.dtype for array in (*inputs.values(), labels)} == {np.dtype("int32")}
        assert rows * max(source_length, labels.shape[1]) <= BUDGET


def test_every_pair_is_seen_once_in_each_epoch_of_its_stream(batches):
    """Over e epochs each pair comes e times, but for what still waits for a full batch."""
    epochs = 7
    counts = Counter()
    for epoch in range(epochs):
        for batch in batches.epoch(epoch):
            counts.update(sentences(batch))
        assert set(counts.values()) <= {epoch, epoch + 1}
        waiting = 1009 * (epoch + 1) - counts.total()
        assert 0 <= waiting < sum(shape.batch_size for shape in batches.shapes)
    assert len(counts) == 1009


def test_what_waits_at_the_end_of_an_epoch_starts_the_next(cache):
    """After as many epochs as a batch has rows, nothing waits: each pair came that many times."""
    batches = TokenBatches(cache, 4096, max_shapes=1)
    size = batches.shapes[0].batch_size
    assert 1009 % size
    counts = Counter()
    for epoch in range(size):
        assert batches.steps_in(epoch) in (1009 // size, 1009 // size + 1)
        for batch in batches.epoch(epoch):
            counts.update(sentences(batch))
    assert counts.total() == 1009 * size
    assert set(counts.values()) == {size}


def test_the_steps_of_epochs_add_up(batches):
    streams = zip(batches._streams, batches.shapes, strict=True)
    exact = float(sum(stream.per_epoch / shape.batch_size for stream, shape in streams))
    steps = [batches.steps_in(epoch) for epoch in range(50)]
    assert abs(sum(steps) - 50 * exact) < len(batches.shapes)
    assert all(abs(count - exact) < len(batches.shapes) for count in steps)
    assert batches.steps_per_epoch == round(exact)
    assert [len(list(batches.epoch(epoch))) for epoch in range(3)] == steps[:3]


def test_any_batch_is_found_without_those_before(cache, batches):
    epoch = list(batches.epoch(2))
    fresh = TokenBatches(cache, BUDGET, max_shapes=5, seed=3)
    for step in (len(epoch) - 1, 0, 11):
        assert equal(fresh.batch(2, step), epoch[step])
    rest = list(fresh.epoch(2, start_step=13))
    assert len(rest) == len(epoch) - 13
    assert all(equal(one, other) for one, other in zip(rest, epoch[13:], strict=True))


def test_there_is_no_batch_outside_an_epoch(batches):
    steps = batches.steps_in(1)
    for step in (-1, steps):
        with pytest.raises(IndexError, match=rf"^Epoch 1 has {steps} batches\. Received: step="):
            batches.batch(1, step)


def test_epochs_and_seeds_differ_in_order(cache, batches):
    other = TokenBatches(cache, BUDGET, max_shapes=5, seed=4)
    orders = [
        [row for batch in some for row in sentences(batch)]
        for some in (batches.epoch(0), batches.epoch(1), other.epoch(0))
    ]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_each_epoch_puts_other_pairs_together(batches):
    def neighbours(epoch):
        rows = [sentences(batch) for batch in batches.epoch(epoch)]
        return {pair for some in rows for pair in pairwise(some)}

    assert len(neighbours(0)) > 800
    assert len(neighbours(0) & neighbours(1)) < 80


def test_short_and_long_batches_are_mixed(batches):
    lengths = [inputs["source"].shape[1] for inputs, _ in batches.epoch(0)]
    assert lengths != sorted(lengths)
    assert len(set(lengths[: len(lengths) // 2])) == len(batches.shapes)


def test_a_step_of_training_has_a_place_in_the_stream(batches):
    steps = [batches.steps_in(epoch) for epoch in range(3)]
    assert batches.locate(0) == (0, 0)
    assert batches.locate(steps[0] - 1) == (0, steps[0] - 1)
    assert batches.locate(steps[0]) == (1, 0)
    assert batches.locate(sum(steps) + 5) == (3, 5)


def as_arrays(dataset, count):
    return [
        ({name: ids.numpy() for name, ids in inputs.items()}, labels.numpy())
        for inputs, labels in islice(dataset, count)
    ]


def test_the_dataset_is_the_endless_stream(batches):
    steps = batches.steps_in(0)
    seen = as_arrays(batches.dataset(), steps + 3)
    expected = [*batches.epoch(0), *islice(batches.epoch(1), 3)]
    assert all(equal(one, other) for one, other in zip(seen, expected, strict=True))


@pytest.mark.parametrize("start", [(1, 7), (0, None)])
def test_the_dataset_starts_anywhere(batches, start):
    epoch, step = start
    step = batches.steps_in(0) + 7 if step is None else step  # reaches into epoch 1
    seen = as_arrays(batches.dataset(start_epoch=epoch, start_step=step), 2)
    assert equal(seen[0], batches.batch(1, 7))
    assert equal(seen[1], batches.batch(1, 8))


def test_two_datasets_at_once_do_not_disturb_each_other(batches):
    early, late = iter(batches.dataset()), iter(batches.dataset(start_epoch=5))
    for step in range(batches.steps_in(0)):
        (inputs, _), (late_inputs, _) = next(early), next(late)
        assert np.array_equal(inputs["source"], batches.batch(0, step)[0]["source"])
        if step < batches.steps_in(5):
            assert np.array_equal(late_inputs["source"], batches.batch(5, step)[0]["source"])


def test_one_shape_is_static_in_the_dataset(cache, batches):
    one = TokenBatches(cache, BUDGET, max_shapes=1)
    size, source_length, target_length = one.shapes[0]
    inputs, labels = one.dataset().element_spec
    assert inputs["source"].shape == (size, source_length)
    assert inputs["target"].shape == labels.shape == (size, target_length)
    assert batches.dataset().element_spec[1].shape.as_list() == [None, None]


def test_a_handful_of_pairs_is_enough(tokenizer, tmp_path):
    corpus = InMemoryCorpus([("the cat", "the dog"), ("a street", "was too wide"), ("it", "ran")])
    cache = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    batches = TokenBatches(cache, 4096)
    assert batches.steps_per_epoch == batches.steps_in(0) == 1
    assert len(set(sentences(batches.batch(0, 0)))) == 3


@pytest.mark.slow
def test_fit_sees_the_stream_without_a_gap_between_its_epochs(cache, batches):
    import keras

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale = self.add_weight(shape=())
            self.seen = []

        def call(self, inputs):
            return self.scale * keras.ops.cast(inputs["target"], "float32")

        def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
            self.seen.append(({name: ids.numpy() for name, ids in x.items()}, y.numpy()))
            return keras.ops.mean(y_pred)

    model = Recorder()
    model.compile("sgd", run_eagerly=True)
    steps = batches.steps_per_epoch
    dataset = batches.dataset(start_step=5)
    model.fit(dataset, epochs=2, steps_per_epoch=steps, verbose=0, shuffle=False)
    expected = [batches.batch(*batches.locate(5 + step)) for step in range(2 * steps)]
    assert all(equal(one, other) for one, other in zip(model.seen, expected, strict=True))


@pytest.mark.slow
def test_batches_are_far_faster_than_training(cache):
    batches = TokenBatches(cache, 4096)
    list(batches.epoch(0))
    start = time.perf_counter()
    tokens = sum(np.count_nonzero(labels) for e in range(1, 20) for _, labels in batches.epoch(e))
    assert tokens / (time.perf_counter() - start) > 1_000_000
