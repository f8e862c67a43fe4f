"""What of the TPU path a machine without a TPU can show: that the pinned packages load together.

No step was ever run on a TPU by these tests. `make test-tpu-install` makes the environment.
"""

import os
import subprocess

import pytest

from tests.conftest import ROOT

PYTHON = os.environ.get("KERAS_TRANSFORMER_TPU_PYTHON")
LOADED = """
import tensorflow as tf
import tensorflow_text
import keras_transformer as kt
from keras_transformer.distribution import choose_devices
print([device.device_type for device in tf.config.list_physical_devices()])
try:
    choose_devices("tpu")
except ValueError as error:
    print(error)
kt.Transformer(11, 1, 8, 2, 8).build()
print("built")
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not PYTHON,
    reason="KERAS_TRANSFORMER_TPU_PYTHON names no interpreter with colab/requirements-tpu.txt",
)
def test_the_pinned_packages_load_and_say_that_there_is_no_tpu():
    result = subprocess.run(
        [PYTHON, "-c", LOADED],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TPU_SKIP_MDS_QUERY": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    devices, error, built = result.stdout.splitlines()
    assert "TPU_SYSTEM" in devices
    assert error.startswith("No TPU could be initialized (")
    assert built == "built"
