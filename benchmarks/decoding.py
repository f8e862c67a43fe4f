"""How fast translations are written: ours, CTranslate2, Hugging Face `generate`.

    python -m benchmarks.decoding --shapes --peers-python peers/bin/python
    python -m benchmarks.decoding --run RUN --source FILE --reference FILE
    python -m benchmarks.decoding --lengths [--run RUN --source FILE]

`--shapes` times search alone: random weights, 20 source tokens, exactly 24 output tokens, 4 beams.
Ours is `Translator.translate` of words that are ids, with its padding and its two workers;
CTranslate2 has our weights, converted, and such words too; Hugging Face has a Marian model of the
same sizes, and ids. `--run` times the translation of a file with a trained run, text to text,
tokenising included, 4 beams without length penalty, and scores it by cased BLEU. `--lengths` times
ours alone: an output token at four lengths, a sentence in texts of three sizes.

Every engine is a process of its own, since frameworks in one process disturb each other's threads.
They stay loaded and take turns of half a second or one call, while the others wait. Times are
medians of `--repeats` turns; the first call, which compiles, is told apart. What is not installed
is skipped.
`--peers-python` is the interpreter that has the peers; ours needs ctranslate2 too, to convert.

All have as many threads, and everything is timed with one thread and with one for each processor
(`--threads`): where other work goes on, threads that wait for each other can be slower than one.
The file of `--json` has each engine's faster figure.

Notes:
    Measured on 2 cores of an AMD EPYC, TensorFlow 2.21; the results are in the README. What helped
    to bring 1,000 Multi30k sentences, 4 beams, from 4.9 s to 1.6 s:

    - A queue of sentences for 16 slots instead of batches of 128, two queues at a time in threads
      of their own. In sorted batches of 128 a slot worked in 59 % of the steps, of 32 in 69 %.
    - The greatest of thousands of logits found by columns (`decoding/greatest.py`): 0.4 instead of
      1.35 ms of processor time a step for 128 x 8,192. (In some programs XLA sorts them all for
      `top_k`, which takes 160 ms.)
    - Keys stored transposed, and the ancestry kept as the mask that it is: together a seventh of
      the processor time.
    - Room for 16 tokens more than the source instead of 50; what needs more is done again.
    - At batch 1, the output layer's table transposed once a call and halved: its product takes 0.08
      instead of 0.28 ms a step (tiny), since it is read in order and two threads take a half each.

    - A few dozen sentences shared out to the two workers instead of one search on two threads,
      whose small kernels come one after the other: 103 to 79 ms (tiny, 32 sentences).
    - A lone batch searched for in the caller's thread: to start one took 1.3 of 8.5 ms.

    What made no difference or was slower: other products of queries and keys (keys first, one
    block-diagonal product for all heads, sums unrolled); queries, keys and values in one product;
    the output layer in blocks, with its operands exchanged, or as one product for 64 rows (XLA's
    own time for it falls by a tenth, the whole does not); 8, 24, 32 or 64 slots; 3 threads; room
    for 8 or 12 tokens more instead of 16; sources padded to 24, too. The source's keys turned as
    the cache's are (their product takes half the time at 128 tokens, the whole as much as before);
    with room for 144 tokens, attention to that quarter, half or three quarters of the cache that is
    in use (`switch`: the products want a copy of the slice, which takes what they save), or a cache
    in blocks, where a `cond` leaves out those that no beam sees (three blocks for 144 tokens: a
    tenth faster, which is not worth its code; six or nine: nothing). Attention to the source in two
    products instead of four, with the projections of queries and outputs multiplied into its keys
    and values once: a tenth faster for a single sentence, a seventh slower for 16. Padding and EOS
    forbidden among the candidates only, and the sum of `exp` taken with the maxima at hand: faster
    by a tenth where a search was all that ran on one thread, by nothing in a file. XLA's flag
    against its concurrent scheduler: 7.1 to 6.2 ms for a single sentence, but flags are the
    process's, not ours. On a busy machine, by processor time: XLA's flags for wider vectors,
    oneDNN, XNNPACK, fast math.

    Beware of two things in the XLA of TensorFlow 2.21 on CPUs: a product whose rows are summed or
    compared right away becomes one kernel of another library, three to six times slower (64 x 512
    by 32,000: 7 ms, with a maximum after it 41); and a slice of what `top_k` gives makes it sort
    everything (1.7 ms instead of 0.1).

    Where a step of the queue goes (TensorFlow's profiler, host_tracer_level=3; Multi30k's model, 32
    slots, 5.6 ms): output layer 15 %, queries by keys 15 %, scores by values 8 %, and the rest in
    some 300 small kernels. At batch 1 the output layer is half. From 16 to 128 tokens (tiny, 16
    slots, one thread) a step grows from 2.6 to 4.7 ms, all of it attention's own products.
"""

