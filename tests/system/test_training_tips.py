"""What Popel and Bojar, 2018, advise (https://arxiv.org/abs/1804.00247), in small experiments.

The task is that of `test_digit_reversal`: rows of digits turned round.
"""

import keras
import numpy as np
import pytest

from keras_transformer import Adafactor, TokenCrossEntropy, WarmupSchedule
from tests.system.test_digit_reversal import (
    BATCH,
    STEPS,
    WARMUP,
    exact_match,
    make_model,
    reversed_digits,
)

pytestmark = pytest.mark.slow


def learn(optimizer, kept=lambda lengths: lengths > 0):
    """Trains on the rows whose numbers of tokens are kept; returns the model."""
    model = make_model()
    model.compile(optimizer, loss=TokenCrossEntropy(label_smoothing=0.0), jit_compile=True)
    inputs, labels = reversed_digits(3 * BATCH * STEPS, seed=2)
    rows = np.flatnonzero(kept((labels != 0).sum(axis=1)))[: BATCH * STEPS]
    assert len(rows) == BATCH * STEPS
    inputs = {name: ids[rows] for name, ids in inputs.items()}
    model.fit(inputs, labels[rows], batch_size=BATCH, shuffle=False, verbose=0)
    return model


def adam(rate):
    return keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.98, epsilon=1e-9)


@pytest.fixture
def schedule():
    return WarmupSchedule(make_model().d_model, WARMUP)


def test_without_warm_up_the_rate_that_learns_does_not(schedule):
    """With it, a model does, in `test_digit_reversal.py`."""
    peak = float(schedule(WARMUP - 1))
    share = exact_match(learn(adam(peak)))
    print(f"exact match without warm-up: {share:.3f}")
    assert share < 0.5


def test_adafactor_needs_no_warm_up():
    share = exact_match(learn(Adafactor()))
    print(f"exact match: {share:.3f}")
    assert share > 0.9


def test_what_is_longer_than_all_that_was_trained_on_is_not_learnt(schedule):
    """`max_length` filters what is trained on: too low a cap, and long outputs are never right."""
    model = learn(adam(schedule), kept=lambda lengths: lengths <= 5)
    _, labels = reversed_digits(256, seed=3)
    long = (labels != 0).sum(axis=1) > 5
    short_share, long_share = (exact_match(model, rows) for rows in (~long, long))
    print(f"exact match: up to 4 digits {short_share:.3f}, 5 and 6 digits {long_share:.3f}")
    assert short_share > 0.95
    assert long_share < 0.05
