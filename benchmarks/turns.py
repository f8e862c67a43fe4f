"""Engines in processes of their own, which take turns: what all benchmarks of speed share."""

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
PAUSE = 0.3  # seconds before a call: the threads of the engine before go on spinning for a while


class Worker:
    """An engine in a process of its own, which waits until it is asked."""

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
def workers(module, pythons, environment=None, **job):
    """Those engines that are installed, by name; what is not is told.

    Args:
        module: The module of the engines.
        pythons: The interpreter of each engine, by its name.
        environment: Environment variables that they get besides.
        **job: What all are told at the start.
    """
    with contextlib.ExitStack() as stack:
        found = {}
        for engine, python in pythons.items():
            errors = stack.enter_context(tempfile.TemporaryFile())
            worker = Worker(python, module, {**job, "engine": engine}, errors, environment)
            stack.callback(worker.close)
            if "missing" in worker.first_answer:
                print(f"{engine} is skipped: {worker.first_answer['missing']}", flush=True)
            else:
                found[engine] = worker
        made_of = {k: v for one in found.values() for k, v in one.first_answer["made_of"].items()}
        print(", ".join(f"{name} {version}" for name, version in made_of.items()), flush=True)
        yield found


def take_turns(found, request, repeats, span=0.0):
    """Every engine's answers, first the one for which it had to compile.

    Args:
        found: `Worker` of each engine, by name.
        request: What they are asked, all the same.
        repeats: How many turns count.
        span: Seconds that such a turn takes at least: a shorter call is made again and again, and
            the median counts. After the pause an engine's threads sleep, and to wake them takes
            longer than a sentence.
    """
    answers = {engine: [] for engine in found}
    for turn in range(1 + repeats):
        for engine, worker in found.items():
            time.sleep(PAUSE)
            answers[engine].append(worker.ask({**request, "span": span if turn else 0.0}))
    return answers


def seconds_of(answers):
    return statistics.median(answer["seconds"] for answer in answers[1:])


def print_table(head, lines):
    """A table in Markdown."""
    for line in (head, ["---"] * len(head), *lines):
        print(f"| {' | '.join(line)} |", flush=True)


def usable_processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
