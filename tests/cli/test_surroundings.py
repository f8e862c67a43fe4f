"""Command lines under other interpreters' options and backends: answers, or one line."""

import json

import keras
import pytest

from keras_transformer import Transformer, Translator
from tests.conftest import ROOT, python_process, run_python


def errors(*arguments, **environment):
    """Returns the error output of a command line that fails."""
    result = python_process(*arguments, **environment)
    assert result.returncode in (1, 2)
    return result.stderr


@pytest.mark.slow
def test_without_docstrings_options_are_still_read():
    command = ["-OO", "-m", "keras_transformer", "translate", "--run", "never"]
    assert "never does not exist, so it is not a finished run" in errors(*command)


KERAS_JSON = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}
OLD_RUN = ROOT / "tests" / "translation" / "run_of_version_1"


@pytest.mark.slow
def test_the_users_default_precision_does_not_matter(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(KERAS_JSON | {"backend": "tensorflow"}))
    (tmp_path / "a").write_text("one two\n")
    pair = ["--source", str(tmp_path / "a"), "--target", str(tmp_path / "a")]
    command = ["-m", "keras_transformer", "score", "--run", str(OLD_RUN), *pair]
    printed = run_python(*command, KERAS_HOME=str(tmp_path))
    (score,) = Translator.load(OLD_RUN).score(["one two"], ["one two"])
    assert float(printed) == pytest.approx(score.log_prob, abs=1e-3)


@pytest.mark.parametrize("floatx", ["float16", "bfloat16"])
def test_in_python_16_bits_by_default_are_refused(floatx):
    keras.config.set_floatx(floatx)
    try:
        with pytest.raises(ValueError, match=rf"\(floatx\) is {floatx}, .* Call `keras.config.set"):
            Transformer(11, 1, d_model=8, num_heads=2, d_ff=16, dtype="float32")
    finally:
        keras.config.set_floatx("float32")


@pytest.mark.slow
def test_a_backend_that_cannot_translate_is_named():
    command = ["-m", "keras_transformer", "translate", "--run", "never"]
    (line,) = errors(*command, KERAS_BACKEND="numpy").splitlines()
    assert line.endswith(
        "error: This program runs on TensorFlow or JAX. Received: KERAS_BACKEND=numpy. Set it to "
        "tensorflow or jax, or remove it."
    )
