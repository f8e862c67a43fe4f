"""A very small model and batches of random pairs for it."""

import keras
import numpy as np
import pytest

from keras_transformer import Perplexity, TokenAccuracy, TokenCrossEntropy, Transformer

V, PAIRS, S, T = 13, 12, 5, 7


def make_pairs():
    """Ids of 12 pairs, padded, and how many of the labels are real."""
    generator = np.random.default_rng(7)
    source, target = (generator.integers(3, V, (PAIRS, n)).astype("int32") for n in (S, T + 1))
    target[:, 0] = 1
    for row in range(PAIRS):
        source[row, 2 + row % 4 :] = 0
        target[row, 2 + row % 6 :] = 0
    labels = target[:, 1:]
    return {"source": source, "target": target[:, :-1]}, labels, int((labels != 0).sum())


@pytest.fixture
def pairs():
    return make_pairs()


def small_model(optimizer=None, dtype="float32", jit_compile=False, dropout_rate=0.0):
    """A compiled model; the same weights every time."""
    keras.utils.set_random_seed(5)
    sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 11}
    model = Transformer(V, **sizes, dropout_rate=dropout_rate, dtype=dtype)
    model.build()
    model.compile(
        optimizer or keras.optimizers.SGD(0.1),
        loss=TokenCrossEntropy(),
        metrics=[TokenAccuracy(), Perplexity()],
        jit_compile=jit_compile,
    )
    return model


@pytest.fixture
def make_model():
    """Makes a compiled model; the same weights every time."""
    return small_model


@pytest.fixture(scope="session")
def traced_once():
    """A model whose step is traced for many tests, and the values that it starts from."""
    model = small_model()
    return model, [
        np.array(variable) for variable in (*model.variables, *model.optimizer.variables)
    ]


@pytest.fixture
def model(traced_once):
    """A model as `make_model()` returns it, reset to its first state: its step is traced once."""
    model, start = traced_once
    keras.utils.set_random_seed(5)
    variables = (*model.variables, *model.optimizer.variables)
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    return model
