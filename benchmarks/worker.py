"""An engine that is timed, in a process of its own that needs nothing of ours.

It reads a job, then requests, and answers each, all in lines of JSON. A job names the engine; a
request is what its `prepare` makes ready, once, and each time it comes only the run is timed: once,
or as often as the `span` of the request allows, a number of seconds; then the median counts.
"""

import importlib.metadata
import json
import os
import statistics
import sys
import time


def repeat(run, span):
    """How long each of some runs in a row took, and the output of the last."""
    times = []
    while not times or sum(times) < span:
        started = time.perf_counter()
        output = run()
        times.append(time.perf_counter() - started)
    return times, output


def work(engines):
    """Serves one of the engines: name to (function that starts it, packages it is made of)."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(function, *arguments):
        try:
            message = function(*arguments)
        except ImportError as error:
            message = {"missing": str(error)}
        print(json.dumps(message), file=answers, flush=True)

    job = json.loads(sys.stdin.readline())
    start, packages = engines[job["engine"]]
    prepare, ready = None, {}

    def begin():
        nonlocal prepare
        started = time.perf_counter()
        prepare = start(job)
        seconds = time.perf_counter() - started
        made_of = {name: importlib.metadata.version(name) for name in packages}
        return {"seconds": seconds, "made_of": made_of}

    def call(line):
        request = json.loads(line)
        span, key = request.pop("span", 0.0), json.dumps(request)
        if key not in ready:
            ready[key] = prepare(request)
        times, output = repeat(ready[key], span)
        return {"seconds": statistics.median(times), "output": output}

    answer(begin)
    for request in sys.stdin:
        answer(call, request)
