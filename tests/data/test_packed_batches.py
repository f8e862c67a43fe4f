import os
from collections import Counter
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer.data import InMemoryCorpus, PackedBatches, ParallelFiles, TokenCache
from keras_transformer.data.buckets import BatchShape
from keras_transformer.data.collation import packed_batch
from keras_transformer.data.packing import pack_pairs
from keras_transformer.text import Tokenizer

LENGTH = 131
BUDGET = 1700  # 12 rows, of which the multiple of 5 leaves 10
MULTI30K = os.environ.get("KERAS_TRANSFORMER_MULTI30K", "")
PARTS = ("", "_segments", "_positions")


@pytest.fixture(scope="module")
def batches(cache):
    return PackedBatches(cache, BUDGET, length=LENGTH, seed=3, batch_multiple=5)


def pairs_of(batch) -> list[tuple]:
    """The pairs of a batch by their segments, each as its source ids, target ids and labels."""
    inputs, labels = batch
    pairs = []
    for row in range(len(labels)):
        for segment in range(1, inputs["source_segments"][row].max() + 1):
            source = inputs["source_segments"][row] == segment
            target = inputs["target_segments"][row] == segment
            arrays = inputs["source"][row][source], inputs["target"][row][target]
            pairs.append(tuple(tuple(ids.tolist()) for ids in (*arrays, labels[row][target])))
    return pairs


def expected_pair(cache, number) -> tuple:
    target = cache.target(number).tolist()
    return tuple(cache.source(number).tolist()), tuple(target[:-1]), tuple(target[1:])


def equal(one, other) -> bool:
    (inputs, labels), (other_inputs, other_labels) = one, other
    return np.array_equal(labels, other_labels) and all(
        np.array_equal(inputs[name], other_inputs[name]) for name in inputs
    )


def by_hand(cache, length, rows) -> tuple[dict, np.ndarray]:
    """The batch with these pairs in its rows, token by token."""
    names = [side + part for side in ("source", "target") for part in PARTS]
    inputs = {name: np.zeros((len(rows), length), np.int32) for name in names}
    inputs["source"] += cache.source_pad_id
    inputs["target"] += cache.target_pad_id
    labels = inputs["target"].copy()
    for row, pairs in enumerate(rows):
        ends = {"source": 0, "target": 0}
        for segment, pair in enumerate(pairs, start=1):
            source, target, label = expected_pair(cache, pair)
            for side, ids in (("source", source), ("target", target)):
                for position, token in enumerate(ids):
                    place = row, ends[side]
                    for part, value in zip(PARTS, (token, segment, position), strict=True):
                        inputs[side + part][place] = value
                    if side == "target":
                        labels[place] = label[position]
                    ends[side] += 1
    return inputs, labels


def cache_of(lengths, source_pad_id=0, target_pad_id=0):
    """What a cache with pairs of these lengths holds, in memory; every id is another."""
    source, target = np.array(lengths).T
    offsets = [np.concatenate([[0], np.cumsum(side)]) for side in (source, target + 1)]
    ids = [np.arange(7, 7 + side[-1], dtype=np.int32) for side in offsets]
    return SimpleNamespace(
        source_ids=ids[0],
        target_ids=ids[1],
        source_offsets=offsets[0],
        target_offsets=offsets[1],
        source_lengths=source,
        target_lengths=target,
        lengths=np.stack([source, target], axis=1),
        source_pad_id=source_pad_id,
        target_pad_id=target_pad_id,
        source=lambda n: ids[0][offsets[0][n] : offsets[0][n + 1]],
        target=lambda n: ids[1][offsets[1][n] : offsets[1][n + 1]],
    )


@given(
    lengths=st.lists(st.tuples(st.integers(1, 13), st.integers(1, 13)), min_size=1, max_size=40),
    pad_ids=st.tuples(st.sampled_from([0, 3]), st.sampled_from([0, 5])),
)
@settings(deadline=None)
def test_rows_are_their_pairs_side_by_side(lengths, pad_ids):
    """Random lengths: every token, segment, position and label stands where a loop puts it."""
    cache, rows = cache_of(lengths, *pad_ids), pack_pairs(np.array(lengths), 13)
    numbers = np.arange(len(rows))[::-1]
    batch = packed_batch(cache, BatchShape(len(rows), 13, 13), *rows.select(numbers))
    pairs = [rows.pairs[rows.starts[row] : rows.starts[row + 1]].tolist() for row in numbers]
    assert equal(batch, by_hand(cache, 13, pairs))


