"""Runs, texts and exports in an object store, used by processes that are killed meanwhile."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from tests.conftest import QUICK_TO_COMPILE, ROOT
from tests.object_store import object_store
from tests.system.test_killed import same_weights
from tests.trainers.conftest import TINY, once, toy_pairs

pytestmark = pytest.mark.slow
TRAIN = ["-m", "trainers.translation", *TINY, "--compile-with-xla", "false", "--epochs", "3"]
TRAIN += ["--checkpoint-steps", "3", "--averaged-checkpoints", "2", "--tensorboard", "false"]
RUN = "runs/mine é"


class Store:
    """The bucket, and commands that use it on machines with caches of their own."""

    def __init__(self, environment, folder):
        import s3fs

        os.environ.update(environment)
        s3fs.S3FileSystem.clear_instance_cache()
        self.files = s3fs.S3FileSystem(use_listings_cache=False)
        self.files.mkdir("bucket")
        self.folder = folder

    def start(self, *arguments, machine="one"):
        here = self.folder / "here"
        here.mkdir(exist_ok=True)
        environment = {"XDG_CACHE_HOME": str(self.folder / machine), "PYTHONPATH": str(ROOT)}
        environment["XLA_FLAGS"] = QUICK_TO_COMPILE
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=here,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def use(self, *arguments, code=0, **options):
        """Runs a command to its end; returns what it printed, or the last line of its errors."""
        process = self.start(*arguments, **options)
        out, error = process.communicate(timeout=400)
        assert process.returncode == code, error[-3000:]
        return out if code == 0 else error.splitlines()[-1]

    def names(self, name):
        return {path.removeprefix(f"bucket/{name}/") for path in self.files.find(f"bucket/{name}")}

    def kill_when(self, process, is_so):
        deadline = time.monotonic() + 300
        while not is_so():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with object_store() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        store = Store(environment, tmp_path_factory.mktemp("store"))
        pairs = toy_pairs(450)
        for name, part in (("train", pairs[:400]), ("validation", pairs[400:])):
            text = "".join(f"{source}\t{target}\n" for source, target in part)
            store.files.pipe_file(f"bucket/texts/{name}.tsv", text.encode())
            for side, language in enumerate(("en", "fr")):
                text = "".join(f"{pair[side]}\n" for pair in part)
                store.files.pipe_file(f"bucket/texts/{name}.{language}", text.encode())
        yield store
        assert list((store.folder / "here").iterdir()) == []


TEXTS = ["--data-folder", "s3://bucket/texts/", "--train-tsv", "train.tsv"]
TEXTS += ["--validation-tsv", "s3://bucket/texts/validation.tsv"]


@pytest.fixture(scope="module")
def trained(store):
    """A run that was killed twice and went on on other machines, and one that was left alone."""
    url = f"s3://bucket/{RUN}/"
    local = store.folder / "undisturbed"
    control = store.start(*TRAIN, *TEXTS, "--output", local)
    process = store.start(*TRAIN, *TEXTS, "--output", url)
    with_state = lambda: any("state-" in name for name in store.names(RUN))  # noqa: E731
    store.kill_when(process, with_state)
    first = max(name for name in store.names(RUN) if "state-" in name)
    refused = store.use("-m", "keras_transformer", "translate", "--run", url, "one", code=1)
    assert f"{url[:-1]} holds no run.json, so it is not a finished run" in refused
    process = store.start(*TRAIN, *TEXTS, "--output", url[:-1], machine="two")
    later = lambda: any("state-" in name and name > first for name in store.names(RUN))  # noqa: E731
    store.kill_when(process, later)
    printed = store.use(*TRAIN, *TEXTS, "--output", url, machine="three")
    assert re.search(r"Resuming from step \d+", printed)
    assert f"Saved to {url[:-1]}" in printed
    assert control.communicate(timeout=400)[1] is not None
    assert control.returncode == 0
    return url[:-1], local


def test_a_killed_run_goes_on_on_another_machine(store, trained, tmp_path):
    _, local = trained
    store.files.get(f"bucket/{RUN}", str(tmp_path / "run"), recursive=True)
    names = store.names(RUN)
    assert names == {
        "run.json", "recipe.yaml", "tokenizer.model", "model.weights.h5",
        "checkpoints/best.weights.h5", "checkpoints/epoch-0002.weights.h5",
        "checkpoints/epoch-0003.weights.h5",
    }  # fmt: skip
    assert same_weights(tmp_path / "run", local, "model.weights.h5")
    runs = [json.loads((path / "run.json").read_text()) for path in (tmp_path / "run", local)]
    assert runs[0] == runs[1]


def test_a_finished_run_is_refused_or_replaced(store, trained):
    url, _ = trained
    error = store.use(*TRAIN, *TEXTS, "--output", url, machine="four", code=1)
    assert error.endswith(
        f"error: {url} holds a finished run. Give another --output, or --overwrite true to replace "
        "it."
    )
    copy = "s3://bucket/runs/copy"
    for name in store.names(RUN):
        store.files.copy(f"bucket/{RUN}/{name}", f"bucket/runs/copy/{name}")
    store.files.pipe_file("bucket/runs/copy/notes.txt", b"mine")
    options = ["--init-from", url, "--epochs", "1", "--overwrite", "true"]
    command = once(*TRAIN, *TEXTS, *options, "--output", copy)
    printed = store.use(*command, machine="four")
    assert f"Starting from {url}" in printed
    assert "checkpoints/epoch-0001.weights.h5" in store.names("runs/copy")
    assert "checkpoints/epoch-0003.weights.h5" not in store.names("runs/copy")
    assert {"notes.txt", "run.json"} <= store.names("runs/copy")


def test_commands_read_and_write_urls(store, trained):
    url, local = trained
    command = ["-m", "keras_transformer"]
    texts = ["--source", "s3://bucket/texts/validation.en"]
    scored = [*command, "score", *texts, "--target", "s3://bucket/texts/validation.fr", "--run"]
    assert store.use(*scored, url) == store.use(*scored, local)
    evaluated = [*command, "evaluate", *texts, "--reference", "s3://bucket/texts/validation.fr"]
    assert "BLEU" in store.use(*evaluated, "--run", url)
    export = [*command, "export", "--run", url, "--output", "s3://bucket/served é/1"]
    for _ in range(2):
        store.use(*export, "--format", "keras")
    assert {"model.keras", "translator.json"} <= store.names("served é/1")
    error = store.use(*export, code=1)
    assert "s3://bucket/served é/1 already exists and holds something else" in error
    store.use(*export[:-1], "s3://bucket/served é/2")
    assert {"saved_model.pb", "assets.extra/translator.json"} <= store.names("served é/2")
    page = [*command, "illustrate", "--run", url, "--output", "s3://bucket/page.html", "one"]
    error = store.use(*page, code=1)
    assert "--output must be on a local disk. Received: s3://bucket/page.html" in error


def test_two_trainings_of_one_machine_are_refused(store):
    url = "s3://bucket/twice"
    first = store.start(*TRAIN, *TEXTS, "--output", url)
    try:
        while not (line := first.stdout.readline()).startswith("Working in"):
            assert line
        assert f"sent to {url}, which has no locks" in line
        error = store.use(*TRAIN, *TEXTS, "--output", f"{url}/", code=1)
        assert f"{url} is being written by process {first.pid} on host" in error
    finally:
        first.kill()
        first.communicate()


def test_a_run_that_fails_early_leaves_nothing(store):
    error = store.use(
        *TRAIN, "--train-tsv", "s3://bucket/texts/train.en", "--output", "s3://bucket/none", code=1
    )
    assert "holds a pair" in error
    assert store.names("none") == set()
    error = store.use(*TRAIN, *TEXTS, "--output", "s3://nobucket/run", code=1)
    assert "s3://nobucket/run could not be listed: The specified bucket does not exist" in error
