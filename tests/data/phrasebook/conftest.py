"""The corpus, generated once, and its words by a reading of our own."""

import re

import pytest

from keras_transformer.data.phrasebook import phrasebook

ENGLISH = re.compile(r"[a-z]+(?:'[a-z]+)?")
FRENCH = re.compile(r"aujourd'hui|[a-zàâçéèêëîïôûùœ-]+'?")


@pytest.fixture(scope="session")
def corpus():
    return phrasebook(seed=0)


@pytest.fixture(scope="session")
def words():
    """Returns the distinct words of a sentence, `english` or `french`."""
    patterns = {"english": ENGLISH, "french": FRENCH}
    return lambda language, text: patterns[language].findall(text.lower())


@pytest.fixture(scope="session")
def every_pair(corpus):
    return [*corpus.train, *corpus.validation, *corpus.held_out["everyday"],
            *corpus.held_out["coreference"]]  # fmt: skip
