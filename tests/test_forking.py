"""Forked processes answer or are refused at once, and never wait for ever."""

import contextlib
import multiprocessing
import os
import select
import signal
import warnings

import keras
import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.checkpoints import resumable_fit
from keras_transformer.data.tf_dataset import dataset_of
from keras_transformer.distribution import choose_devices
from keras_transformer.translation.compilation import compiled
from tests.conftest import run_python

LIMIT = 60  # seconds: only to end a child that hangs
REFUSED = "ForkError: This process was forked after its parent process had used TensorFlow or JAX"
IDS = {"source": np.array([[4, 5, 2]], "int32"), "target": np.array([[1, 6, 7]], "int32")}
LABELS = np.array([[6, 7, 2]], "int32")
VECTORS = np.ones((2, 3, 8), "float32")


def in_child(function):
    """Returns the answer of a forked child: the repr of a result, or an error; "hangs"."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX and later Pythons warn of what is tried here
        child = os.fork()
    if child == 0:
        answer = "died"
        try:
            answer = repr(function())
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, answer.encode()[:4000])
            os._exit(0)
    os.close(writer)
    answer = "hangs"
    if select.select([reader], [], [], LIMIT)[0]:
        answer = os.read(reader, 4096).decode()
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return answer


def make_model():
    return kt.Transformer(11, num_layers=1, d_model=8, num_heads=2, d_ff=16)


@pytest.fixture(scope="module")
def used():
    """Objects that the parent process has used."""
    model = make_model()
    model.compile("sgd", loss=kt.TokenCrossEntropy())
    model.build()
    layer = kt.FeedForward(8, 16)
    layer(VECTORS)
    sentences = ["the cat sat", "the dog ran", "the cow stood"]
    tokenizer = kt.Tokenizer.train(sentences, vocabulary_size=285, model_type="bpe")
    return {
        "model": model,
        "layer": layer,
        "tokenizer": tokenizer,
        "metric": kt.TokenAccuracy(),
        "loss": kt.TokenCrossEntropy(),
        "program": compiled(lambda x: x + 1, model),
    }


CALLS = {
    "a new model": lambda used: make_model(),
    "build": lambda used: used["model"].build(),
    "a call of a model": lambda used: used["model"](IDS),
    "encode": lambda used: used["model"].encode(IDS["source"]),
    "compile": lambda used: used["model"].compile("sgd"),
    "fit": lambda used: used["model"].fit(IDS, LABELS),
    "evaluate": lambda used: used["model"].evaluate(IDS, LABELS),
    "predict": lambda used: used["model"].predict(IDS),
    "train_on_batch": lambda used: used["model"].train_on_batch(IDS, LABELS),
    "test_on_batch": lambda used: used["model"].test_on_batch(IDS, LABELS),
    "predict_on_batch": lambda used: used["model"].predict_on_batch(IDS),
    "save_weights": lambda used: used["model"].save_weights("never.weights.h5"),
    "a new layer": lambda used: kt.MultiHeadAttention(8, 2),
    "a call of a layer": lambda used: used["layer"](VECTORS),
    "attention": lambda used: kt.dot_product_attention(VECTORS, VECTORS, VECTORS),
    "a loss": lambda used: used["loss"](LABELS, np.ones((1, 3, 11), "float32")),
    "a metric": lambda used: used["metric"].update_state(LABELS, np.ones((1, 3, 11), "float32")),
    "an optimizer": lambda used: kt.Adafactor(),
    "resumable_fit": lambda used: resumable_fit(used["model"], None, None, 1, 1),
    "average_checkpoints": lambda used: kt.average_checkpoints(used["model"], ["never"]),
    "load": lambda used: kt.Translator.load("never"),
    "a new translator": lambda used: kt.Translator(used["model"], used["tokenizer"]),
    "beam_search": lambda used: kt.beam_search(None, None, None, length=1, bos_id=1, eos_id=2),
    "sample": lambda used: kt.sample(None, None, None, length=1, bos_id=1, eos_id=2, seeds=None),
    "a compiled function": lambda used: used["program"](VECTORS),
    "export": lambda used: kt.export(None, "never"),
    "import_marian": lambda used: kt.import_marian("never"),
    "devices": lambda used: choose_devices("one"),
    "a tokenizer in a graph": lambda used: used["tokenizer"].tokenize_in_graph(["the cat"]),
    "a dataset": lambda used: dataset_of(lambda: iter([]), [(1, 3, 3)]),
}


@pytest.mark.parametrize("call", CALLS)
def test_after_a_fork_it_is_refused(used, call):
    answer = in_child(lambda: CALLS[call](used))
    assert answer.startswith(REFUSED)
    assert "after the fork" in answer
    assert "spawn" in answer


def test_a_child_may_do_what_needs_no_backend(used):
    expected = used["tokenizer"].tokenize(["the cat", "the cow"])
    assert in_child(lambda: used["tokenizer"].tokenize(["the cat", "the cow"])) == repr(expected)


def test_the_parent_goes_on_after_a_fork(used):
    assert in_child(lambda: 7) == "7"
    assert used["model"](IDS).shape == (1, 3, 11)


def test_a_child_of_a_child_is_refused_too(used):
    assert REFUSED in in_child(lambda: in_child(lambda: used["layer"](VECTORS)))


def build_a_model():
    make_model().build()
    return keras.backend.backend()


def test_a_pool_of_forks_refuses_at_once(used):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool = multiprocessing.get_context("fork").Pool(1)
    with pool, pytest.raises(kt.forking.ForkError, match="spawn"):
        pool.apply_async(build_a_model).get(LIMIT)


@pytest.mark.slow
def test_a_pool_of_spawned_processes_works(used):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(build_a_model).get(LIMIT) == keras.backend.backend()


ONLY_IMPORTED = """
import numpy as np
import keras_transformer as kt
from tests.test_forking import LABELS, REFUSED, VECTORS, in_child

kt.Translator, kt.Transformer
print(in_child(lambda: kt.FeedForward(8, 16)(VECTORS).shape))
"""
TENSORFLOW_ALONE = """
import tensorflow as tf
tf.constant(1.0) + 1
print(in_child(lambda: kt.FeedForward(8, 16)(VECTORS))[: len(REFUSED)])
"""


@pytest.mark.slow
def test_a_parent_that_only_imported_may_fork_and_use_of_tensorflow_itself_is_seen():
    first, second = run_python("-c", ONLY_IMPORTED + TENSORFLOW_ALONE).splitlines()
    assert (first, second) == ("TensorShape([2, 3, 8])", REFUSED)


ON_JAX = """
model = kt.Transformer(11, num_layers=1, d_model=8, num_heads=2, d_ff=16)
print(in_child(lambda: model.build())[: len(REFUSED)])
print(in_child(lambda: kt.TokenCrossEntropy())[: len(REFUSED)])
"""


@pytest.mark.slow
def test_on_jax_too():
    answers = run_python("-c", ONLY_IMPORTED + ON_JAX, KERAS_BACKEND="jax").splitlines()
    assert answers == ["(2, 3, 8)", REFUSED, REFUSED]
