"""The choice of devices, and what is said where they cannot be had."""

import json
import re

import pytest

from keras_transformer.distribution import choose_devices
from keras_transformer.distribution.tf_config import read_cluster
from tests.conftest import run_python

CLUSTER = {"worker": ["a:1", "b:1", "c:1"]}


def config(cluster=CLUSTER, kind="worker", index=1):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_one_device_needs_nothing():
    devices = choose_devices("one")
    assert (devices.replicas, devices.is_chief, devices.worker, devices.workers) == (1, True, 0, 1)
    assert devices.from_chief(3.5) == 3.5
    with devices.scope():
        pass


def test_auto_takes_one_where_there_is_one(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert choose_devices().description == "one CPU"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("two",), "strategy must be one of auto, one, mirrored, multi_worker, tpu. Received: 'tw"),
        (("one", -1), "devices must be an integer, 0 (all) or more. Received: -1"),
        (("one", 3), "strategy one takes one device. Received: devices=3. Use strategy mirrored"),
        (("mirrored", 4099), "fewer devices than requested: "),
        (("multi_worker",), "needs the environment variable TF_CONFIG, for example {"),
        (("tpu",), "pip install -r colab/requirements-tpu.txt"),
    ],
)
def test_what_is_not_there_is_one_sentence(arguments, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        choose_devices(*arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (config(), (3, 1)),
        (config({"chief": ["a:1"], "worker": ["b:1", "c:1"]}), (3, 2)),
        (config({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "chief", 0), (3, 0)),
    ],
)
def test_the_cluster_is_read(text, found):
    assert read_cluster(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "3",
        "{}",
        '{"cluster": {"worker": ["a:1"]}}',
        config(index=3),
        config(kind="ps"),
        config(index="x"),
        config(cluster={"worker": 5}),
    ],
)
def test_a_cluster_that_cannot_be_read_is_one_sentence(text):
    with pytest.raises(ValueError, match="TF_CONFIG does not describe a cluster of") as raised:
        read_cluster(text)
    assert "\n" not in str(raised.value)


ON_JAX = """
from keras_transformer.distribution import choose_devices
print(choose_devices("one").description)
devices = choose_devices()
print(devices.description, devices.replicas, devices.from_chief(1.5))
for arguments in [("mirrored", 3), ("tpu",), ("multi_worker",)]:
    try:
        choose_devices(*arguments)
    except ValueError as error:
        print(error)
import sys
print("tensorflow" in sys.modules)
"""


def test_on_jax():
    flags = "--xla_force_host_platform_device_count=2"
    printed = run_python("-c", ON_JAX, KERAS_BACKEND="jax", XLA_FLAGS=flags).splitlines()
    assert printed[:2] == ["one CPU", "2 CPU devices (DataParallel) 2 1.5"]
    assert printed[2].startswith("There are fewer devices than requested: 2 CPU devices. Received:")
    assert printed[3].startswith("JAX finds no TPU")
    assert "Missing: KERAS_DISTRIBUTION_JOB_ADDRESSES" in printed[4]
    assert printed[5:] == ["False"]


def test_the_cpu_is_parted_in_a_new_process_only():
    import tensorflow as tf

    tf.zeros(())
    with pytest.raises(
        ValueError, match="can only be split into logical devices before TensorFlow"
    ):
        choose_devices("mirrored", 2)


REFUSED = """
import keras, keras_transformer as kt
from keras_transformer.distribution import choose_devices
with choose_devices("mirrored", 2).scope():
    model = kt.Transformer(7, 1, 2, 1, 2)
    averaging = keras.optimizers.SGD(use_ema=True, ema_overwrite_frequency=2)
    for optimizer, options in [
        ("sgd", {"jit_compile": True}), ("sgd", {"steps_per_execution": 3}), (averaging, {})
    ]:
        try:
            model.compile(optimizer, loss=kt.TokenCrossEntropy(), **options)
        except ValueError as error:
            print(error)
"""


@pytest.mark.slow
def test_what_keras_cannot_do_on_several_replicas_is_refused_at_once():
    printed = run_python("-c", REFUSED).splitlines()
    options = ["jit_compile=True", "steps_per_execution=3", "ema_overwrite_frequency of the optim"]
    assert len(printed) == 3
    for line, option in zip(printed, options, strict=True):
        assert line.startswith(f"Keras cannot train with {option}")
        assert line.endswith("Received: 2 replicas.")
