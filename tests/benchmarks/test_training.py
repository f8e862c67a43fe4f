"""The benchmark of training, in its smallest setting."""

import json

import numpy as np
import pytest
import tensorflow as tf

import keras_transformer as kt
from benchmarks import training
from benchmarks.repacking import repack
from benchmarks.training_engines import read_batches
from tests.conftest import QUICK_TO_COMPILE, run_python

TOY = ("--sizes", "toy", "--repeats", "1", "--threads", "1")


@pytest.fixture
def corpus(tmp_path):
    """Options that name two files of a few hundred short lines."""
    words = [f"w{n % 7} x{n % 11} y{n % 13}" for n in range(300)]
    paths = tmp_path / "source", tmp_path / "target"
    for path in paths:
        path.write_text("\n".join(words) + "\n")
    return "--source", str(paths[0]), "--target", str(paths[1]), "--vocabulary", "280"


@pytest.mark.slow
def test_every_engine_is_timed_on_the_same_batches(tmp_path, corpus):
    pytest.importorskip("keras_hub", reason="keras-hub needs Keras 3.15")
    file = tmp_path / "rows.json"
    options = (*TOY, *corpus, "--peers", "torch", "keras-hub", "keras-hub-plain")
    printed = run_python(
        *("-m", "benchmarks.training", *options, "--json", str(file)), XLA_FLAGS=QUICK_TO_COMPILE
    )
    rows = {row["engine"]: row for row in json.loads(file.read_text())}
    assert {"keras_transformer", "keras-hub"} <= set(rows)
    assert "torch" in rows or "torch is skipped: " in printed
    assert all(row["target_tokens_per_second"] > 0 for row in rows.values())


@pytest.mark.slow
def test_ours_is_timed(tmp_path, corpus):
    file = tmp_path / "rows.json"
    options = (*TOY, *corpus, "--peers", "--json", str(file))
    printed = run_python("-m", "benchmarks.training", *options, XLA_FLAGS=QUICK_TO_COMPILE)
    (row,) = json.loads(file.read_text())
    assert row.pop("target_tokens_per_second") > 0
    assert row == {"engine": "keras_transformer", "size": "toy"}
    assert "| toy | keras_transformer |" in printed
    assert "| toy | keras_transformer-packed |" in printed
    assert "| toy | keras_transformer-rows |" in printed


def test_the_file_has_the_faster_mode_of_an_engine():
    speeds = {"keras_transformer": 7, "torch": 2, "torch-compiled": 3, "keras-hub": 5}
    speeds["keras-hub-plain"] = 4
    rows = [
        {"engine": engine, "size": "toy", "target_tokens_per_second": speed, "loss": 1.0}
        for engine, speed in speeds.items()
    ]
    best = {row["engine"]: row["target_tokens_per_second"] for row in training.best(rows)}
    assert best == {"keras_transformer": 7, "torch": 3, "keras-hub": 5}


def test_batches_are_read_as_they_were_written(tmp_path):
    batch = training.full_rows(5, 3)
    training.write_batches([batch, batch], tmp_path / "batches.npz")
    inputs, labels = batch
    for source, target, wanted in read_batches(tmp_path / "batches.npz"):
        assert (source == inputs["source"]).all()
        assert (target == inputs["target"]).all()
        assert (labels == wanted).all()


@pytest.mark.parametrize("length", [7, 23])
def test_repacked_batches_have_the_same_loss_and_gradients(length):
    rng = np.random.default_rng(0)
    batches = [padded_pairs(rng, rows=11, longest=longest) for longest in (7, 2)]
    model = kt.Transformer(31, 1, 8, 2, 16, dropout_rate=0.0)
    model.compile(loss=kt.TokenCrossEntropy(0.1), run_eagerly=True)
    repacked = repack(batches, length)
    for (source, target, labels), (inputs, packed_labels) in zip(batches, repacked, strict=True):
        assert sorted(packed_labels[packed_labels > 0]) == sorted(labels[labels > 0])
        padded = loss_and_gradients(model, {"source": source, "target": target}, labels)
        packed = loss_and_gradients(model, inputs, packed_labels)
        for wanted, found in zip(padded, packed, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    (first, _), (second, _) = repacked
    assert first["source"].shape == second["source"].shape  # as those of the batches


def padded_pairs(rng, rows, longest):
    """A batch as `TokenBatches` makes it, of 7 positions: EOS is 2, BOS is 1."""
    source, target, labels = np.zeros((3, rows, 7), "int32")
    for n, (S, T) in enumerate(rng.integers(1, longest + 1, (rows, 2))):
        source[n, :S] = [*rng.integers(4, 31, S - 1), 2]
        labels[n, :T] = [*rng.integers(4, 31, T - 1), 2]
        target[n, :T] = [1, *labels[n, : T - 1]]
    return source, target, labels


def loss_and_gradients(model, inputs, labels):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, labels, model(inputs, training=True))
    return [loss, *tape.gradient(loss, [weight.value for weight in model.trainable_weights])]


def test_it_says_what_is_missing(capsys):
    with pytest.raises(SystemExit):
        training.main(["--source", "a.en"])
    assert "nothing to time: give --source with --target" in capsys.readouterr().err
