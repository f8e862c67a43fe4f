"""Engines in separate processes that are timed in turns, for all speed benchmarks."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULTS = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
PAUSE = 0.3  # seconds before a call: the threads of the previous engine keep spinning for a while


class Worker:
    """An engine in a separate process, which waits for requests.

    Args:
        python: Python interpreter.
        module: Module of the engines.
        job: Dict sent at the start; `job["engine"]` names the engine.
        errors: Binary file for the stderr of the process.
        environment: Additional environment variables.
    """

    def __init__(self, python, module, job, errors, environment=None):
        self.engine, self.errors = job["engine"], errors
        self.process = subprocess.Popen(
            [python, "-m", module],
            cwd=ROOT,
            env={**os.environ, **DEFAULTS, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        self.first_answer = self.ask(job)

    def ask(self, request):
        """Sends a request and returns the answer."""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            self.errors.seek(0)
            raise SystemExit(f"{self.engine} failed:\n{self.errors.read().decode()[-3000:]}")
        return json.loads(answer)

    def close(self):
        with self.process, contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


@contextlib.contextmanager
def start_workers(module, pythons, environment=None, **job):
    """Returns a context manager that yields the `Worker` of each installed engine, by name.

    Engines that are not installed are reported and skipped.

    Args:
        module: Module of the engines.
        pythons: Dict of engine name to Python interpreter.
        environment: Additional environment variables.
        **job: Fields of the job that all engines receive.
    """
    with contextlib.ExitStack() as stack:
        engines = {}
        for engine, python in pythons.items():
            errors = stack.enter_context(tempfile.TemporaryFile())
            worker = Worker(python, module, {**job, "engine": engine}, errors, environment)
            stack.callback(worker.close)
            if "missing" in worker.first_answer:
                print(f"{engine} is skipped: {worker.first_answer['missing']}", flush=True)
            else:
                engines[engine] = worker
        versions = {
            k: v for one in engines.values() for k, v in one.first_answer["versions"].items()
        }
        print(", ".join(f"{name} {version}" for name, version in versions.items()), flush=True)
        yield engines


def take_turns(engines, request, repeats, span=0.0):
    """Sends a request to all engines in turns; returns the list of answers of each engine.

    The first answer of each list includes compilation.

    Args:
        engines: Dict of engine name to `Worker`.
        request: The request, the same for all engines.
        repeats: Integer. Number of turns after the first.
        span: Minimum duration of these turns in seconds: shorter calls are repeated, and their
            median is the result. After the pause the threads of an engine sleep, and waking them
            takes longer than translating a sentence.
    """
    answers = {engine: [] for engine in engines}
    for turn in range(1 + repeats):
        for engine, worker in engines.items():
            time.sleep(PAUSE)
            answers[engine].append(worker.ask({**request, "span": span if turn else 0.0}))
    return answers


def median_seconds(answers):
    """Returns the median time of all answers but the first, which includes compilation."""
    return statistics.median(answer["seconds"] for answer in answers[1:])


def print_table(head, lines):
    """Prints a Markdown table."""
    for line in (head, ["---"] * len(head), *lines):
        print(f"| {' | '.join(line)} |", flush=True)


def usable_processors():
    """Returns the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
