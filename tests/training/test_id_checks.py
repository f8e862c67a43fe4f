"""Ids out of range are found where data enters, under XLA too."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_transformer as kt
from keras_transformer.data import EvaluationBatches, InMemoryCorpus, TokenBatches, TokenCache
from keras_transformer.training.id_checks import check_data, make_limits
from tests.conftest import run_python
from tests.toy import ToyTokenizer
from tests.training.conftest import V, make_pairs, small_model

CASES = {"labels": -100, "source": V, "target": -1}
PLACE = (3, 4)


class Batches(keras.utils.PyDataset):
    """Two batches, of which the second has the same pairs as the first."""

    def __init__(self, x, y):
        super().__init__()
        self.batch = x, y

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.batch


def endless(x, y):
    while True:
        yield x, y


def dataset(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(len(y))


def tensors(data):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, data)


def good():
    x, y, _ = make_pairs()
    return {"x": x, "y": y}


WAYS = {
    "arrays": lambda x, y: {"x": x, "y": y},
    "tensors": lambda x, y: {"x": tensors(x), "y": tensors(y)},
    "tf.data": lambda x, y: {"x": dataset(x, y)},
    "a generator": lambda x, y: {"x": endless(x, y), "steps_per_epoch": 2},
    "a PyDataset": lambda x, y: {"x": Batches(x, y)},
    "validation arrays": lambda x, y: {**good(), "validation_data": (x, y)},
    "validation tf.data": lambda x, y: {**good(), "validation_data": dataset(x, y)},
}  # fmt: skip


def spoilt(name, value, place=PLACE):
    x, y = keras.tree.map_structure(np.copy, make_pairs()[:2])  # which share memory
    (y if name == "labels" else x[name])[place] = value
    return x, y


@pytest.fixture(scope="module")
def compiled_by_xla():
    return small_model(jit_compile=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("way", WAYS)
def test_fit_names_the_id_and_its_place(way, compiled_by_xla):
    for name, value in CASES.items():
        with pytest.raises(ValueError, match=r"^Ids out of range: ") as error:
            compiled_by_xla.fit(**WAYS[way](*spoilt(name, value)), verbose=0)
        message = str(error.value)
        float_value = f"{float(value)}" if way == "floats" and name == "labels" else value
        assert (
            f"`{name}` holds the id {float_value} at (3, 4). Expected ids from 0 to 12" in message
        )
        assert "\n" not in message
        assert ("Labels that are not to count are 0 (`pad_id` of the loss)" in message) == (
            name == "labels"
        )


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
@pytest.mark.parametrize("way", WAYS)
def test_good_ids_train(way, compiled_by_xla):
    x, y, _ = make_pairs()
    history = compiled_by_xla.fit(**WAYS[way](x, y), verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("method", ["evaluate", "train_on_batch", "test_on_batch"])
def test_other_methods_find_it_too(method, compiled_by_xla):
    with pytest.raises(ValueError, match=r"`labels` holds the id 13 at \(3, 4\)\."):
        getattr(compiled_by_xla, method)(*spoilt("labels", V))


@pytest.mark.parametrize("method", ["predict", "predict_on_batch"])
def test_prediction_finds_it_in_the_inputs(method, compiled_by_xla):
    x, _ = spoilt("source", 77)
    with pytest.raises(ValueError, match=r"`source` holds the id 77 at \(3, 4\)\."):
        getattr(compiled_by_xla, method)(x)


class CountedLoss(kt.TokenCrossEntropy):
    """Counts how often it is traced."""

    traces = 0

    def sums(self, *arguments):
        self.traces += 1
        return super().sums(*arguments)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_the_check_of_a_dataset_traces_nothing_anew():
    model, loss, counts = small_model(), CountedLoss(), []
    model.compile("sgd", loss=loss, jit_compile=False)
    for _ in range(3):
        model.fit(dataset(*make_pairs()[:2]).repeat(3), verbose=0)
        counts.append(loss.traces)
    assert counts[0] == counts[1] == counts[2] > 0


def test_two_vocabularies_have_two_limits():
    model = kt.Transformer(5, 1, d_model=8, num_heads=2, d_ff=11, target_vocabulary_size=9)
    assert model.id_limits() == {"source": 5, "target": 9, "labels": 9}
    model.compile(loss=kt.TokenCrossEntropy())
    ids = np.full((2, 3), 4)
    model.test_on_batch({"source": ids, "target": ids + 4}, ids + 4)
    with pytest.raises(ValueError, match=r"`source` holds the id 5 at \(0, 0\)\. .* 0 to 4, "):
        model.test_on_batch({"source": ids + 1, "target": ids}, ids)
    with pytest.raises(ValueError, match=r"`target` holds the id 9 at \(0, 0\)\. .* 0 to 8, "):
        model.test_on_batch({"source": ids, "target": ids + 5}, ids)


LOSSES = {
    "padding of -100": kt.TokenCrossEntropy(pad_id=-100),
    "Keras' padding": keras.losses.SparseCategoricalCrossentropy(True, ignore_class=-100),
    "a loss of one's own": lambda labels, logits: keras.ops.mean(logits, axis=-1),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_loss_may_ignore_ids_outside_the_range(loss):
    model = kt.Transformer(V, 1, d_model=8, num_heads=2, d_ff=11)
    model.compile("sgd", loss=loss, jit_compile=False)
    x, y = spoilt("labels", -100)
    assert np.isfinite(model.test_on_batch(x, y))
    limits = make_limits(model.id_limits(), model.loss)
    for limit in [limits["labels"]] if "labels" in limits else []:
        (ids,) = tf.data.Dataset.from_tensors(y).map(limit.check_tensor)
        assert (ids == y).numpy().all()


def test_numbers_of_any_type_are_checked():
    limit = make_limits({"labels": 300}, kt.TokenCrossEntropy())["labels"]
    for dtype in ("uint8", "int64", "float32"):
        ids = np.full((2, 3), 255, dtype)
        limit.check(ids.tolist())
        (checked,) = tf.data.Dataset.from_tensors(ids).map(limit.check_tensor)
        assert checked.dtype == dtype
    for bad, text in (([[1, 300.0]], "300.0"), ([[0, float("nan")]], "nan"), ([[0, 301]], "301")):
        with pytest.raises(ValueError, match=rf"`labels` holds the id {text} at \(0, 1\)\."):
            limit.check(bad)


def test_keras_own_loss_is_checked_too():
    model = small_model()
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"`labels` holds the id -100 .* Check that the tokenizer"):
        model.evaluate(*spoilt("labels", -100), verbose=0)


class OtherInputs(kt.Transformer):
    """Takes numbers, which are no ids."""

    def call(self, inputs, training=None):
        ids = keras.ops.cast(inputs["source"] > 0, "int32")
        return super().call({"source": ids, "target": inputs["target"]}, training=training)


@pytest.mark.slow
def test_a_subclass_with_other_inputs_is_not_checked():
    model = OtherInputs(V, 1, d_model=8, num_heads=2, d_ff=11)
    model.compile(loss=kt.TokenCrossEntropy())
    x, y, _ = make_pairs()
    assert np.isfinite(model.test_on_batch({**x, "source": x["source"] * 1000.0}, y))


@pytest.fixture
def cache(tmp_path):
    corpus = InMemoryCorpus([("i am", "a student"), ("thanks", "thanks a")])
    tokenizer = ToyTokenizer()
    tokenizer.fingerprint = "toy"
    return TokenCache.build(corpus, tokenizer, tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TokenBatches, EvaluationBatches])
def test_a_cache_of_a_larger_vocabulary_is_refused(kind, cache):
    batches, size = kind(cache, 64).dataset(), ToyTokenizer().vocabulary_size()
    for same_or_larger in (size, size + 2):
        limits = make_limits({"source": same_or_larger, "target": size, "labels": size})
        assert check_data({"x": batches}, limits)["x"] is batches  # needs no check of each batch
    model = kt.Transformer(size - 1, 1, d_model=8, num_heads=2, d_ff=11)
    model.compile(loss=kt.TokenCrossEntropy(), jit_compile=False)
    message = r"^Ids out of range: the vocabulary of the token cache has 9 ids for `source`, .* 8\."
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message):
            method(batches, verbose=0)
    with pytest.raises(ValueError, match=r"holds the id 8 at "):  # EOS; no longer known as ours
        model.evaluate(batches.map(lambda *batch: batch).take(1), verbose=0)


@pytest.mark.slow
def test_jax_finds_it_too():
    program = Path(__file__).with_name("ids_on_jax.py")
    assert run_python(str(program), KERAS_BACKEND="jax", PYTHONPATH=".") == "5 of 5 found\n"
