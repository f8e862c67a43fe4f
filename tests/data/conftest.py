"""A small generated corpus with its tokenizer and cache, which the tests of this folder share."""

import random

import pytest

from keras_transformer.data import InMemoryCorpus, PairFilter, TokenCache
from keras_transformer.text import Tokenizer

WORDS = (
    "the",
    "cat",
    "dog",
    "street",
    "was",
    "too",
    "tired",
    "wide",
    "not",
    "because",
    "it",
    "ran",
)
PAIRS = 1009


def generated_pairs(count: int = PAIRS, seed: int = 7) -> list[tuple[str, str]]:
    """Pairs of all lengths; each starts with its number, so that they are distinct."""
    generator = random.Random(seed)
    pairs = []
    for number in range(count):
        length = min(1 + int(generator.expovariate(1 / 9)), 53)
        source = " ".join([str(number), *generator.choices(WORDS, k=length)])
        extra = generator.randint(0, 5)
        target = " ".join([str(number), *generator.choices(WORDS, k=length + extra)])
        pairs.append((source, target))
    return pairs


@pytest.fixture(scope="session")
def pairs():
    return generated_pairs()


@pytest.fixture(scope="session")
def tokenizer(pairs):
    return Tokenizer.train((text for pair in pairs for text in pair), 331, model_type="bpe")


@pytest.fixture(scope="session")
def cache(pairs, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("caches") / "cache"
    return TokenCache.build(InMemoryCorpus(pairs), tokenizer, folder, PairFilter(max_length=257))
