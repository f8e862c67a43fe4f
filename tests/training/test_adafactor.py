"""Adafactor against the paper's algorithm in NumPy, and against what must hold of it."""

import json

import keras
import numpy as np
import pytest

import keras_transformer as kt
from tests.conftest import QUICK_TO_COMPILE, run_python
from tests.training.adafactor_run import problem, run

TWO_DEVICES = "--xla_force_host_platform_device_count=2"


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


def relative_step(t):
    return min(1e-2, 1 / np.sqrt(t))


def reference(starts, gradients, rho=relative_step, first=1):
    """Algorithms 4 and 5 of the paper in float64, with sums as there, not means."""
    found = {}
    for name, start in starts.items():
        x, values = start.astype("float64"), []
        R = C = V = 0.0
        for t, G in enumerate(gradients[name].astype("float64"), start=first):
            beta = 1 - t**-0.8
            squares = G**2 + 1e-30
            if x.ndim >= 2:
                R = beta * R + (1 - beta) * squares.sum(-1, keepdims=True)
                C = beta * C + (1 - beta) * squares.sum(-2, keepdims=True)
                V = R * C / R.sum(-2, keepdims=True)
            else:
                V = beta * V + (1 - beta) * squares
            U = G / np.sqrt(V)
            x = x - max(1e-3, rms(x)) * rho(t) * U / max(1, rms(U))
            values.append(x)
        found[name] = np.array(values)
    return found


def assert_same(found, wanted, tolerance=1e-6):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=tolerance, err_msg=name)


def elsewhere(folder, what, backend):
    """Runs `tests/training/adafactor_run.py`, on JAX with two devices."""
    run_python(
        *("-m", "tests.training.adafactor_run", str(folder), what),
        KERAS_BACKEND=backend,
        XLA_FLAGS=f"{QUICK_TO_COMPILE} {TWO_DEVICES if backend == 'jax' else ''}",
    )


@pytest.fixture(scope="module")
def wanted():
    return reference(*problem())


@pytest.fixture(scope="module")
def found():
    return run(kt.Adafactor(), *problem())


def test_a_hundred_steps_are_the_papers(found, wanted):
    assert_same(found, wanted)


def test_uncompiled_too(wanted):
    found = run(kt.Adafactor(), *problem(steps=7), compiled=False)
    assert_same(found, {name: values[:7] for name, values in wanted.items()})


@pytest.mark.slow
def test_on_jax_too(wanted, tmp_path):
    elsewhere(tmp_path, "steps", "jax")
    assert_same(dict(np.load(tmp_path / "steps.npz")), wanted)


def test_no_step_is_longer_than_its_bound(found):
    """Many are exactly as long: their update was clipped."""
    starts, _ = problem()
    ratios = []
    for name, start in starts.items():
        before = np.concatenate([start[None], found[name][:-1]]).astype("float64")
        for old, new in zip(before, found[name], strict=True):
            ratios.append(rms(new - old) / (0.01 * max(1e-3, rms(old))))
    assert max(ratios) < 1 + 1e-4
    assert 0.1 < np.mean(np.array(ratios) > 1 - 1e-4) < 0.9


def only(start, gradients):
    """Starts and gradients of one variable."""
    return {"x": np.array(start, "float32")}, {"x": np.array(gradients, "float32")}


@pytest.fixture
def rank_one():
    """A matrix, and a gradient that is a column times a row."""
    generator = np.random.default_rng(5)
    column, row = generator.normal(size=7), generator.normal(size=11)
    return generator.normal(size=(7, 11)), np.outer(column, row)


def test_the_first_update_by_a_gradient_of_rank_one_is_its_sign(rank_one):
    start, gradient = rank_one
    moved = run(kt.Adafactor(), *only(start, [gradient]))["x"][0] - start
    np.testing.assert_allclose(moved, -0.01 * rms(start) * np.sign(gradient), atol=1e-6)


@pytest.mark.parametrize(
    ("learning_rate", "before", "size"),
    [
        (None, 0, 0.01),
        (None, 9_999, 0.01),
        (None, 39_999, 0.005),
        (0.3, 0, 0.3),
        (0.3, 39_999, 0.3),
        (kt.WarmupSchedule(4, warmup_steps=100), 24, 0.5 * 25 * 100**-1.5),
    ],
)
def test_the_relative_size_of_a_step(learning_rate, before, size, rank_one):
    start, gradient = rank_one
    optimizer = kt.Adafactor(learning_rate)
    optimizer.iterations.assign(before)
    np.testing.assert_allclose(float(optimizer.learning_rate), size, rtol=1e-6)
    moved = run(optimizer, *only(start, [gradient]))["x"][0] - start
    np.testing.assert_allclose(moved, -size * rms(start) * np.sign(gradient), atol=2e-6)


@pytest.mark.slow
def test_far_into_a_training_steps_are_the_papers():
    optimizer = kt.Adafactor()
    optimizer.iterations.assign(99_999)
    found = run(optimizer, *problem(steps=11))
    assert_same(found, reference(*problem(steps=11), first=100_000))


