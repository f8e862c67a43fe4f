"""Times translation: this package, CTranslate2, Hugging Face `generate`.

    python -m benchmarks.decoding --shapes --peers-python peers/bin/python
    python -m benchmarks.decoding --run RUN --source FILE --reference FILE
    python -m benchmarks.decoding --lengths [--run RUN --source FILE]

`--shapes` times search alone: random weights, 20 source tokens, exactly 24 output tokens, 4 beams.
This package runs `Translator.translate` on words that encode ids, with its padding and its two
workers; CTranslate2 has the same weights, converted, and the same words; Hugging Face has a Marian
model of the same sizes, and ids. `--run` times the translation of a file with a trained run, from
text to text, tokenization included, with 4 beams and no length penalty, and scores it with cased
BLEU. `--lengths` times this package alone: per output token at four lengths, and per sentence in
texts of three sizes.

Each engine runs in a separate process, since frameworks in one process disturb each other's
threads. The processes stay loaded and take turns of half a second or one call, while the others
wait. Times are medians of `--repeats` turns; the first call, which compiles, is reported
separately. Engines that are not installed are skipped. `--peers-python` is the interpreter with the
peers; this package's environment also needs ctranslate2, for the conversion.

All engines have the same number of threads. Everything is timed with one thread and with one per
processor (`--threads`): on a busy machine, threads that wait for each other can be slower than one.
The file of `--json` has the faster figure of each engine.

Notes:
    Measured on 2 cores of an AMD EPYC, TensorFlow 2.21; the results are in docs/performance.md.

    What made decoding faster, from 4.9 to 1.6 s for 1,000 Multi30k sentences with 4 beams:

    - Continuous batching: sentences share 16 slots instead of batches of 128, in two threads. In
      sorted batches of 128 a slot worked in 59 % of the steps, of 32 in 69 %.
    - Two-stage top-k (`decoding/top_k.py`): 0.4 instead of 1.35 ms of processor time a step for
      128 x 8,192. (In some programs XLA sorts everything for `top_k`, which takes 160 ms.)
    - Keys stored transposed, and the ancestry stored as a mask: together a seventh of the processor
      time.
    - A maximum length of 16 tokens more than the source instead of 50 at first; longer outputs are
      searched again.
    - The output layer's table transposed once a call, so that a product of few rows reads it in
      order. (Split in two halves, one for each thread, it is no longer faster: the halves of the
      logits must be put together.)
    - Padding and EOS masked among the ten best tokens of a beam only, and the softmax's maximum
      taken from them: nothing but the column maxima and the sum of `exp` reads all logits.
    - Sentences that are searched again, because they need more than the first maximum length, in
      small batches: among 16 slots a single one costs as much as 16.
    - A few dozen sentences shared between the two workers instead of one search on two threads,
      whose small kernels run one after the other: 103 to 79 ms (tiny, 32 sentences).
    - A lone batch searched in the caller's thread: starting one took 1.3 of 8.5 ms.

    What made no difference or was slower:

    - Other products of queries and keys: keys first, one block-diagonal product for all heads, sums
      unrolled; queries, keys and values in one product.
    - The output layer in blocks, or with its operands exchanged: XLA's own time for it falls by a
      tenth, the total does not.
    - 8, 10, 12, 24, 32 or 64 slots (12 are slower at base); 3 threads; a limit of 8 or 12 tokens
      more than the source instead of 16; sources padded to 24, too.
    - The source's keys transposed as in the cache: their product takes half the time at 128 tokens,
      the total is unchanged.
    - With a limit of 144 tokens, attention to the quarter, half or three quarters of the cache that
      is in use (`switch`): the products need a copy of the slice, which takes what they save. A
      cache in blocks, where a `cond` skips those that no beam attends to: three blocks for 144
      tokens are a tenth faster, which is not worth the code; six or nine gain nothing.
    - Attention to the source in two products instead of four, with the query and output projections
      multiplied into its keys and values once: a tenth faster for a single sentence, a seventh
      slower for 16.
    - One top-k for all beams of a sentence instead of one for each: the softmax's maxima then come
      from the column maxima, which XLA computes anew in a slower kernel.
    - Fewer kernels in normalizations. XLA makes two of every sum over more than 32 numbers; sums
      over two shorter axes are merged by its simplifier again. Means of x and of its square by one
      product with ones are slower for a single sentence: XLA fuses the product into a kernel of
      another library.
    - XLA's flag against its concurrent scheduler: 7.1 to 6.2 ms for a single sentence, once, and
      slower another time; flags belong to the process. Its flag against products on two threads.
      On a busy machine, by processor time: XLA's flags for wider vectors, oneDNN, XNNPACK, fast
      math.

    Two pitfalls in the XLA of TensorFlow 2.21 on CPUs: a product whose rows are summed or compared
    right away becomes one kernel of another library, three to six times slower (64 x 512 by 32,000:
    7 ms, with a maximum after it 41); and a slice of the result of `top_k` makes it sort everything
    (1.7 ms instead of 0.1).

    Time of a step of continuous batching (TensorFlow's profiler, host_tracer_level=3; Multi30k's
    model, 32 slots, 5.6 ms): output layer 15 %, queries by keys 15 %, scores by values 8 %, and the
    rest in some 300 small kernels. At batch 1 the output layer is half. From 16 to 128 tokens
    (tiny, 16 slots, one thread) a step grows from 2.6 to 4.7 ms, all of it in attention's products.
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
from benchmarks.parser import make_parser
from benchmarks.turns import Worker, median_seconds, print_table, take_turns, usable_processors

SOURCE, OUTPUT = 20, 24
SPAN = 0.5  # seconds of a turn
LENGTHS = (16, 32, 64, 128)
SENTENCES = (64, 256, 1024)
COLUMNS = {  # with the format of their values
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
def start_workers(arguments, peers, **job):
    """Returns a context manager that yields the `Worker` of each installed engine, ours first."""
    with contextlib.ExitStack() as stack:
        job["converted"] = stack.enter_context(tempfile.TemporaryDirectory())

        def start(engine, python):
            errors = stack.enter_context(tempfile.TemporaryFile())
            worker = Worker(python, "benchmarks.engines", {**job, "engine": engine}, errors)
            stack.callback(worker.close)
            return worker

        engines = {OURS: start(OURS, sys.executable)}
        export_answer = {}
        if any(map(has_our_weights, peers)):
            export_answer = engines[OURS].ask({"export": job["converted"]})
        for peer in peers:
            missing = export_answer.get("missing") if has_our_weights(peer) else None
            if missing is None:
                worker = start(peer, arguments.peers_python)
                missing = worker.first_answer.get("missing")
            if missing is None:
                engines[peer] = worker
            else:
                print(f"{peer} is skipped: {missing}", flush=True)
        versions = {
            k: v for one in engines.values() for k, v in one.first_answer["versions"].items()
        }
        print(", ".join(f"{name} {version}" for name, version in versions.items()), flush=True)
        yield engines


def make_rows(answers, setting, count):
    """Makes a row of the table for each engine.

    Args:
        answers: Dict of engine name to its answers.
        setting: Tuple of size, batch size and number of threads.
        count: Function that returns the number of tokens of an output.
    """
    rows, (size, batch, threads) = [], setting
    for engine, calls in answers.items():
        seconds = median_seconds(calls)
        rows.append(
            {
                "size": size,
                "batch": batch,
                "threads": threads,
                "engine": engine,
                "output_tokens_per_second": count(calls[-1]["output"]) / seconds,
                "seconds": seconds,
                "first_call": calls[0]["seconds"],
                "times_ours": seconds / median_seconds(answers[OURS]),
            }
        )
    return rows


def check_token_count(expected, written):
    """Returns the number of written tokens, which must be `expected`."""
    if written != expected:
        raise SystemExit(f"{written} tokens were written. Expected: {expected}")
    return written


def time_shapes(arguments):
    """Times search alone, with random weights; returns the rows of the table."""
    rows = []
    for size, threads in itertools.product(arguments.sizes, arguments.threads):
        with start_workers(arguments, arguments.peers, threads=threads, size=size) as engines:
            for batch in arguments.batches:
                request = {"batch": batch, "source": SOURCE, "output": OUTPUT}
                answers = take_turns(engines, request, arguments.repeats, SPAN)
                count = functools.partial(check_token_count, batch * OUTPUT)
                rows += make_rows(answers, (size, batch, threads), count)
    return rows


def time_run(arguments):
    """Times a file, from text to text, with a trained run; returns the rows of the table."""
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
        with start_workers(arguments, peers, **job) as engines:
            answers = take_turns(engines, {"texts": texts}, arguments.repeats, SPAN)
        rows += make_rows(answers, ("run", len(texts), threads), count)
        for row, calls in zip(rows[-len(answers) :], answers.values(), strict=True):
            row["BLEU"] = bleu.corpus_score(calls[-1]["output"], [references]).score
    return rows


def time_lengths(arguments):
    """Times this package alone, by length and by number of sentences, and prints the tables."""
    lines, threads = [], max(arguments.threads)
    for size in arguments.sizes:
        with start_workers(arguments, [], threads=threads, size=size) as engines:
            for batch in arguments.batches:
                cells = []
                for length in LENGTHS:
                    request = {"batch": batch, "source": length, "output": length}
                    answers = take_turns(engines, request, arguments.repeats, SPAN)[OURS]
                    cells.append(f"{median_seconds(answers) / length / batch * 1e3:.3f}")
                lines.append([size, str(batch), *cells])
    print_table(["ms/output token", "batch", *map(str, LENGTHS)], lines)
    if arguments.run is None:
        return
    cells, texts = [], itertools.cycle(read_lines(arguments.source))
    with start_workers(arguments, [], threads=threads, run=str(arguments.run)) as engines:
        for sentences in SENTENCES:
            request = {"texts": list(itertools.islice(texts, sentences))}
            answers = take_turns(engines, request, arguments.repeats, SPAN)[OURS]
            cells.append(f"{median_seconds(answers) / sentences * 1e3:.2f}")
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
    parser = make_parser("decoding", __doc__)
    option = parser.add_argument
    option("--shapes", action="store_true", help="time search with random weights")
    option(
        "--lengths", action="store_true", help="time this package by length and number of sentences"
    )
    option("--run", type=lambda path: Path(path).resolve(), help="folder of a trained run")
    option("--source", type=Path, help="text to translate, one sentence per line, plain or .gz")
    option("--reference", type=Path, help="reference translation, line by line")
    option("--sizes", nargs="+", choices=SIZES, default=["tiny", "base"])
    option("--batches", nargs="+", type=int, default=[1, 32])
    option("--peers", nargs="*", choices=PEERS, default=PEERS)
    option("--peers-python", default=sys.executable, help="Python interpreter with the peers")
    option("--threads", nargs="+", type=int, default=sorted({1, usable_processors()}))
    option("--repeats", type=int, default=5)
    option("--json", type=Path, help="file for the faster rows of the table")
    parsed = parser.parse_args(arguments)
    if not (parsed.shapes or parsed.lengths or parsed.reference):
        parser.error("nothing to time: give --shapes, --lengths, or --run with --reference")
    if (parsed.run is None) != (parsed.source is None) or (parsed.reference and not parsed.run):
        parser.error("--run, --source and --reference go together")
    if shutil.which(parsed.peers_python) is None:
        parser.error(f"--peers-python: there is no interpreter {parsed.peers_python}")
    return parsed


def best(rows):
    """Returns the fastest row of each engine, size and batch, over all numbers of threads."""
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
