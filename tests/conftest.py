"""What several folders share: quiet backends, and one process that runs everything on JAX."""

import contextlib
import dataclasses
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = Path(__file__).parents[1]
QUICK_TO_COMPILE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def pytest_addoption(parser):
    parser.addoption(
        "--quick-to-compile", action="store_true", help="programs that XLA does not optimise"
    )


def pytest_configure(config):
    """Most tests compile for a few steps only: what XLA would optimise is never run long."""
    if config.option.markexpr == "not slow" or config.option.quick_to_compile:
        os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)
    # What a process on JAX compiles is kept for those after it, which have the same layers.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("jax")))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def pytest_collection_modifyitems(items):
    """Leaves out the tests that others stand for, unless the environment asks for all."""
    if os.environ.get("KERAS_TRANSFORMER_ALL_TESTS"):
        return
    for item in items:
        if (mark := item.get_closest_marker("stood_for")) is not None:
            reason = f"{mark.args[0]} stands for it; KERAS_TRANSFORMER_ALL_TESTS=1 runs it, too"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module", autouse=True)
def little_to_search():
    """Keeps the search for garbage in a file of tests to what the file itself makes.

    A process of many tests has millions of objects, and `quantize` collects after every layer.
    """
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    gc.unfreeze()  # plugins look for references in the end


@contextlib.contextmanager
def searches_without_xla():
    """Translators that are made meanwhile search in graphs, which are there sooner than programs.

    That XLA finds the same is what `tests/decoding` says of each kind of search.
    """

    def graph(function, model):
        import tensorflow as tf

        return tf.function(function, autograph=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_transformer.translation.compilation._compile_with_tensorflow", graph)
        yield


@pytest.fixture
def without_xla():
    """No translator that the test makes has XLA compile its searches."""
    with searches_without_xla():
        yield


@pytest.fixture(scope="session")
def every_layer():
    """Every layer of the table in float32, built, with random weights."""
    from tests.every_layer import CASES
    from tests.weights import randomize

    layers = {}
    for name, case in CASES.items():
        layers[name] = case.make()
        layers[name].build(*case.build)
        randomize(layers[name])
    return layers


@dataclasses.dataclass(frozen=True)
class OnJax:
    """The findings of `tests/on_jax.py`.

    Attributes:
        outputs: The output of every layer of the table.
        facts: What else it found.
        decoding: The folder of `tests/decoding_drive.py`.
    """

    outputs: dict
    facts: dict
    decoding: Path


@pytest.fixture(scope="session")
def on_jax(every_layer, tmp_path_factory):
    """The same layers with the same weights in a process with the JAX backend."""
    folder = tmp_path_factory.mktemp("on_jax")
    for number, layer in enumerate(every_layer.values()):
        np.savez(folder / f"{number}.npz", *layer.get_weights())
    (folder / "decoding").mkdir()
    every_layer["Transformer"].save_weights(folder / "transformer.weights.h5")
    run_python("-m", "tests.on_jax", str(folder), KERAS_BACKEND="jax", XLA_FLAGS=QUICK_TO_COMPILE)
    outputs = np.load(folder / "outputs.npz")
    return OnJax(
        dict(outputs), json.loads((folder / "facts.json").read_text()), folder / "decoding"
    )


def run_python(*arguments, **environment):
    """Runs Python in a process of its own at the root; returns what it printed."""
    result = python_process(*arguments, **environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def python_process(*arguments, **environment):
    """Runs Python in a process of its own at the root; returns the process that has ended."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