def test_rows_and_columns_have_the_sums_of_the_full_average():
    generator = np.random.default_rng(11)
    gradients = generator.normal(size=(5, 3, 7, 2))
    optimizer = kt.Adafactor()
    run(optimizer, *only(np.ones((3, 7, 2)), gradients))
    full = 0.0
    for t, gradient in enumerate(gradients, start=1):
        full = (1 - t**-0.8) * full + t**-0.8 * gradient**2
    rows, columns = (variable.numpy() for variable in optimizer.variables[1:])
    V = rows[:, :, None] * columns[:, None] / rows.mean(-1)[:, None, None]
    np.testing.assert_allclose(V.sum(-1), full.sum(-1), rtol=1e-5)
    np.testing.assert_allclose(V.sum(-2), full.sum(-2), rtol=1e-5)


@pytest.mark.slow
def test_the_size_of_gradients_does_not_matter(found):
    starts, gradients = problem()
    larger = {name: 1000 * values for name, values in gradients.items()}
    assert_same(run(kt.Adafactor(), starts, larger), found, 1e-5)


def test_a_larger_variable_takes_larger_steps():
    """A loss of `x / 8` in place of `x`: 8 times `x`, an 8th of its gradient."""
    starts, gradients = problem(steps=7)
    names = ("matrix", "stack", "vector", "scalar")  # zeros have no scale of their own
    starts, gradients = ({name: of[name] for name in names} for of in (starts, gradients))
    plain = run(kt.Adafactor(), starts, gradients, compiled=False)
    larger = run(
        kt.Adafactor(),
        {name: 8 * start for name, start in starts.items()},
        {name: values / 8 for name, values in gradients.items()},
        compiled=False,
    )
    for name, values in plain.items():
        np.testing.assert_allclose(larger[name], 8 * values, rtol=1e-4, atol=1e-6)


def test_rows_without_gradient_stay_beside_others_with_very_large_ones():
    gradient = np.zeros((3, 5, 7))
    gradient[1, 2] = 1e12
    found = run(kt.Adafactor(), *only(np.ones((3, 5, 7)), [gradient] * 3))["x"]
    assert np.isfinite(found).all()
    moved = np.zeros((3, 5, 7), bool)
    moved[1, 2] = True
    np.testing.assert_array_equal(found[-1] != 1, moved)


@pytest.mark.parametrize(
    ("shape", "numbers"),
    [
        ((), 1),
        ((1009,), 1009),
        ((101, 211), 101 + 211),
        ((1, 211), 1 + 211),
        ((3, 101, 211), 3 * (101 + 211)),
        ((2, 3, 17, 19), 2 * 3 * (17 + 19)),
    ],
)
def test_the_state_is_rows_and_columns(shape, numbers):
    optimizer = kt.Adafactor()
    optimizer.build([keras.Variable(np.zeros(shape, "float32"))])
    state = optimizer.variables[1:]  # the first counts steps
    assert sum(variable.numpy().nbytes for variable in state) == 4 * numbers


def test_a_models_state_is_small(make_model):
    """In a model whose weights are float32, though it computes in bfloat16."""
    model = make_model(kt.Adafactor(), dtype="mixed_bfloat16")
    model.optimizer.build(model.trainable_variables)
    shapes = [variable.shape for variable in model.trainable_variables]
    sizes = [
        np.prod(shape[:-2]) * sum(shape[-2:]) if len(shape) > 1 else np.prod(shape)
        for shape in shapes
    ]
    state = [variable.numpy() for variable in model.optimizer.variables[1:]]
    assert sum(values.nbytes for values in state) == 4 * sum(sizes)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


def test_bfloat16_variables_have_a_float32_state():
    """In which small changes are not lost: it is the average that it is elsewhere."""
    starts, gradients = problem(steps=11)
    optimizer = kt.Adafactor()
    variables = [keras.Variable(start, dtype="bfloat16") for start in starts.values()]
    for now in zip(*gradients.values(), strict=True):
        now = [keras.ops.cast(gradient, "bfloat16") for gradient in now]
        optimizer.apply(now, variables)
    assert {variable.dtype for variable in optimizer.variables[1:]} == {"float32"}
    for variable, values in zip(variables, reference(starts, gradients).values(), strict=True):
        assert variable.dtype == "bfloat16"
        found = keras.ops.convert_to_numpy(keras.ops.cast(variable, "float32"))
        np.testing.assert_allclose(found, values[-1], rtol=0.03, atol=3e-4)


