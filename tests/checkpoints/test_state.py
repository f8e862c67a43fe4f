"""States on disk: exact, whole or not there, and damage is noticed."""

import json
import resource

import keras
import numpy as np
import pytest

from keras_transformer import KeepCheckpoints, StateError, StateFolder
from keras_transformer.checkpoints import state
from keras_transformer.checkpoints.state import (
    FORMAT,
    assign_variables,
    read_variables,
)
from tests.checkpoints.interrupted import make_model

ARRAYS = {
    "model/0000/a": np.array([[0.1, -0.0, np.nan], [np.inf, 1e-45, 3.0]], "float32"),
    "model/0001/seed": np.array([7, 2**32 - 1], "uint32"),
    "optimizer/0000/iterations": np.array(2**40 + 1, "int64"),
}
FACTS = {"epoch": 5, "best": float("-inf"), "loss": [0.1, 1 / 3], "text": "déjà", "none": None}


@pytest.fixture
def states(tmp_path):
    """Two states, of steps 7 and 11."""
    states = StateFolder(tmp_path / "checkpoints")
    for step in (7, 11):
        states.write(step, {**FACTS, "step": step}, ARRAYS)
    return states


def newest(states):
    """The step of the newest whole state, and what was said of others."""
    warnings = []
    state = states.newest(warn=warnings.append)
    return state.metadata["step"], warnings


def names(states):
    return [path.name for path in states.paths()]


def test_what_is_read_is_what_was_written(states):
    state = states.newest()
    assert state.path.name == "state-00000011.npz"
    assert state.metadata == {**FACTS, "step": 11}
    arrays = state.arrays("model", "optimizer")
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].tobytes() == array.tobytes()
    assert list(state.arrays("optimizer")) == ["optimizer/0000/iterations"]


@pytest.mark.slow
def test_all_that_fit_changes_is_in_a_state(tmp_path):
    """Weights, the seeds of dropout, the optimizer's moments, the metrics."""
    trained, fresh = (make_model(seed, run_eagerly=True) for seed in (5, 11))
    x = {"source": np.full((3, 5), 7), "target": np.full((3, 2), 4)}
    trained.fit(x, x["target"], epochs=3, verbose=0)
    values = read_variables(trained)
    assert sum("seed" in name for name in values) >= 5
    assert sum(name.startswith("metrics/") for name in values) == 6
    states = StateFolder(tmp_path)
    states.write(3, {}, values)
    fresh.fit(x, x["target"], verbose=0)
    assign_variables(fresh, states.newest(), "model", "optimizer", "metrics")
    restored = read_variables(fresh).values()
    assert len(restored) == len(values) > 60
    for one, other in zip(values.values(), restored, strict=True):
        np.testing.assert_array_equal(one, other)


def test_half_precision_is_kept(tmp_path):
    model = keras.Sequential([keras.layers.Dense(3, dtype="bfloat16")])
    model.build((None, 2))
    model.compile("sgd")
    values = read_variables(model)
    states = StateFolder(tmp_path)
    states.write(1, {}, values)
    model.set_weights([np.zeros_like(weights) for weights in model.get_weights()])
    assign_variables(model, states.newest(), "model")
    np.testing.assert_array_equal(model.get_weights()[0], next(iter(values.values())))


def test_the_two_newest_are_kept_and_other_files_too(states):
    (states.folder / "best.weights.h5").write_text("mine")
    for step in (13, 170_000_003):
        states.write(step, FACTS, ARRAYS)
    assert names(states) == ["state-00000013.npz", "state-170000003.npz"]
    assert (states.folder / "best.weights.h5").exists()


def test_states_of_a_future_that_did_not_come_are_removed(states):
    states.write(10, FACTS, ARRAYS)
    assert names(states) == ["state-00000007.npz", "state-00000010.npz"]


@pytest.mark.parametrize("kind", [StateFolder, KeepCheckpoints])
def test_at_least_one_is_kept(kind, tmp_path):
    with pytest.raises(ValueError, match=r"^`keep` must be at least 1\. Received: 0$"):
        kind(tmp_path, keep=0)


def test_no_states_at_all(tmp_path):
    assert StateFolder(tmp_path / "nowhere").newest() is None
    assert StateFolder(tmp_path).newest() is None


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 997, -65, -64, -1])
def test_a_truncated_state_is_passed_over(states, size):
    path = states.paths()[-1]
    content = path.read_bytes()
    path.write_bytes(content[:size])
    step, (warning,) = newest(states)
    assert step == 7
    assert warning.startswith(f"{path} is damaged (it is not a complete archive: ")
    assert warning.endswith(") and is skipped.")


