"""The same weights on JAX: the same losses, translations and scores, and no TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_transformer import Translator
from keras_transformer.decoding.hypotheses import Hypotheses
from tests.translation.conftest import LIMIT, make_model
from tests.translation.on_either_backend import searches, work

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    """A run to start from, and what was found there on JAX."""
    folder = tmp_path_factory.mktemp("backends")
    model = make_model(tokenizer.vocabulary_size(), dropout_rate=0.0)
    Translator(model, tokenizer, max_source_length=LIMIT).save(folder / "start")
    result = subprocess.run(
        [sys.executable, "-m", "tests.translation.on_either_backend", str(folder)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What a run does, on TensorFlow and on JAX."""
    return work(folder), json.loads((folder / "found.json").read_text())


def test_searches_find_the_same(folder):
    """Eager and compiled, in a batch and in a queue."""
    tensorflow, jax = searches(), json.loads((folder / "searches.json").read_text())
    wanted = Hypotheses(*map(np.array, tensorflow["batch, eager"]))
    assert len(jax) == len(tensorflow) == 4
    for all_ in (*tensorflow.values(), *jax.values()):
        found = Hypotheses(*map(np.array, all_))
        np.testing.assert_array_equal(found.ids, wanted.ids)
        np.testing.assert_array_equal(found.finished, wanted.finished)
        np.testing.assert_allclose(found.log_probs, wanted.log_probs, atol=1e-5)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)


def test_the_process_ran_on_jax_without_tensorflow(found):
    tensorflow, jax = found
    assert (tensorflow["backend"], jax["backend"]) == ("tensorflow", "jax")
    assert tensorflow["tensorflow_imported"]
    assert not jax["tensorflow_imported"]


@pytest.mark.parametrize("name", ["loss", "accuracy", "perplexity"])
def test_training_is_the_same(found, name):
    tensorflow, jax = found
    assert jax[name] == pytest.approx(tensorflow[name], rel=1e-5)
    assert jax["tokens"] == tensorflow["tokens"] > 0


def test_the_weights_are_the_same_after_training(found):
    tensorflow, jax = found
    assert jax["weights"] == pytest.approx(tensorflow["weights"], rel=1e-4)


@pytest.mark.parametrize("when", ["before", "shortlisted", "after"])
def test_translations_and_scores_are_the_same(found, when):
    tensorflow, jax = found
    for (text, score, finished), (text_there, score_there, finished_there) in zip(
        tensorflow[when], jax[when], strict=True
    ):
        assert text == text_there
        assert score == pytest.approx(score_there, rel=1e-5, abs=1e-3)
        assert finished == finished_there


def test_weights_that_training_changed_are_used(found):
    for backend in found:
        assert backend["before"] != backend["after"]
        assert backend["written"][-1] == [text for text, *_ in backend["after"][:-1]]
        assert backend["written"][0] != backend["written"][1]
