"""The named architectures."""

import keras
import numpy as np

from keras_transformer import Transformer
from keras_transformer.models import create_model

SIZES = {"vocabulary_size": 11, "num_layers": 2, "d_model": 8, "num_heads": 2, "d_ff": 12}


def test_the_transformer_is_that_of_the_constructor():
    """Weight by weight, with the same seed, whatever sizes it has."""
    more = {"positions": "learned", "num_decoder_layers": 1, "target_vocabulary_size": 13}
    models = []
    for make in (lambda **sizes: create_model("transformer", **sizes), Transformer):
        keras.utils.set_random_seed(7)
        models.append(make(**SIZES, **more, name="model"))
        models[-1].build()
    assert models[0].get_config() == models[1].get_config()
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