@pytest.mark.parametrize("option", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_gradients_are_clipped_first(option):
    starts, gradients = problem(steps=7)
    clipped = {name: [] for name in starts}
    for now in zip(*gradients.values(), strict=True):
        whole = np.sqrt(sum(np.sum(gradient**2) for gradient in now))
        for name, gradient in zip(starts, now, strict=True):
            norm = whole if option == "global_clipnorm" else np.linalg.norm(gradient)
            values = gradient * min(1, 0.7 / norm)
            clipped[name].append(np.clip(gradient, -0.7, 0.7) if option == "clipvalue" else values)
    clipped = {name: np.array(values) for name, values in clipped.items()}
    found = run(kt.Adafactor(**{option: 0.7}), starts, gradients, compiled=False)
    assert_same(found, reference(starts, clipped))


def test_steps_that_keras_accumulates_count_as_one():
    """The average starts afresh at the first real step, whose number is 1."""
    starts, gradients = problem(steps=6)
    means = {
        name: values.reshape(2, 3, *values.shape[1:]).mean(1) for name, values in gradients.items()
    }
    optimizer = kt.Adafactor(gradient_accumulation_steps=3)
    found = run(optimizer, starts, gradients, compiled=False)
    wanted = reference(starts, means)
    assert_same({name: values[2::3] for name, values in found.items()}, wanted)


def test_a_sparse_gradient_is_the_dense_one():
    """Of a table of which a batch reads some rows, one of them twice."""
    import tensorflow as tf

    generator = np.random.default_rng(13)
    rows, values = np.array([1, 1, 5]), generator.normal(size=(3, 3)).astype("float32")
    dense = np.zeros((7, 3), "float32")
    np.add.at(dense, rows, values)
    tables = [keras.Variable(np.ones((7, 3), "float32")) for _ in range(2)]
    kt.Adafactor().apply([tf.IndexedSlices(values, rows, (7, 3))], tables[:1])
    kt.Adafactor().apply([tf.constant(dense)], tables[1:])
    np.testing.assert_allclose(*(table.numpy() for table in tables), atol=1e-6)


OPTIONS = {"beta_2_decay": -0.7, "epsilon_1": 1e-6, "epsilon_2": 1e-2, "clip_threshold": 0.5}


@pytest.mark.parametrize("learning_rate", [None, 0.25, kt.WarmupSchedule(17, 19)])
def test_it_comes_back_from_its_configuration(learning_rate):
    optimizer = kt.Adafactor(learning_rate, **OPTIONS, clipnorm=3.0)
    config = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    again = keras.optimizers.deserialize(config)
    assert again.get_config() == optimizer.get_config()
    assert OPTIONS.items() <= again.get_config().items()
    assert again.clipnorm == 3.0
    assert float(again.learning_rate) == float(optimizer.learning_rate)


def test_each_option_changes_steps():
    starts, gradients = problem(steps=3)
    plain = run(kt.Adafactor(), starts, gradients, compiled=False)
    for name, value in OPTIONS.items():
        other = run(kt.Adafactor(**{name: value}), starts, gradients, compiled=False)
        assert any(np.abs(other[x] - plain[x]).max() > 1e-6 for x in plain), name


@pytest.mark.slow
@pytest.mark.parametrize("how", ["jit_compile"])
def test_a_saved_model_goes_on_with_its_optimizer(how, make_model, pairs, tmp_path):
    inputs, labels, _ = pairs
    model = make_model()
    model.compile(kt.Adafactor(clipnorm=0.1), kt.TokenCrossEntropy(), **{how: True})
    model.fit(inputs, labels, batch_size=6, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, kt.Adafactor)
    assert getattr(loaded, how) is True
    for one in (model, loaded):
        one.fit(inputs, labels, batch_size=6, shuffle=False, verbose=0)
    assert int(loaded.optimizer.iterations) == 4
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_an_interrupted_training_goes_on_bit_for_bit(backend, tmp_path):
    elsewhere(tmp_path, "resumed", backend)
    start, once, again = (np.load(tmp_path / f"{n}.npz") for n in ("start", "once", "again"))
    assert once.files == again.files == start.files
    for name in once.files:
        np.testing.assert_array_equal(again[name], once[name], err_msg=name)
    slots = [name for name in once.files if name.startswith("optimizer/")]
    assert len(slots) > 40
    assert all(np.any(once[name] != start[name]) for name in slots)


@pytest.mark.slow
def test_micro_batches_give_what_the_batch_gives(make_model, pairs):
    inputs, labels, _ = pairs
    weights = []
    for N in (1, 3):
        model = make_model()
        optimizer = kt.Adafactor(0.1, epsilon_1=1e-6)
        model.compile(optimizer, kt.TokenCrossEntropy(), accumulate_steps=N, run_eagerly=True)
        model.fit(inputs, labels, batch_size=6, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_devices_change_nothing(backend, tmp_path):
    elsewhere(tmp_path, "devices", backend)
    wanted, facts = (np.load(tmp_path / "one-1.npz"), (tmp_path / "one-1.json").read_text())
    assert json.loads(facts)["moved"] > 0.01
    for case in ("two-1", "two-4"):
        assert json.loads((tmp_path / f"{case}.json").read_text())["devices"].startswith("2 ")
        found = np.load(tmp_path / f"{case}.npz")
        for name in wanted.files:
            np.testing.assert_allclose(found[name], wanted[name], atol=1e-5)
