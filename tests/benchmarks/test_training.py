"""The benchmark of training, in its smallest setting."""

import json

import pytest

from benchmarks import training
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


def test_ours_is_timed(tmp_path, corpus):
    file = tmp_path / "rows.json"
    options = (*TOY, *corpus, "--peers", "--json", str(file))
    printed = run_python("-m", "benchmarks.training", *options, XLA_FLAGS=QUICK_TO_COMPILE)
    (row,) = json.loads(file.read_text())
    assert row.pop("target_tokens_per_second") > 0
    assert row == {"engine": "keras_transformer", "size": "toy"}
    assert "| toy | keras_transformer |" in printed


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


def test_it_says_what_is_missing(capsys):
    with pytest.raises(SystemExit):
        training.main(["--source", "a.en"])
    assert "say what to time" in capsys.readouterr().err
