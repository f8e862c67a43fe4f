"""A small model with random weights, sharp enough to write sentences of different lengths."""

import keras
import numpy as np
import pytest

from keras_transformer import Tokenizer, Transformer, Translator
from keras_transformer.translation import batch_shapes
from tests.conftest import searches_without_xla

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "red", "cat", "dog", "street"]
LIMIT = 13
BYTES = slice(4, 260)  # ids that are no words


def sentences(count, seed, longest=15):
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, generator.integers(1, longest))) for _ in range(count)]


def make_model(vocabulary_size, seed=13, like_eos=2, seldom=slice(0), **changes):
    """Weights are random and large, so that what is written depends on what is read.

    `like_eos` is a token that is nearly as probable as the end, `seldom` are improbable ones.
    """
    keras.utils.set_random_seed(3)
    sizes = {"num_layers": 1, "d_model": 12, "num_heads": 3, "d_ff": 17, "dropout_rate": 0.1}
    model = Transformer(vocabulary_size, **{**sizes, **changes})
    model.build()
    generator = np.random.default_rng(seed)
    weights = [w + generator.normal(0, 0.5, w.shape).astype(w.dtype) for w in model.get_weights()]
    for table in weights:
        if table.shape[0] == vocabulary_size:
            table[seldom] *= 0.3
            table[2] = 1.1 * table[like_eos]  # so that sentences end
    model.set_weights(weights)
    return model


def save_run(folder):
    """Saves a run whose sentences mostly end, and returns its folder."""
    tokenizer = Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")
    model = make_model(307, seed=20, like_eos=285, seldom=BYTES)
    Translator(model, tokenizer, max_source_length=29).save(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer():
    return Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")


@pytest.fixture(scope="session")
def translator(tokenizer):
    """Seldom writes bytes, mostly ends its sentences, now and then repeats itself for ever."""
    model = make_model(tokenizer.vocabulary_size(), seed=20, like_eos=285, seldom=BYTES)
    with searches_without_xla():
        return Translator(model, tokenizer, max_source_length=LIMIT)


@pytest.fixture(scope="session")
def texts():
    """Of 2 to 15 tokens: some are longer than `LIMIT`."""
    return sentences(19, seed=2, longest=11)


@pytest.fixture(scope="module")
def one_size():
    """Every batch has 32 places, so that few shapes are compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_shapes, "BATCHES", (32,))
        yield


def next_log_probs(model, source, tokens):
    """Log-probabilities, (T + 1, V), of what may follow every beginning of a target.

    Of one sentence, without batch, padding, cache or compilation.
    """
    memory = model.encode(np.array([source], "int32"))
    logits = model.decode(np.array([[1, *tokens]], "int32"), memory)
    logits = np.asarray(logits)[0].astype("float64")
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def forced(model, source, tokens):
    """The log-probabilities of given tokens."""
    table = next_log_probs(model, source, tokens[:-1])
    return [row[token] for row, token in zip(table, tokens, strict=True)]
