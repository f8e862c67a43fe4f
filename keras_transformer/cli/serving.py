"""The command `serve`: finished runs behind HTTP."""

import contextlib
import functools
import gc
import os
import signal
import sys
import tempfile
from collections.abc import Sequence

from keras_transformer.cli import program
from keras_transformer.cli.own_modules import import_modules
from keras_transformer.io import is_url, path_or_url

PROGRAM = "python -m keras_transformer"
PARTS = 10  # of the compilation, after each of which a line is written


def serve(
    run: list[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    beam_size: int = 4,
    top_beams: int = 1,
    length_penalty: float = 0.6,
    max_length: int | None = None,
    no_repeat_ngram_size: int = 0,
    engine: str = "keras",
    compute_type: str = "float32",
    shortlist: bool = False,
    workers: int = 1,
    token_file: str | None = None,
    page: bool = True,
    batch_size: int = 64,
    batch_wait: float = 0.005,
    max_body: int = 1048576,
    max_texts: int = 64,
    max_characters: int = 5000,
    max_tokens: int = 1000,
    max_queue: int = 1024,
    max_seconds: float = 30.0,
    max_connections: int = 256,
    end_seconds: float = 30.0,
    modules: Sequence[str] = (),
) -> int:
    """Answers HTTP requests for translations and scores, until it is ended by a signal.

    Args:
        run: Folder of a finished run of a translator, or its URL. May be given again; requests then
            say which run they mean, by the name of its folder.
        host: Address to listen at. 0.0.0.0 and :: are all addresses of this machine.
        port: Port to listen at; 0 for any free one, which is printed.
        beam_size: Number of beams; 1 is greedy search.
        top_beams: Number of hypotheses that a request may ask for at most.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities.
        max_length: Maximum tokens of a translation. By default, 50 more than the text has.
        no_repeat_ngram_size: Forbids a sequence of this many tokens to occur twice; 0 allows it.
        engine: keras, or ctranslate2, which is faster on a CPU and compiles nothing.
        compute_type: Of ctranslate2, such as int8.
        shortlist: Whether to choose among likely translations of a text's words only, which is
            faster; for runs with a shortlist, made by the command shortlist.
        workers: Number of processes, each with a model of its own.
        token_file: File with a bearer token in each line, one of which requests must have.
        page: Whether there is a page for people at /, which needs a few more programs.
        batch_size: Number of texts that are translated together at most.
        batch_wait: Seconds without a new text after which no more are waited for.
        max_body: Maximum bytes of a request.
        max_texts: Maximum texts of a request.
        max_characters: Maximum characters of a text.
        max_tokens: Maximum tokens of a text.
        max_queue: Maximum texts that wait, of all requests.
        max_seconds: Seconds after which a request that is not answered is given up.
        max_connections: Maximum open connections of a worker.
        end_seconds: Seconds to answer what has come, after a signal.
        modules: Names of modules that every worker imports first.
    """
    require_packages()
    from keras_transformer.serving.service_settings import (
        Batching,
        FixedSearch,
        Limits,
        ServiceSettings,
    )
    from keras_transformer.serving.tokens import read_tokens

    settings = ServiceSettings(
        named_runs(run),
        FixedSearch(beam_size, top_beams, length_penalty, max_length, no_repeat_ngram_size),
        Limits(
            body=max_body,
            texts=max_texts,
            characters=max_characters,
            tokens=max_tokens,
            queue=max_queue,
            seconds=max_seconds,
            connections=max_connections,
            end_seconds=end_seconds,
        ),
        Batching(batch_size, batch_wait),
        engine,
        compute_type,
        () if token_file is None else read_tokens(token_file),
        page,
        shortlist,
    )
    if workers < 1:
        raise ValueError(f"--workers must be at least 1. Received: {workers}")
    return serve_settings(settings, host, port, workers, modules)


def require_packages() -> None:
    """Raises an ImportError if the extra `serve` is not installed."""
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "The command serve needs fastapi, uvicorn and prometheus-client: `pip install fastapi "
            "uvicorn prometheus-client`, or install keras-transformer with the extra `serve`."
        ) from error


def named_runs(runs: Sequence[str]) -> dict[str, str]:
    """Returns the folder or URL of each run by the name of its folder.

    Raises:
        RunError: A folder is not the run of a translator.
        ValueError: Two runs have the same name.
    """
    from keras_transformer.translation.run_folder import check_translator

    named: dict[str, str] = {}
    for run in runs:
        place = path_or_url(run)
        check_translator(place)
        name = run.rstrip("/").rpartition("/")[2] if is_url(run) else place.absolute().name
        if name in named:
            raise ValueError(
                f"{named[name]} and {run} have the same name, {name}, by which requests say which "
                "run they mean. Give one of them another name, such as that of a link to it."
            )
        named[name] = run
    return named


def serve_settings(settings, host: str, port: int, workers: int, modules: Sequence[str]) -> int:
    """Serves with given settings until a signal comes; returns the exit code."""
    from keras_transformer.serving.address import bind, is_local, url_of

    with bind(host, port) as listener:
        url = url_of(listener)
        if not is_local(listener) and not settings.tokens:
            say(f"Everybody who reaches {url} may use the service: see --token-file.")

        def ready() -> None:
            say(f"Serving {', '.join(settings.runs)} at {url}")

        if workers == 1:
            answer(settings, listener, ready)
            return 0
        return supervise(settings, listener, workers, modules, ready)


def supervise(settings, listener, workers: int, modules: Sequence[str], ready) -> int:
    """Has several processes serve; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # before the package is used
        from prometheus_client.multiprocess import mark_process_dead

        from keras_transformer.serving.workers import Supervisor

        target = functools.partial(work, settings, tuple(modules))
        end_seconds = settings.limits.end_seconds
        return Supervisor(target, listener, workers, end_seconds, ready, mark_process_dead).run()


def work(settings, modules: Sequence[str], listener, pipe) -> None:
    """Serves in a process of its own, which `supervise` has started."""
    from keras_transformer.serving.workers import end_with_parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which ends all
    end_with_parent()

    def main() -> None:
        import_modules(modules)
        answer(settings, listener, lambda: pipe.send(True), (signal.SIGTERM,))

    sys.exit(program.run(PROGRAM, main, "serve"))


def answer(settings, listener, ready, signals=(signal.SIGINT, signal.SIGTERM)) -> None:
    """Loads and compiles, then listens and answers in this process, until a signal comes."""
    from keras_transformer.serving.http_server import HTTPServer, end_at_once
    from keras_transformer.serving.metrics import Metrics
    from keras_transformer.serving.served_run import load_runs
    from keras_transformer.serving.service import PATHS, Service

    runs = load_runs(settings)
    for run in runs.values():
        programs = run.prepare(report(run.name))
        if programs:
            say(f"{run.name}: {programs} programs are compiled")
    metrics = Metrics(PATHS)
    metrics.start()
    service = Service(settings, runs, metrics)
    gc.collect()
    gc.freeze()  # the models live as long as the process
    if not HTTPServer(service, ready, signals).answer(listener):
        sys.stderr.flush()
        end_at_once(signal.SIGTERM)  # without waiting for what nobody waits for
    service.dispatcher.close()


def report(name: str):
    """Returns a function that writes a line after each tenth of the programs of a run."""

    def progress(done: int, total: int) -> None:
        if done * PARTS // total > (done - 1) * PARTS // total:
            say(f"{name}: compiled {done} of {total} programs")

    return progress


def say(message: str) -> None:
    """Writes a line to standard error; a service outlives the reader of its log."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)
