"""Layers, a training and translations in one process on JAX, compared with TensorFlow."""

import numpy as np
import pytest
from keras import ops

from tests.decoding_layers import QUICK
from tests.every_layer import CASES, IDS
from tests.layers.test_decoding_steps import check_saved

pytestmark = pytest.mark.slow  # the process takes a minute


@pytest.mark.parametrize("name", CASES)
def test_every_layer_gives_the_same_on_jax(name, every_layer, on_jax):
    expected = every_layer[name](**CASES[name].arguments)
    np.testing.assert_allclose(
        on_jax.outputs[name], ops.convert_to_numpy(expected), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", QUICK)
def test_decoding_steps_on_jax_equal_the_whole(name, on_jax):
    check_saved(on_jax.decoding, name, "float32")


def test_weights_written_here_are_read_by_jax(every_layer, on_jax):
    expected = every_layer["Transformer"](IDS)
    np.testing.assert_allclose(on_jax.facts["from_weights_file"], expected, atol=1e-5)


def test_on_jax_what_layers_add_to_the_loss_counts(on_jax):
    """Against Keras' own step, which a list of losses takes."""
    ours, keras_own = on_jax.facts["losses_with_penalty"]
    assert ours == pytest.approx(keras_own, rel=1e-5)


def test_jax_builds_fits_and_translates_without_tensorflow(on_jax):
    assert on_jax.facts["backend"] == "jax"
    assert on_jax.facts["loaded"] == ["jax"]
    assert on_jax.facts["losses"][-1] < on_jax.facts["losses"][0]
    assert len(on_jax.facts["translations"]) == 2
