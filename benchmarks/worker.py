"""An engine that is timed, in a process of its own that needs nothing of ours.

It reads a job, then requests, and answers each, all in lines of JSON. A job names the engine; a
request is what its `prepare` makes ready, once, and each time it comes only the run is timed.
"""

import importlib.metadata
import json
import os
import sys
import time


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
        prepare = start(job)
        return {"made_of": {name: importlib.metadata.version(name) for name in packages}}

    def call(request):
        if request not in ready:
            ready[request] = prepare(json.loads(request))
        started = time.perf_counter()
        output = ready[request]()
        return {"seconds": time.perf_counter() - started, "output": output}

    answer(begin)
    for request in sys.stdin:
        answer(call, request)
