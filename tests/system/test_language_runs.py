"""A language model trained on several devices, in two processes, and into an object store."""

import contextlib
import json
import os
import subprocess
import sys

import pytest

from keras_transformer import TextGenerator
from tests.conftest import ROOT, run_python
from tests.distribution.test_same_result import free_port
from tests.object_store import object_store
from tests.system.test_killed import same_weights

pytestmark = pytest.mark.slow
OPTIONS = [
    "--num-layers=2", "--d-model=16", "--num-heads=2", "--d-ff=24", "--dropout-rate=0.3",
    "--vocabulary-size=275", "--max-length=32", "--tokens-per-batch=512", "--epochs=2",
    "--steps-per-epoch=8", "--tensorboard=false", "--architecture=grouped_query",
    "--architecture-options=num_key_value_heads=1",
]  # fmt: skip
COMMAND = ["-m", "trainers.language_model", *OPTIONS]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    for name, start, lines in (("train", 0, 300), ("validation", 7, 40)):
        text = "".join(f"{n} {n + 1} {n * n % 97}\n" for n in range(start, start + lines))
        (folder / f"{name}.txt").write_text(text)
    return [f"--{name}-text={folder / name}.txt" for name in ("train", "validation")]


@pytest.mark.parametrize(
    ("backend", "options", "says"),
    [
        ("tensorflow", ["--strategy=mirrored", "--devices=2"], "2 logical CPUs"),
        ("jax", [], "2 CPU devices (DataParallel)"),
    ],
)
def test_on_two_devices(backend, options, says, texts, tmp_path):
    environment = {"KERAS_BACKEND": backend}
    if backend == "jax":
        environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    output = f"--output={tmp_path / 'run'}"
    command = [*COMMAND, *texts, "--accumulate-steps=2", *options, output]
    assert f"Training on {says}" in run_python(*command, **environment)
    assert TextGenerator.load(tmp_path / "run").generate(["7 8"])[0].text.startswith("7 8")


def test_in_two_processes(texts, tmp_path):
    ports, processes = [free_port(), free_port()], []
    with contextlib.ExitStack() as stack:
        for index in range(2):
            cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            process = subprocess.Popen(
                [sys.executable, *COMMAND, *texts, f"--output={tmp_path / 'run'}"],
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.callback(process.kill)
            processes.append(process)
        printed = [process.communicate(timeout=400)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0], printed
    assert TextGenerator.load(tmp_path / "run").generate(["7 8"])[0].text.startswith("7 8")
    assert not list(tmp_path.glob("run/tokens*"))


def test_into_an_object_store(texts, tmp_path):
    run_python(*COMMAND, *texts, f"--output={tmp_path / 'run'}")
    with object_store() as environment, pytest.MonkeyPatch.context() as patch:
        import s3fs

        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        s3fs.S3FileSystem.clear_instance_cache()
        files, url = s3fs.S3FileSystem(use_listings_cache=False), "s3://bucket/language"
        files.mkdir("bucket")
        run_python(*COMMAND, *texts, f"--output={url}")
        printed = run_python("-m", "keras_transformer", "generate", "--run", url, "7 8")
        assert printed.startswith("7 8")
        files.get("bucket/language", str(tmp_path / "sent"), recursive=True)
    assert same_weights(tmp_path / "sent", tmp_path / "run", "model.weights.h5")