def test_sides_may_differ_in_length():
    cache = cache_of([(2, 5), (3, 1)])
    inputs, labels = packed_batch(cache, BatchShape(1, 7, 11), np.array([1, 0]), np.array([2]))
    assert inputs["source"].tolist() == [[9, 10, 11, 7, 8, 0, 0]]
    assert inputs["target"].tolist() == [[13, 7, 8, 9, 10, 11, 0, 0, 0, 0, 0]]
    assert labels.tolist() == [[14, 8, 9, 10, 11, 12, 0, 0, 0, 0, 0]]


def test_batches_have_one_static_shape_and_are_int32(batches):
    assert batches.shapes == ((10, LENGTH, LENGTH),)
    for inputs, labels in batches.epoch(1):
        assert set(inputs) == set(batches.inputs)
        assert {array.shape for array in (*inputs.values(), labels)} == {(10, LENGTH)}
        assert {array.dtype for array in (*inputs.values(), labels)} == {np.dtype("int32")}


def test_pairs_come_whole(batches, cache):
    expected = {expected_pair(cache, number) for number in range(len(cache))}
    seen = [pair for batch in batches.epoch(0) for pair in pairs_of(batch)]
    assert set(seen) <= expected
    assert len(set(seen)) == len(seen) > 900


def test_padding_has_segment_and_position_0(batches):
    for inputs, labels in batches.epoch(0):
        for side in ("source", "target"):
            padding = inputs[f"{side}_segments"] == 0
            assert np.array_equal(padding, inputs[side] == 0)
            assert not inputs[f"{side}_positions"][padding].any()
        assert np.array_equal(labels == 0, inputs["target"] == 0)