import contextlib
import functools
import itertools
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.engines import OURS, PEERS, SIZES, has_our_weights
from benchmarks.parser import parser_of
from benchmarks.turns import Worker, print_table, seconds_of, take_turns, usable_processors

SOURCE, OUTPUT = 20, 24
SPAN = 0.5  # seconds of a turn
LENGTHS = (16, 32, 64, 128)
SENTENCES = (64, 256, 1024)
COLUMNS = {  # and how their numbers are written
    "size": "{}",
    "batch": "{}",
    "threads": "{}",
    "engine": "{}",
    "output_tokens_per_second": "{:,.0f}",
    "seconds": "{:.3f}",
    "times_ours": "{:.2f}",
    "first_call": "{:.2f}",
    "BLEU": "{:.2f}",
}


@contextlib.contextmanager
def workers(arguments, peers, **job):
    """The engines that are installed, by name, ours first."""
    with contextlib.ExitStack() as stack:
        job["converted"] = stack.enter_context(tempfile.TemporaryDirectory())

        def start(engine, python):
            errors = stack.enter_context(tempfile.TemporaryFile())
            worker = Worker(python, "benchmarks.engines", {**job, "engine": engine}, errors)
            stack.callback(worker.close)
            return worker

        found = {OURS: start(OURS, sys.executable)}
        converting = {}
        if any(map(has_our_weights, peers)):
            converting = found[OURS].ask({"export": job["converted"]})
        for peer in peers:
            missing = converting.get("missing") if has_our_weights(peer) else None
            if missing is None:
                worker = start(peer, arguments.peers_python)
                missing = worker.first_answer.get("missing")
            if missing is None:
                found[peer] = worker
            else:
                print(f"{peer} is skipped: {missing}", flush=True)
        made_of = {k: v for one in found.values() for k, v in one.first_answer["made_of"].items()}
        print(", ".join(f"{name} {version}" for name, version in made_of.items()), flush=True)
        yield found


def rows_of(answers, setting, count):
    """A row of the table for each engine; `count` says how many tokens an output has."""
    rows, (size, batch, threads) = [], setting
    for engine, its in answers.items():
        seconds = seconds_of(its)
        rows.append(
            {
                "size": size,
                "batch": batch,
                "threads": threads,
                "engine": engine,
                "output_tokens_per_second": count(its[-1]["output"]) / seconds,
                "seconds": seconds,
                "first_call": its[0]["seconds"],
                "times_ours": seconds / seconds_of(answers[OURS]),
            }
        )
    return rows


def exactly(expected, written):
    """The number of tokens that were written, which must be as many as were asked for."""
    if written != expected:
        raise SystemExit(f"{written} tokens were written instead of {expected}")
    return written


def time_shapes(arguments):
    """Search alone, with random weights."""
    rows = []
    for size, threads in itertools.product(arguments.sizes, arguments.threads):
        with workers(arguments, arguments.peers, threads=threads, size=size) as found:
            for batch in arguments.batches:
                request = {"batch": batch, "source": SOURCE, "output": OUTPUT}
                answers = take_turns(found, request, arguments.repeats, SPAN)
                count = functools.partial(exactly, batch * OUTPUT)
                rows += rows_of(answers, (size, batch, threads), count)
    return rows


def time_run(arguments):
    """A file, text to text, with a trained run."""
    import sacrebleu

    from keras_transformer import Tokenizer

    texts, references = read_lines(arguments.source), read_lines(arguments.reference)
    paths = [arguments.run / f"{name}.model" for name in ("tokenizer", "target_tokenizer")]
    paths = [str(path) for path in paths if path.is_file()]
    tokenizer = Tokenizer.load(paths[-1])
    peers = list(filter(has_our_weights, arguments.peers))
    bleu = sacrebleu.BLEU()

    def count(output):
        return sum(len(ids) + 1 for ids in tokenizer.tokenize(output))  # and EOS

    rows = []
    for threads in arguments.threads:
        job = {"threads": threads, "run": str(arguments.run), "tokenizers": paths}
        with workers(arguments, peers, **job) as found:
            answers = take_turns(found, {"texts": texts}, arguments.repeats, SPAN)
        rows += rows_of(answers, ("run", len(texts), threads), count)
        for row, its in zip(rows[-len(answers) :], answers.values(), strict=True):
            row["BLEU"] = bleu.corpus_score(its[-1]["output"], [references]).score
    return rows


