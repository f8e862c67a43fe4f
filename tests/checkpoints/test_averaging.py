import keras
import numpy as np
import pytest

from keras_transformer import average_checkpoints
from tests.training.conftest import make_pairs, small_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained model, and the files and weights of its three epochs."""
    inputs, labels, _ = make_pairs()
    model, folder = small_model(keras.optimizers.Adam(0.01)), tmp_path_factory.mktemp("epochs")
    paths, weights = [], []
    for epoch in range(3):
        model.fit(inputs, labels, batch_size=5, verbose=0)
        paths.append(folder / f"{epoch}.weights.h5")
        model.save_weights(paths[-1])
        weights.append(model.get_weights())
    return model, paths, weights


@pytest.fixture
def checkpoints(trained):
    """The same, with the weights that the model had at the end of its training."""
    model, _, weights = trained
    model.set_weights(weights[-1])
    return trained


def test_it_is_the_mean_of_the_weights(checkpoints):
    model, paths, weights = checkpoints
    average_checkpoints(model, paths)
    for averaged, *each in zip(model.get_weights(), *weights, strict=True):
        exact = np.mean(np.asarray(each, "float64"), axis=0).astype("float32")
        np.testing.assert_array_equal(averaged, exact)


@pytest.mark.slow
def test_one_checkpoint_is_its_own_average(checkpoints):
    model, paths, weights = checkpoints
    for same in (paths[:1], paths[:1] * 7):
        average_checkpoints(model, same)
        for averaged, own in zip(model.get_weights(), weights[0], strict=True):
            np.testing.assert_array_equal(averaged, own)


def test_the_optimizer_is_left_alone(checkpoints):
    model, paths, _ = checkpoints
    optimizer = model.optimizer
    before = [np.array(variable) for variable in optimizer.variables]
    average_checkpoints(model, paths[:2])
    assert model.optimizer is optimizer
    assert len(before) > 3
    for old, variable in zip(before, optimizer.variables, strict=True):
        np.testing.assert_array_equal(old, variable)


def test_the_optimizer_comes_back_when_a_file_is_missing(checkpoints, tmp_path):
    model, _, _ = checkpoints
    optimizer = model.optimizer
    with pytest.raises(OSError, match="missing"):
        average_checkpoints(model, [tmp_path / "missing.weights.h5"])
    assert model.optimizer is optimizer


def test_training_goes_on_after_it(checkpoints, pairs):
    model, paths, _ = checkpoints
    average_checkpoints(model, paths)
    steps = int(model.optimizer.iterations)
    model.fit(pairs[0], pairs[1], batch_size=5, verbose=0)
    assert int(model.optimizer.iterations) == steps + 3


def test_a_model_that_was_never_compiled_is_filled_too(checkpoints):
    model, paths, weights = checkpoints
    fresh = type(model).from_config(model.get_config())
    fresh.build()
    average_checkpoints(fresh, paths[2:])
    np.testing.assert_array_equal(fresh.get_weights()[0], weights[2][0])


def test_there_is_something_to_average(make_model):
    with pytest.raises(ValueError, match=r"Expected at least one path\.$"):
        average_checkpoints(make_model(), [])