def test_what_waits_at_the_end_of_an_epoch_starts_the_next(cache, batches):
    """After as many epochs as a batch has rows, nothing waits: each pair came that many times."""
    size, rows = batches.shapes[0].batch_size, len(batches._rows)
    assert rows % size
    counts = Counter()
    for epoch in range(size):
        assert batches.steps_in(epoch) in (rows // size, rows // size + 1)
        for batch in batches.epoch(epoch):
            counts.update(source for source, _, _ in pairs_of(batch))
        assert set(counts.values()) <= {epoch, epoch + 1}
    assert len(counts) == 1009
    assert set(counts.values()) == {size}


def test_any_batch_is_found_without_those_before(cache, batches):
    epoch = list(batches.epoch(2))
    fresh = PackedBatches(cache, BUDGET, length=LENGTH, seed=3, batch_multiple=5)
    for step in (len(epoch) - 1, 0, 7):
        assert equal(fresh.batch(2, step), epoch[step])
    rest = list(fresh.epoch(2, start_step=5))
    assert all(equal(one, other) for one, other in zip(rest, epoch[5:], strict=True))
    with pytest.raises(IndexError, match=rf"^Epoch 2 has {len(epoch)} batches"):
        fresh.batch(2, len(epoch))


def test_epochs_and_seeds_differ_in_order():
    """Each of these pairs has a row of its own, so that only the order can differ."""
    cache = cache_of([(n, n) for n in range(7, 14)])
    orders = [
        np.concatenate([labels for _, labels in some.epoch(epoch)]).tolist()
        for seed in (3, 4)
        for some in [PackedBatches(cache, 13, length=13, seed=seed, batch_multiple=1)]
        for epoch in (0, 1)
    ]
    assert len({str(order) for order in orders}) == 4
    assert len({str(sorted(order)) for order in orders}) == 1


def test_seeds_differ_in_which_pairs_share_a_row(cache, batches):
    other = PackedBatches(cache, BUDGET, length=LENGTH, seed=4, batch_multiple=5)
    assert not np.array_equal(batches._rows.pairs, other._rows.pairs)


def test_the_dataset_is_the_endless_stream_from_any_place(batches):
    steps = batches.steps_in(0)
    for epoch, step in ((0, steps - 1), (1, 0)):
        expected = [batches.batch(*batches.locate(epoch * steps + step + n)) for n in range(3)]
        dataset = batches.dataset(start_epoch=epoch, start_step=step)
        for (inputs, labels), other in zip(islice(dataset, 3), expected, strict=True):
            arrays = {name: array.numpy() for name, array in inputs.items()}
            assert equal((arrays, labels.numpy()), other)


def test_the_dataset_is_fully_static(batches):
    inputs, labels = batches.dataset().element_spec
    assert set(inputs) == {side + part for side in ("source", "target") for part in PARTS}
    for spec in (*inputs.values(), labels):
        assert spec.shape.is_fully_defined()
        assert spec.shape == (10, LENGTH)
        assert spec.dtype == np.int32


def test_padding_is_the_share_of_padding(cache, batches):
    every_row = packed_batch(
        cache,
        BatchShape(len(batches._rows), LENGTH, LENGTH),
        *batches._rows.select(np.arange(len(batches._rows))),
    )
    inputs = every_row[0]
    share = np.mean([inputs["source_segments"] == 0, inputs["target_segments"] == 0])
    assert batches.padding == pytest.approx(share)
    assert batches.padding < 0.1


def test_a_handful_of_pairs_is_enough(tokenizer, tmp_path):
    """Fewer rows than a batch has: each comes several times, and as often as the others."""
    corpus = InMemoryCorpus([("the cat", "the dog"), ("a street", "was too wide"), ("it", "ran")])
    cache = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    batches = PackedBatches(cache, 8 * 37, length=37)
    rows = len(batches._rows)
    assert rows < 8
    assert batches.steps_per_epoch == 1
    assert sum(batches.steps_in(epoch) for epoch in range(8)) == rows
    stream = [batches.batch(*batches.locate(step)) for step in range(rows)]
    counts = Counter(pair for batch in stream for pair in pairs_of(batch))
    assert len(counts) == 3
    assert set(counts.values()) == {8}


def test_a_budget_below_the_smallest_batch_is_refused(cache):
    with pytest.raises(
        ValueError,
        match=r"^`tokens_per_batch` must hold 8 rows \(`batch_multiple`\) of 131 positions "
        r"\(`length`\)\. Received: 1047\. Raise it to 1048 or more\.$",
    ):
        PackedBatches(cache, 1047, length=LENGTH)
    assert PackedBatches(cache, 1048, length=LENGTH).shapes == ((8, LENGTH, LENGTH),)


@pytest.mark.parametrize("name", ["batch_multiple", "length"])
def test_rows_without_positions_are_refused(cache, name):
    with pytest.raises(ValueError, match=f"must be at least 1. Received: .*{name}=0"):
        PackedBatches(cache, 1048, **{name: 0})


def test_pairs_longer_than_a_row_are_refused(cache):
    too_long = int((cache.lengths.max(axis=1) > 41).sum())
    assert too_long
    with pytest.raises(ValueError, match=rf"Received: {too_long} of 1009 .*`max_length=41`"):
        PackedBatches(cache, 4096, length=41)


@pytest.mark.slow
@pytest.mark.skipif(
    not MULTI30K, reason="KERAS_TRANSFORMER_MULTI30K names no folder with train.en.gz, train.de.gz"
)
def test_multi30k_fills_the_rows(tmp_path):
    """Were the German side full to the last position, the mean of both would be 98.2 %."""
    corpus = ParallelFiles(Path(MULTI30K, "train.en.gz"), Path(MULTI30K, "train.de.gz"))
    tokenizer = Tokenizer.train(corpus.sentences(), 8000, model_type="bpe")
    cache = TokenCache.build(corpus, tokenizer, tmp_path / "cache")
    batches = PackedBatches(cache, tokens_per_batch=4096)
    real = positions = 0
    for inputs, labels in batches.epoch(0):
        real += np.count_nonzero(inputs["source"]) + np.count_nonzero(labels)
        positions += inputs["source"].size + labels.size
    assert real / positions >= 0.965
    assert batches.padding == pytest.approx(1 - real / positions, abs=1e-3)
