"""How fast a SavedModel serves a run, against the live translator, and what int8 saves.

    python -m benchmarks.serving --run RUN --source FILE --reference FILE

The run is exported with `--xla`, with `--xla --quantize int8`, and plain. Every one of these, and
`Translator.translate`, is a process of its own that stays loaded; they take turns, one round of
`--requests` requests timed while the others wait. Requests are of 1 and of 32 sentences of the file
in its order (`--batches`), 4 beams, length penalty 0.6; sentences a second are medians of
`--repeats` rounds, after one round that compiles every shape. Beside them: loading, and the first
request of 1 sentence, which compiles. Then the whole file is translated, and scored by cased BLEU.

Sizes are of the folders' variables: the rest, graph and tokenizer, is the same for all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.decoding import read_lines
from benchmarks.turns import PAUSE, ROOT, print_table

SEARCH = {"beam_size": 4, "length_penalty": 0.6}
LIVE, XLA = "live", "saved_model xla"
SERVED = {XLA: ["--xla"], f"{XLA} int8": ["--xla", "--quantize", "int8"], "saved_model": []}
VARIABLES = Path("variables", "variables.data-00000-of-00001")


class Worker:
    """An engine in a process of its own, which waits until it is asked."""

    def __init__(self, kind, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serving", "--worker", kind, "--run", str(folder)],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.loading = self.answer()["seconds"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker failed: run it by hand with --worker to see why")
        return json.loads(line)

    def ask(self, requests):
        print(json.dumps(requests), file=self.process.stdin, flush=True)
        return self.answer()

    def close(self):
        with self.process:
            self.process.stdin.close()


def load(kind, folder):
    """A function from texts to translations."""
    if kind == LIVE:
        from keras_transformer import Translator

        translator = Translator.load(folder)
        return lambda texts: [one.text for one in translator.translate(texts, **SEARCH)]
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    served = tf.saved_model.load(str(folder))
    translate = served.signatures["serving_default"]

    def run(texts):
        found = translate(text=tf.constant(texts))["translation"].numpy()
        return [one.decode() for one in found[:, 0]]

    return run


def work(kind, folder):
    """A worker: reads lists of requests, answers each list; all are lines of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(**message):
        print(json.dumps(message), file=answers, flush=True)

    started = time.perf_counter()
    translate = load(kind, folder)
    answer(seconds=time.perf_counter() - started)
    for line in sys.stdin:
        requests = json.loads(line)
        started = time.perf_counter()
        output = [one for texts in requests for one in translate(texts)]
        answer(seconds=time.perf_counter() - started, output=output)


def export(run, folder, options):
    command = [sys.executable, "-m", "keras_transformer", "export", "--run", str(run)]
    subprocess.run([*command, "--output", str(folder), *options], cwd=ROOT, check=True)


def requests_of(texts, batch, count):
    """So many requests of so many texts each, the file again and again."""
    texts = texts * (1 + batch * count // len(texts))
    return [texts[n * batch : (n + 1) * batch] for n in range(count)]


def time_engines(engines, texts, arguments):
    """A row for every engine: loading, first request, sentences a second at every batch size."""
    rows = {name: [worker.loading] for name, worker in engines.items()}
    for name, worker in engines.items():
        rows[name].append(worker.ask([texts[:1]])["seconds"])
    for batch in arguments.batches:
        requests = requests_of(texts, batch, arguments.requests)
        seconds = {name: [] for name in engines}
        for turn in range(1 + arguments.repeats):
            for name, worker in engines.items():
                time.sleep(PAUSE)
                worker.ask(requests[:1] if turn else requests)  # its threads are awake, or compiled
                seconds[name].append(worker.ask(requests)["seconds"])
        for name, its in seconds.items():
            rows[name].append(batch * arguments.requests / statistics.median(its[1:]))
    return rows


def bleu_of(engines, texts, references):
    import sacrebleu

    outputs = {name: worker.ask([texts])["output"] for name, worker in engines.items()}
    scores = {
        name: sacrebleu.BLEU().corpus_score(output, [references]).score
        for name, output in outputs.items()
    }
    same = {
        name: sum(one == other for one, other in zip(output, outputs[LIVE], strict=True))
        for name, output in outputs.items()
    }
    return scores, same


def main(arguments=None):
    arguments = parse(arguments)
    if arguments.worker:
        work(arguments.worker, arguments.run)
        return
    texts, references = read_lines(arguments.source), read_lines(arguments.reference)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / str(n) for n, name in enumerate(SERVED)}
        for name, options in SERVED.items():
            export(arguments.run, folders[name], options)
        sizes = {name: (folder / VARIABLES).stat().st_size for name, folder in folders.items()}
        engines = {LIVE: Worker(LIVE, arguments.run)}
        engines |= {name: Worker("served", folder) for name, folder in folders.items()}
        rows = time_engines(engines, texts, arguments)
        scores, same = bleu_of(engines, texts, references)
        for worker in engines.values():
            worker.close()
    head = ["", "loading s", "first request s"]
    for batch in arguments.batches:
        head += [f"sentences/s, batch {batch}", "times live"]
    lines = []
    for name, (loading, first, *speeds) in rows.items():
        line = [name, f"{loading:.2f}", f"{first:.2f}"]
        for speed, live in zip(speeds, rows[LIVE][2:], strict=True):
            line += [f"{speed:,.1f}", f"{speed / live:.2f}"]
        size = f"{sizes[name] / 1e6:.2f}" if name in sizes else ""
        lines.append([*line, size, f"{scores[name]:.2f}", f"{same[name]}"])
    print_table([*head, "variables MB", "BLEU", f"as live, of {len(texts)}"], lines)


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("--run", type=lambda path: Path(path).resolve(), required=True, help="a finished run")
    option("--source", type=Path, help="text to translate, a sentence a line, plain or .gz")
    option("--reference", type=Path, help="its translation, line by line")
    option("--batches", nargs="+", type=int, default=[1, 32])
    option("--requests", type=int, default=30, help="requests in a round")
    option("--repeats", type=int, default=5)
    option("--worker", choices=[LIVE, "served"], help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if not parsed.worker and not (parsed.source and parsed.reference):
        parser.error("--run, --source and --reference go together")
    return parsed


if __name__ == "__main__":
    main()
