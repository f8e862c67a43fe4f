"""The command `serve` before it serves; `tests/system/test_service.py` has it serve."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from keras_transformer import Tokenizer, Translator
from keras_transformer.__main__ import main, parse
from keras_transformer.cli import serving
from tests.conftest import ROOT
from tests.translation.conftest import make_model, sentences


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "red"
    tokenizer = Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")
    Translator(make_model(307), tokenizer, max_source_length=13).save(folder)
    return folder


def test_runs_are_served_by_the_names_of_their_folders(run, tmp_path):
    (tmp_path / "blue").symlink_to(run)
    copy = tmp_path / "green"
    copy.mkdir()
    for file in run.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    arguments = ["serve", "--run", str(run), f"--run={copy}", "--top-beams", "3"]
    function, options, modules = parse(arguments)
    assert function is serving.serve
    assert serving.named_runs(options["run"]) == {"red": str(run), "green": str(copy)}
    assert (options["top_beams"], options["modules"], modules) == (3, [], [])
    assert serving.named_runs([str(tmp_path / "blue")]) == {"blue": str(tmp_path / "blue")}


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_without_its_packages_one_line_says_what_to_install(package, run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve", "--run", str(run)]) == 1
    assert capsys.readouterr().err == (
        "python -m keras_transformer: error: The command serve needs fastapi, uvicorn and "
        "prometheus-client: `pip install fastapi uvicorn prometheus-client`, or install "
        "keras-transformer with the extra `serve`.\n"
    )


def test_a_port_that_is_taken_is_refused_before_anything_is_loaded(run, monkeypatch, capsys):
    pytest.importorskip("fastapi", reason="needs the extra `serve`")
    monkeypatch.delattr(Translator, "load")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--run", str(run), "--port", port]) == 1
    error = capsys.readouterr().err
    assert error.endswith(
        "cannot be served: Address already in use. Give another --port or --host.\n"
    )


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_service(run, tmp_path):
    pytest.importorskip("fastapi", reason="needs the extra `serve`")
    for file in run.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.weights.h5").write_bytes(b"x")
    command = [sys.executable, "-m", "keras_transformer", "serve", "--run", str(tmp_path)]
    result = subprocess.run(
        [*command, "--port", "0", "--workers", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "is damaged or belongs to another model" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_workers_are_as_quiet_as_one_process(run):
    pytest.importorskip("ctranslate2")
    command = [sys.executable, "-m", "keras_transformer", "serve", "--engine", "ctranslate2"]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    with subprocess.Popen(
        [*command, "--run", str(run), "--port", "0", "--workers", "2"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        first = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert first.startswith("Serving red at http://127.0.0.1:")
    assert (rest, process.returncode) == ("", 0)
