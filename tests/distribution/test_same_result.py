"""One device, two, and two processes: the same weights and metrics after twenty steps."""

import itertools
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import QUICK_TO_COMPILE, ROOT, run_python

pytestmark = pytest.mark.slow
TWO_ON_JAX = f"--xla_force_host_platform_device_count=2 {QUICK_TO_COMPILE}"


def read(folder, case):
    weights = list(np.load(folder / f"{case}.npz").values())
    return weights, json.loads((folder / f"{case}.json").read_text())


def difference(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def on_tensorflow(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("tensorflow"), "tensorflow")


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("jax"), "jax", XLA_FLAGS=TWO_ON_JAX)


def trained(folder, backend, **environment):
    module = ("-m", "tests.distribution.toy_run")
    run_python(*module, str(folder), backend, KERAS_BACKEND=backend, **environment)
    return folder


@pytest.mark.parametrize("backend", ["on_tensorflow", "on_jax"])
@pytest.mark.parametrize(
    ("case", "optimizer"),
    [
        *itertools.product(["one-{}-4", "two-{}-1", "two-{}-4"], ["sgd"]),
        ("two-{}-4", "adam"),
        ("two-{}-4", "decoder_only"),
        ("two-{}-1", "experts"),
        ("two-{}-1", "latent"),
        ("two-{}-4", "images"),
    ],
)
def test_devices_and_micro_batches_change_nothing(backend, case, optimizer, request):
    """With unequal numbers of tokens on each and clipping; see `toy_run.batches`.

    The decoder-only translator, whose loss is that of the source too, learns with Adam. The losses
    that keep experts busy are those of the whole batch, and so are the averages that codebooks are.
    Images stand beside texts, as many as rows.
    """
    folder = request.getfixturevalue(backend)
    wanted, facts = read(folder, f"one-{optimizer}-1")
    weights, found = read(folder, case.format(optimizer))
    assert facts["moved"] > 0.01
    assert found["devices"].startswith("2 " if "two" in case else "one ")
    assert difference(weights, wanted) <= 1e-5
    assert_same_logs(found, facts)


def assert_same_logs(found, facts):
    assert found["logs"].keys() == facts["logs"].keys()
    for name, values in facts["logs"].items():
        np.testing.assert_allclose(found["logs"][name], values, rtol=1e-5, err_msg=name)


def test_the_mean_of_means_that_keras_takes_is_another_training(on_tensorflow):
    wanted, _ = read(on_tensorflow, "one-sgd-1")
    weights, _ = read(on_tensorflow, "two-plain")
    assert difference(weights, wanted) > 1e-3


def test_replicas_drop_different_places(on_tensorflow):
    masks = np.load(on_tensorflow / "dropped.npy")  # first call on both, second call on both
    for one in range(4):
        for other in range(one):
            assert 0.4 < (masks[one] == masks[other]).mean() < 0.6


def test_two_processes_give_what_one_gives(on_tensorflow, tmp_path):
    ports = [free_port() for _ in range(2)]
    workers = [start_worker(tmp_path, index, ports) for index in range(2)]
    for worker in workers:
        _, errors = worker.communicate(timeout=500)
        assert worker.returncode == 0, errors[-3000:]
    wanted, facts = read(on_tensorflow, "one-adam-1")
    for index in range(2):
        weights, found = read(tmp_path, f"worker-{index}")
        assert difference(weights, wanted) <= 1e-5
        assert_same_logs(found, facts)
        assert json.loads((tmp_path / f"facts-{index}.json").read_text()) == {"from_chief": 41.0}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_worker(folder, index, ports):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
    return subprocess.Popen(
        [sys.executable, "-m", "tests.distribution.toy_run", str(folder), "worker"],
        cwd=ROOT,
        env={**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
