"""A small model with random weights, sharp enough to write sentences of different lengths."""

import keras
import numpy as np
import pytest

from keras_transformer import Tokenizer, Transformer, Translator

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "red", "cat", "dog", "street"]
LIMIT = 23


def sentences(count, seed, longest=15):
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(1, longest))) for _ in range(count)]


def make_model(vocabulary_size, seed=13, like_eos=2, **changes):
    """Weights are random and large, so that what is written depends on what is read."""
    keras.utils.set_random_seed(3)
    sizes = {"num_layers": 1, "d_model": 12, "num_heads": 3, "d_ff": 17, "dropout_rate": 0.1}
    model = Transformer(vocabulary_size, **{**sizes, **changes})
    model.build()
    generator = np.random.default_rng(seed)
    weights = [w + generator.normal(0, 0.5, w.shape).astype(w.dtype) for w in model.get_weights()]
    for table in weights:
        if table.shape[0] == vocabulary_size:
            table[2] = 1.1 * table[like_eos]  # so that sentences end
    model.set_weights(weights)
    return model


@pytest.fixture(scope="session")
def tokenizer():
    return Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")


@pytest.fixture(scope="session")
def translator(tokenizer):
    model = make_model(tokenizer.vocabulary_size(), like_eos=163)
    return Translator(model, tokenizer, max_source_length=LIMIT)


@pytest.fixture
def texts():
    return sentences(19, seed=2)
