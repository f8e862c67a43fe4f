"""Every public layer goes through the same checks; a layer missing from the table fails here."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from tests.every_layer import CASES


@pytest.fixture(params=CASES)
def name(request):
    """Every layer of the table in turn."""
    return request.param


@pytest.fixture
def layers(every_layer):
    return every_layer


@pytest.fixture(scope="module")
def outputs(every_layer):
    """What every layer of the table returns in eager mode."""
    return {
        name: ops.convert_to_numpy(layer(**tensors(name))) for name, layer in every_layer.items()
    }


def tensors(name):
    return keras.tree.map_structure(ops.convert_to_tensor, CASES[name].arguments)


def functional(layer, arrays):
    """A functional model that is the layer, every size but the last left open."""

    def symbolic(name, array):
        features = array.shape[2:] if array.dtype == "float32" else (None,) * (array.ndim - 2)
        return keras.Input((None, *features), dtype=array.dtype.name, name=name)

    inputs = {name: symbolic(name, array) for name, array in arrays.items()}
    output = layer(inputs) if isinstance(layer, keras.Model) else layer(**inputs)
    return keras.Model(inputs, output)


def policies(layer):
    return {part.path: part.dtype_policy.name for part in layer._flatten_layers()}


def assert_close(actual, expected, tolerance=1e-5):
    actual = ops.convert_to_numpy(ops.cast(actual, "float32"))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_its_config_makes_the_same_layer(name, layers):
    layer = layers[name]
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    again.build(*CASES[name].build)
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]


def test_its_config_holds_every_argument_of_its_constructor(name, layers):
    arguments = set(inspect.signature(type(layers[name])).parameters) - {"args", "kwargs"}
    assert arguments <= set(layers[name].get_config())


def test_build_makes_all_weights_before_the_first_call(name):
    case = CASES[name]
    layer = case.make()
    layer.build(*case.build)
    assert all(part.built for part in layer._flatten_layers())
    before = [variable.path for variable in layer.variables]
    layer(**tensors(name))
    assert [variable.path for variable in layer.variables] == before


def test_the_first_call_builds_the_same_weights(name, layers):
    layer = CASES[name].make()
    layer(**tensors(name))
    assert [w.shape for w in layer.weights] == [w.shape for w in layers[name].weights]


def test_the_shape_of_its_output_follows_from_its_inputs(name, layers, outputs):
    shapes = {key: array.shape for key, array in CASES[name].arguments.items() if key != "inputs"}
    inputs = CASES[name].arguments.get("inputs")
    if inputs is not None:
        first = (
            {k: v.shape for k, v in inputs.items()} if isinstance(inputs, dict) else inputs.shape
        )
    else:
        first = shapes.pop(next(iter(shapes)))
    assert tuple(layers[name].compute_output_shape(first)) == outputs[name].shape


@pytest.mark.slow
def test_a_saved_functional_model_gives_the_same_output(name, layers, outputs, tmp_path):
    arguments = CASES[name].arguments
    arrays = arguments["inputs"] if isinstance(layers[name], keras.Model) else arguments
    functional(layers[name], arrays).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_close(loaded(arrays), outputs[name], tolerance=0)


def test_it_gives_the_same_in_a_graph(name, layers, outputs):
    import tensorflow as tf

    function = tf.function(lambda arguments: layers[name](**arguments), autograph=False)
    assert_close(function(tensors(name)), outputs[name])


@pytest.mark.slow
def test_it_gives_the_same_compiled_by_xla(name, layers, outputs):
    import tensorflow as tf

    function = tf.function(
        lambda arguments: layers[name](**arguments), jit_compile=True, autograph=False
    )
    assert_close(function(tensors(name)), outputs[name])


def test_bfloat16_reaches_every_part_of_it(name, layers, outputs):
    case = CASES[name]
    layer = case.make(dtype="mixed_bfloat16")
    layer.build(*case.build)
    assert set(policies(layer).values()) == {"mixed_bfloat16"}
    assert {weight.dtype for weight in layer.weights} <= {"float32"}
    layer.set_weights(layers[name].get_weights())
    output = layer(**tensors(name))
    expected = "float32" if case.float32_output else "bfloat16"
    assert keras.backend.standardize_dtype(output.dtype) == expected
    scale = np.abs(outputs[name]).max()
    assert_close(output, outputs[name], tolerance=0.05 * scale)
    assert np.abs(ops.convert_to_numpy(ops.cast(output, "float32")) - outputs[name]).max() > 0


def test_float32_is_not_touched_by_a_global_policy(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = CASES[name].make(dtype="float32")
    finally:
        keras.config.set_dtype_policy("float32")
    assert set(policies(layer).values()) == {"float32"}


def test_no_tensor_carries_a_hidden_mask(name, layers, monkeypatch):
    returned = []
    call = keras.layers.Layer.__call__

    def recorded(layer, *args, **kwargs):
        returned.append(call(layer, *args, **kwargs))
        return returned[-1]

    monkeypatch.setattr(keras.layers.Layer, "__call__", recorded)
    layers[name](**tensors(name))
    tensors_seen = [t for t in keras.tree.flatten(returned) if t is not None]
    assert tensors_seen
    assert all(getattr(t, "_keras_mask", None) is None for t in tensors_seen)


@pytest.mark.parametrize("home", ["layers", "models"])
def test_every_public_layer_is_in_the_table(home, layers):
    public = [getattr(getattr(kt, home), public) for public in getattr(kt, home).__all__]
    classes = {c for c in public if inspect.isclass(c) and issubclass(c, keras.layers.Layer)}
    assert classes <= {type(layer) for layer in layers.values()}
