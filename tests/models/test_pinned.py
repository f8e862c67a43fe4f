"""Seeded initial weights, their logits and a few training steps, as they have always been.

A layer more that draws random numbers, or layers made in another order, would change the weights of
every seeded run; another order of operations would change its digits.
"""

import hashlib

import keras
import numpy as np
import pytest

import keras_transformer as kt

IDS = {
    "source": np.array([[4, 9, 5, 2, 0], [7, 3, 11, 6, 2]]),
    "target": np.array([[1, 8, 12], [1, 5, 0]]),
}
LABELS = np.array([[8, 12, 2], [5, 2, 0]])
SIZES = {"num_layers": 2, "d_model": 14, "num_heads": 7, "d_ff": 17}
OPTIONS = {"norm": "pre", "positions": "learned", "max_length": 37, "use_bias": True}
OPTIONS |= {"target_vocabulary_size": 31, "num_decoder_layers": 3, "dropout_rate": 0.0}


def model(**options):
    keras.utils.set_random_seed(7)
    model = kt.Transformer(23, **SIZES, **options)
    model.build()
    return model


def digest(weights):
    return hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "weights", "logits", "losses"),
    [
        (
            {},
            "30ae91f045d05e639fe77ccf219afdb502cc32fa7c1b4a20dd66f408eed3cc58",
            [-0.7380325198173523, -1.1943601369857788, -0.25777867436408997, 0.7326948046684265],
            [2.790557861328125, 1.819523572921753, 1.6222225427627563],
        ),
        (
            OPTIONS,
            "52f5703f99ad56126534d263d3694dce5b2b4240bd21ea5a1b57637a69f1ba1d",
            [-0.7483091950416565, -0.06822913885116577, 0.3536265790462494, 1.487015724182129],
            [3.2880663871765137, 2.1743016242980957, 1.8236668109893799],
        ),
    ],
    ids=["paper", "other options"],
)
def test_nothing_has_moved(options, weights, logits, losses):
    pinned = model(**options)
    assert digest(pinned.get_weights()) == weights
    np.testing.assert_allclose(pinned(IDS)[1, 1, :4], logits, rtol=0, atol=2e-6)
    pinned.compile(keras.optimizers.SGD(0.1), kt.TokenCrossEntropy())
    history = pinned.fit(IDS, LABELS, epochs=3, verbose=0)
    np.testing.assert_allclose(history.history["loss"], losses, rtol=0, atol=1e-5)
