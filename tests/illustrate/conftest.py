"""A small translator with random weights, whose tokenizer writes what it does not know as bytes."""

import numpy as np
import pytest

from keras_transformer import Tokenizer, Translator
from keras_transformer.illustrate import Attention, extraction
from tests.conftest import searches_without_xla
from tests.translation.conftest import BYTES, make_model

LINES = ["one two three", "four five", "six seven one", "two two two two", "seven six"]


@pytest.fixture(scope="session", autouse=True)
def short():
    """Translations may be four tokens longer than their source: some end, some are cut off."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "EXTRA_LENGTH", 4)
        yield


@pytest.fixture(scope="session")
def translator():
    tokenizer = Tokenizer.train(LINES, 277, model_type="bpe")
    model = make_model(277, seed=24, like_eos=266, seldom=BYTES, num_layers=2)
    with searches_without_xla():
        return Translator(model, tokenizer, max_source_length=16, about={"seed": 5})


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def random_attention(layers, heads, source, written, decoder_layers=None, seed=0):
    """Scores as a model would give them: after a softmax, the decoder's causal."""
    generator = np.random.default_rng(seed)
    S, T = len(source), len(written)

    def scores(count, *sizes):
        return softmax(generator.normal(0, 2, (count, heads, *sizes)))

    decoder_layers = decoder_layers or layers
    own = generator.normal(0, 2, (decoder_layers, heads, T, T))
    return Attention(
        source=source,
        written=written,
        read=["<s>", *written[:-1]],
        encoder=scores(layers, S, S),
        decoder=softmax(np.where(np.tri(T, dtype=bool), own, -np.inf)),
        cross=scores(decoder_layers, T, S),
    )


@pytest.fixture(scope="session")
def attention():
    """Two encoder and three decoder layers, five heads, seven and four tokens."""
    source = ["The", "cat", "did", "n't", "sleep", ".", "</s>"]
    written = ["Le", "chat", "veille", "</s>"]
    return random_attention(2, 5, source, written, decoder_layers=3)
