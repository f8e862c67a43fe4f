"""Small tokenizers that the tests of this folder share."""

import pytest

from keras_transformer.text import Tokenizer

SENTENCES = [
    "the cat sat on the mat",
    "the dog ran away quickly",
    "die Straße ist breit, der Hund müde",
    "le chat n'a pas traversé la rue",
    "hello world, hello again",
]


@pytest.fixture(scope="session", params=["unigram", "bpe", "identity"])
def tokenizer(request):
    """A tokenizer of each kind in turn, 293 ids."""
    if request.param == "identity":
        return Tokenizer.train(SENTENCES, 293, model_type="bpe", normalization="identity")
    return Tokenizer.train(SENTENCES, 293, model_type=request.param)


@pytest.fixture(scope="session")
def bpe():
    return Tokenizer.train(SENTENCES, 293, model_type="bpe")
