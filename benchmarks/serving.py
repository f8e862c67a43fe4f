"""Times SavedModels against the live `Translator`, and CTranslate2 against a plain loop.

    python -m benchmarks.serving --run RUN --source FILE --reference FILE
    python -m benchmarks.serving --run RUN --source FILE --reference FILE --batches 1000 \
        --requests 1 --engines "ctranslate2 float32" "translate_iterable float32"

The run is exported with `--xla`, with `--xla --quantize int8`, and without options. Each of these,
and `Translator.translate`, runs in a separate process that stays loaded. The processes take turns
of half a second or one round of `--requests` requests, while the others wait. Requests have 1 and
32 sentences of the file, in its order (`--batches`), with 4 beams and length penalty 0.6. Sentences
per second are medians of `--repeats` turns, after one round that compiles every shape. The table
also has the loading time, and the time of the first request of 1 sentence, which compiles. Then the
whole file is translated and scored with cased BLEU.

`ctranslate2 TYPE` is `Translator.load(run, "ctranslate2", TYPE)`. `translate_iterable TYPE` is a
plain loop around CTranslate2's method of this name, with the same threads, one sentence tokenized
at a time. Both go from text to text. They are timed only if `--engines` names them.

Sizes are those of the variables: graph and tokenizer are the same for all.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.decoding import read_lines
from benchmarks.parser import make_parser
from benchmarks.serving_engines import CTRANSLATE2, LIVE, LOOPS, OPTIONS
from benchmarks.turns import ROOT, median_seconds, print_table, start_workers, take_turns

SPAN = 0.5  # seconds of a turn
VARIABLES = Path("variables", "variables.data-00000-of-00001")


def export(run, folder, options):
    command = [sys.executable, "-m", "keras_transformer", "export", "--run", str(run)]
    subprocess.run([*command, "--output", str(folder), *options], cwd=ROOT, check=True)


def make_requests(texts, batch, count):
    """Returns `count` requests of `batch` texts each, cycling through the texts."""
    texts = texts * (1 + batch * count // len(texts))
    return [texts[n * batch : (n + 1) * batch] for n in range(count)]


def time_engines(engines, texts, arguments):
    """Times all engines.

    Returns:
        Dict of engine name to loading time, time of the first request, and sentences per second at
        each batch size.
    """
    rows = {name: [worker.first_answer["seconds"]] for name, worker in engines.items()}
    for name, worker in engines.items():
        rows[name].append(worker.ask({"requests": [texts[:1]]})["seconds"])
    for batch in arguments.batches:
        request = {"requests": make_requests(texts, batch, arguments.requests)}
        answers = take_turns(engines, request, arguments.repeats, SPAN)
        for name, rounds in answers.items():
            rows[name].append(batch * arguments.requests / median_seconds(rounds))
    return rows


def score_outputs(engines, texts, references):
    """Returns BLEU, and the number of translations equal to the live ones, of each engine."""
    import sacrebleu

    request = {"requests": [texts]}
    outputs = {name: worker.ask(request)["output"] for name, worker in engines.items()}
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
    texts, references = read_lines(arguments.source), read_lines(arguments.reference)
    with tempfile.TemporaryDirectory() as scratch:
        exported = [name for name in OPTIONS if name in arguments.engines]
        folders = {name: Path(scratch) / str(n) for n, name in enumerate(exported)}
        for name, folder in folders.items():
            export(arguments.run, folder, OPTIONS[name])
        sizes = {name: (folder / VARIABLES).stat().st_size for name, folder in folders.items()}
        if LOOPS.keys() & set(arguments.engines):
            folders["converted"] = Path(scratch) / "converted"
            export(arguments.run, folders["converted"], ["--format", "ctranslate2"])
        paths = {name: str(path) for name, path in {LIVE: arguments.run, **folders}.items()}
        pythons = dict.fromkeys([LIVE, *arguments.engines], sys.executable)
        with start_workers("benchmarks.serving_engines", pythons, folders=paths) as engines:
            rows = time_engines(engines, texts, arguments)
            scores, same = score_outputs(engines, texts, references)
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
    print_table([*head, "variables MB", "BLEU", f"equal to live, of {len(texts)}"], lines)


def parse(arguments):
    parser = make_parser("serving", __doc__)
    option = parser.add_argument
    option("--run", type=lambda path: Path(path).resolve(), required=True, help="finished run")
    option("--source", type=Path, required=True, help="text, one sentence per line, plain or .gz")
    option("--reference", type=Path, required=True, help="reference translation, line by line")
    option("--engines", nargs="+", choices=[*OPTIONS, *CTRANSLATE2, *LOOPS], default=[*OPTIONS])
    option("--batches", nargs="+", type=int, default=[1, 32])
    option("--requests", type=int, default=30, help="requests per round")
    option("--repeats", type=int, default=5)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