def test_a_state_with_any_byte_flipped_is_passed_over_or_the_same(states):
    """A flipped byte of an archive's headers, such as a date's, may change nothing that is read."""
    path = states.paths()[-1]
    content, passed_over = path.read_bytes(), 0
    places = [*range(0, len(content), 7), len(content) - 1]
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        step, warnings = newest(states)
        if step == 7:
            assert len(warnings) == 1
            passed_over += 1
        else:
            test_what_is_read_is_what_was_written(states)
    assert passed_over > 0.7 * len(places)
    path.write_bytes(content)
    assert newest(states) == (11, [])


def test_a_flipped_byte_of_an_array_is_a_wrong_checksum(states):
    path = states.paths()[-1]
    content = path.read_bytes()
    place = content.index(ARRAYS["model/0000/a"].tobytes()) + 5
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert newest(states) == (7, [f"{path} is damaged (its checksum is wrong) and is skipped."])


def test_what_cannot_be_read_is_passed_over(states, monkeypatch):
    def open_first_only(path, *mode):
        if path.name == "state-00000011.npz":
            raise PermissionError(13, "Permission denied")
        return open(path, *mode)

    monkeypatch.setattr(state, "open", open_first_only, raising=False)
    step, warnings = newest(states)
    assert step == 7
    assert "state-00000011.npz is damaged (Permission denied)" in warnings[0]


def test_a_folder_with_the_name_of_a_state_is_none(states):
    (states.folder / "state-00000013.npz").mkdir()
    assert newest(states) == (11, [])


def test_damaged_states_alone_are_no_fresh_start(states):
    for path in states.paths():
        path.write_bytes(b"")
    with pytest.raises(StateError, match=r"^All states in .*checkpoints are damaged\."):
        states.newest(warn=str)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(StateError, match=r"checkpoints is a file\. Expected a folder"):
        StateFolder(tmp_path / "checkpoints").newest()


def test_a_state_of_another_version_says_so(states, monkeypatch):
    monkeypatch.setattr("keras_transformer.checkpoints.state.FORMAT", 97)
    states.write(13, FACTS, ARRAYS)
    monkeypatch.undo()
    with pytest.raises(StateError, match=rf"has format 97; this package reads {FORMAT}\."):
        states.newest()


def test_the_archive_is_one_that_numpy_reads_without_pickle(states):
    with np.load(states.paths()[-1], allow_pickle=False) as archive:
        assert json.loads(archive["metadata.json"].tobytes())["metadata"]["text"] == "déjà"
        np.testing.assert_array_equal(archive["model/0001/seed"], ARRAYS["model/0001/seed"])


@pytest.fixture
def full_disk():
    """Files cannot grow beyond 20 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_what_is_there(states, full_disk):
    before = {path: path.read_bytes() for path in states.folder.iterdir()}
    large = {"model/0000/a": np.ones((101, 103))}
    with pytest.raises(OSError, match=r"state-00000013\.npz could not be written: File too large"):
        states.write(13, FACTS, large)
    assert {path: path.read_bytes() for path in states.folder.iterdir()} == before
    assert newest(states) == (11, [])


def dense(units, optimizer="sgd", dtype="float32"):
    model = keras.Sequential([keras.layers.Dense(units, dtype=dtype)])
    model.build((None, 2))
    model.compile(optimizer)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (lambda: dense(5), r"kernel is float32 \(2, 3\) there, float32 \(2, 5\) here\. Cont"),
        (lambda: dense(3, dtype="float64"), r"float32 \(2, 3\) there, float64 \(2, 3\) here"),
        (lambda: dense(3, "adam"), r"another model: optimizer has 2 variables there, \d+ here\."),
    ],
)
def test_a_state_of_another_model_changes_nothing(tmp_path, other, says):
    states, model = StateFolder(tmp_path), other()
    states.write(1, {}, read_variables(dense(3)))
    before = read_variables(model)
    with pytest.raises(StateError, match=says):
        assign_variables(model, states.newest(), "model", "optimizer")
    for name, values in read_variables(model).items():
        np.testing.assert_array_equal(values, before[name])
