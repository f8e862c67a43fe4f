"""Small models that the tests of this folder share, with random weights; none trains them."""

import numpy as np
import pytest

from keras_transformer.models import Transformer
from tests.weights import randomize

V = 23
SIZES = {"num_layers": 2, "d_model": 14, "num_heads": 7, "d_ff": 17}
SOURCE = np.array(
    [[9, 4, 13, 22, 7, 3, 2], [5, 5, 2, 0, 0, 0, 0], [11, 8, 19, 4, 2, 0, 0]], "int32"
)
TARGET = np.array([[1, 14, 7, 3, 21], [1, 6, 0, 0, 0], [1, 17, 9, 0, 0]], "int32")


def make_model(vocabulary_size=V, **options):
    model = Transformer(vocabulary_size, **{**SIZES, **options})
    model.build()
    return randomize(model)


KINDS = {
    "post": {},
    "pre": {"norm": "pre", "positions": "t2t"},
    "two vocabularies": {"target_vocabulary_size": 31, "positions": "learned", "max_length": 37},
}


@pytest.fixture(scope="session")
def models():
    return {name: make_model(**options) for name, options in KINDS.items()}


@pytest.fixture(params=KINDS)
def model(request, models):
    """Every kind of model in turn."""
    return models[request.param]


@pytest.fixture
def ids():
    """Three pairs of different lengths, filled up with padding."""
    return {"source": SOURCE, "target": TARGET}
