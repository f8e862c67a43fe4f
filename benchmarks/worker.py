"""Worker side of a timed engine: a process that needs no other part of this package.

The worker reads lines of JSON from stdin, a job and then requests, and answers each with a line of
JSON. The job names the engine. The engine's `prepare` function prepares each request the first time
it is received; only the run itself is timed. The run is repeated until the `span` of the request, a
number of seconds, has passed, and the median is reported; without a span it runs once.
"""

import importlib.metadata
import json
import os
import statistics
import sys
import time


def repeat(run, span):
    """Runs a function for at least `span` seconds; returns all times and the last output."""
    times = []
    while not times or sum(times) < span:
        started = time.perf_counter()
        output = run()
        times.append(time.perf_counter() - started)
    return times, output


def work(engines):
    """Serves the engine that the job names.

    Args:
        engines: Dict of name to `(function that starts the engine, packages to report the versions
            of)`.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to stderr

    def answer(function, *arguments):
        try:
            message = function(*arguments)
        except ImportError as error:
            message = {"missing": str(error)}
        print(json.dumps(message), file=answers, flush=True)

    job = json.loads(sys.stdin.readline())
    start, packages = engines[job["engine"]]
    prepare, prepared = None, {}

    def start_engine():
        nonlocal prepare
        started = time.perf_counter()
        prepare = start(job)
        seconds = time.perf_counter() - started
        versions = {name: importlib.metadata.version(name) for name in packages}
        return {"seconds": seconds, "versions": versions}

    def call(line):
        request = json.loads(line)
        span, key = request.pop("span", 0.0), json.dumps(request)
        if key not in prepared:
            prepared[key] = prepare(request)
        times, output = repeat(prepared[key], span)
        return {"seconds": statistics.median(times), "output": output}

    answer(start_engine)
    for request in sys.stdin:
        answer(call, request)
