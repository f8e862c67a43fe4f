"""How fast a SavedModel serves a run, against the live translator, and what int8 saves.

    python -m benchmarks.serving --run RUN --source FILE --reference FILE

The run is exported with `--xla`, with `--xla --quantize int8`, and plain. Every one of these, and
`Translator.translate`, is a process of its own that stays loaded; they take turns of half a second
or one round of `--requests` requests, while the others wait. Requests are of 1 and of 32 sentences
of the file in its order (`--batches`), 4 beams, length penalty 0.6; sentences a second are medians
of `--repeats` turns, after one round that compiles every shape. Beside them: loading, and the first
request of 1 sentence, which compiles. Then the whole file is translated, and scored by cased BLEU.

Sizes are of the folders' variables: the rest, graph and tokenizer, is the same for all.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.decoding import read_lines
from benchmarks.parser import parser_of
from benchmarks.serving_engines import LIVE, OPTIONS
from benchmarks.turns import ROOT, print_table, seconds_of, take_turns, workers

SPAN = 0.5  # seconds of a turn
VARIABLES = Path("variables", "variables.data-00000-of-00001")


def export(run, folder, options):
    command = [sys.executable, "-m", "keras_transformer", "export", "--run", str(run)]
    subprocess.run([*command, "--output", str(folder), *options], cwd=ROOT, check=True)


def requests_of(texts, batch, count):
    """So many requests of so many texts each, the file again and again."""
    texts = texts * (1 + batch * count // len(texts))
    return [texts[n * batch : (n + 1) * batch] for n in range(count)]


def time_engines(found, texts, arguments):
    """A row for every engine: loading, first request, sentences a second at every batch size."""
    rows = {name: [worker.first_answer["seconds"]] for name, worker in found.items()}
    for name, worker in found.items():
        rows[name].append(worker.ask({"requests": [texts[:1]]})["seconds"])
    for batch in arguments.batches:
        round_of_them = {"requests": requests_of(texts, batch, arguments.requests)}
        answers = take_turns(found, round_of_them, arguments.repeats, SPAN)
        for name, its in answers.items():
            rows[name].append(batch * arguments.requests / seconds_of(its))
    return rows


def bleu_of(found, texts, references):
    import sacrebleu

    everything = {"requests": [texts]}
    outputs = {name: worker.ask(everything)["output"] for name, worker in found.items()}
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
        folders = {name: Path(scratch) / str(n) for n, name in enumerate(OPTIONS)}
        for name, options in OPTIONS.items():
            export(arguments.run, folders[name], options)
        sizes = {name: (folder / VARIABLES).stat().st_size for name, folder in folders.items()}
        paths = {name: str(path) for name, path in {LIVE: arguments.run, **folders}.items()}
        pythons = dict.fromkeys(paths, sys.executable)
        with workers("benchmarks.serving_engines", pythons, folders=paths) as found:
            rows = time_engines(found, texts, arguments)
            scores, same = bleu_of(found, texts, references)
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
    parser = parser_of("serving", __doc__)
    option = parser.add_argument
    option("--run", type=lambda path: Path(path).resolve(), required=True, help="a finished run")
    option("--source", type=Path, required=True, help="text, a sentence a line, plain or .gz")
    option("--reference", type=Path, required=True, help="its translation, line by line")
    option("--batches", nargs="+", type=int, default=[1, 32])
    option("--requests", type=int, default=30, help="requests in a round")
    option("--repeats", type=int, default=5)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
