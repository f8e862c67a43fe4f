"""Loss, metrics, schedule and model together, in `compile` and `fit`."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import Dropout
from tests.training.conftest import make_pairs, small_model


def one_step(model, pairs):
    inputs, labels, _ = pairs
    history = model.fit(inputs, labels, batch_size=12, verbose=0).history
    return history["loss"][0], model.get_weights()


@pytest.fixture(scope="module")
def plain():
    """Loss and weights of a step that others are compared with."""
    return one_step(small_model(), make_pairs())


def test_dropout_drops_the_share_it_says_and_scales_up_the_rest():
    ones = np.ones((101, 103), "float32")
    dropped = ops.convert_to_numpy(Dropout(0.3, seed=1)(ones, training=True))
    values, counts = np.unique(dropped, return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.7], rtol=1e-6)
    spread = (0.3 * 0.7 / ones.size) ** 0.5
    assert abs(counts[0] / ones.size - 0.3) < 4 * spread
    rows, columns = (dropped == 0).mean(0), (dropped == 0).mean(1)
    assert max(rows.std(), columns.std()) < 0.07  # 0.046 where places are independent


def test_dropout_is_another_at_every_call_and_none_outside_training():
    layer, ones = Dropout(0.5, seed=1), np.ones((7, 11), "float32")
    first, second = (ops.convert_to_numpy(layer(ones, training=True)) for _ in range(2))
    assert 0.3 < (first != second).mean() < 0.7
    np.testing.assert_array_equal(layer(ones), ones)


@pytest.mark.slow
def test_dropout_is_another_at_every_step_of_a_compiled_fit(make_model, pairs):
    """The same batch twice at rate 0: only the dropped places can make the losses differ."""
    inputs, labels, _ = pairs
    losses = {}
    for rate in (0.0, 0.5):
        model = make_model(keras.optimizers.SGD(0.0), jit_compile=rate > 0, dropout_rate=rate)
        history = model.fit(inputs, labels, batch_size=12, epochs=3, shuffle=False, verbose=0)
        losses[rate] = history.history["loss"]
    assert len(set(losses[0.0])) == 1
    assert len(set(losses[0.5])) == 3


@pytest.mark.slow
def test_a_step_by_xla_is_the_step_without(plain, make_model, pairs):
    by_xla = one_step(make_model(jit_compile=True), pairs)
    assert by_xla[0] == pytest.approx(plain[0], rel=1e-5)
    for one, other in zip(plain[1], by_xla[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_the_loss_does_not_depend_on_more_padding(plain, make_model, pairs):
    inputs, labels, real = pairs
    longer = {name: np.pad(ids, ((0, 0), (0, 6))) for name, ids in inputs.items()}
    padded = one_step(make_model(), (longer, np.pad(labels, ((0, 0), (0, 6))), real))
    assert padded[0] == pytest.approx(plain[0], rel=1e-5)
    for one, other in zip(plain[1], padded[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_a_step_in_half_precision_is_finite_and_near(plain, make_model, pairs):
    half = one_step(make_model(dtype="mixed_bfloat16"), pairs)
    assert half[0] == pytest.approx(plain[0], rel=0.03)
    assert all(np.isfinite(values).all() for values in half[1])
    assert {values.dtype.name for values in half[1]} == {"float32"}


def test_a_batch_of_padding_alone_changes_no_weight(model, pairs):
    inputs, labels, _ = pairs
    before = model.get_weights()
    nothing = {name: np.zeros_like(ids) for name, ids in inputs.items()}
    loss, after = one_step(model, (nothing, np.zeros_like(labels), 0))
    assert loss == 0
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