def time_lengths(arguments):
    """Ours alone: an output token at several lengths, a sentence in texts of several sizes."""
    lines, threads = [], max(arguments.threads)
    for size in arguments.sizes:
        with workers(arguments, [], threads=threads, size=size) as found:
            for batch in arguments.batches:
                cells = []
                for length in LENGTHS:
                    request = {"batch": batch, "source": length, "output": length}
                    answers = take_turns(found, request, arguments.repeats, SPAN)[OURS]
                    cells.append(f"{seconds_of(answers) / length / batch * 1e3:.3f}")
                lines.append([size, str(batch), *cells])
    print_table(["ms/output token", "batch", *map(str, LENGTHS)], lines)
    if arguments.run is None:
        return
    cells, texts = [], itertools.cycle(read_lines(arguments.source))
    with workers(arguments, [], threads=threads, run=str(arguments.run)) as found:
        for sentences in SENTENCES:
            request = {"texts": list(itertools.islice(texts, sentences))}
            answers = take_turns(found, request, arguments.repeats, SPAN)[OURS]
            cells.append(f"{seconds_of(answers) / sentences * 1e3:.2f}")
    print_table(["sentences", *map(str, SENTENCES)], [["ms/sentence", *cells]])


def print_rows(rows):
    lines = [
        [COLUMNS[key].format(row[key]) if key in row else "" for key in COLUMNS] for row in rows
    ]
    print_table([key.replace("_", " ") for key in COLUMNS], lines)


def read_lines(path):
    from keras_transformer.io import decode_lines, read_raw_lines

    return decode_lines(read_raw_lines(path), path)


def parse(arguments):
    parser = parser_of("decoding", __doc__)
    option = parser.add_argument
    option("--shapes", action="store_true", help="time search with random weights")
    option("--lengths", action="store_true", help="time ours by length and number of sentences")
    option("--run", type=lambda path: Path(path).resolve(), help="folder of a trained run")
    option("--source", type=Path, help="text to translate, a sentence a line, plain or .gz")
    option("--reference", type=Path, help="its translation, line by line")
    option("--sizes", nargs="+", choices=SIZES, default=["tiny", "base"])
    option("--batches", nargs="+", type=int, default=[1, 32])
    option("--peers", nargs="*", choices=PEERS, default=PEERS)
    option("--peers-python", default=sys.executable, help="interpreter that has the peers")
    option("--threads", nargs="+", type=int, default=sorted({1, usable_processors()}))
    option("--repeats", type=int, default=5)
    option("--json", type=Path, help="file to write the rows of the table to")
    parsed = parser.parse_args(arguments)
    if not (parsed.shapes or parsed.lengths or parsed.reference):
        parser.error("say what to time: --shapes, --lengths, or --run with --reference")
    if (parsed.run is None) != (parsed.source is None) or (parsed.reference and not parsed.run):
        parser.error("--run, --source and --reference go together")
    if shutil.which(parsed.peers_python) is None:
        parser.error(f"--peers-python: there is no interpreter {parsed.peers_python}")
    return parsed


def best(rows):
    """For the file: of every engine, size and batch the fastest row, whatever the threads."""
    keys, kept = ("engine", "size", "batch", "output_tokens_per_second"), {}
    for row in sorted(rows, key=lambda row: row["output_tokens_per_second"]):
        kept[row["engine"], row["size"], row["batch"]] = {key: row[key] for key in keys}
    return list(kept.values())


def main(arguments=None):
    arguments = parse(arguments)
    rows = time_shapes(arguments) if arguments.shapes else []
    if arguments.reference:
        rows += time_run(arguments)
    if rows:
        print_rows(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(best(rows), indent=2) + "\n")
    if arguments.lengths:
        time_lengths(arguments)


if __name__ == "__main__":
    main()
