"""Times training: this package, PyTorch's `nn.Transformer`, keras-hub's layers.

    python -m benchmarks.training --source train.en.gz --target train.de.gz
    python -m benchmarks.training --lengths
    python -m benchmarks.training --source train.en.gz --target train.de.gz --pipeline

The two files become the batches that a recipe would train on (`TokenBatches`: sentences of similar
length, `--tokens-per-batch` positions). Every engine trains on the same ones, the first `--steps`
of an epoch, with the same model, loss, masks and places of dropout
(`benchmarks/training_engines.py`). The result is real target tokens per second: padding is work,
but not output. `keras_transformer-packed` is this package with the pairs of each batch packed into
longer rows, in which they do not attend to each other, as `PackedBatches` does with a whole corpus.
Loss and gradients are those of the padded batch. `keras_transformer-rows` is this package with as
many positions a step in rows of the whole corpus, as long as its longest pair, as the trainer makes
them: other pairs, so their tokens a second are to be compared.

Each engine runs in a separate process. The processes stay loaded and take turns, one pass over the
batches at a time, while the others wait. Times are medians of `--repeats` passes; the first pass,
which traces and compiles every shape, is reported separately. Peers are timed in each of their
modes, plain and compiled; the file of `--json` has the faster mode of each engine, ours included.
Engines that are not installed are skipped. `--peers-python` is the interpreter with PyTorch;
keras-hub runs in this environment.

`ceiling` is the share of the speed at which the same machine multiplies two large float32 matrices
(the faster of TensorFlow and PyTorch), counting the model's matrix products only.

`--lengths` times this package on full rows: per token at several lengths and batch sizes, and the
peak memory. `--pipeline` times the input pipeline without a model.

Notes:
    Measured on 2 cores of an AMD EPYC, TensorFlow 2.21; the results are in docs/performance.md.

    Time of a step (TensorFlow's profiler, host_tracer_level=3; tiny, 192 x 20 + 21 tokens, 235 ms,
    kernels one after the other): matrix products 170 ms, of which the output layer takes 55 to 60,
    projections and feed-forward 94, and attention 23; sums and maxima along an axis 14; exp and
    differences of softmax and loss 12; transposed copies of heads 13; dropout, ReLU, normalization,
    Adam and 600 other small kernels the rest.

    What made training faster:

    - The loss without logits (`training/projected_loss.py`): 273 to 239 ms a step, and 15 to 11 s
      for the first step. Logits are computed in four parts, each of which goes through loss and
      both gradients while it is in the CPU cache; `exp` is computed once; the gradient of the
      vectors is summed as `(d_model, V)`, in which XLA's product of 8,192 x 4,032 by 128 takes 27
      instead of 58 ms. 8 and 16 parts were slower (252 and 266 ms), 1 and 2 too; at base 2, 3 and 4
      are equal.
    - The gradient of the vectors summed over `(B, T)` by `einsum` instead of over rows: XLA then
      copies the transposed positions before the product instead of reading them across. 480 x 512
      by 32,000 takes 37 instead of 61 ms alone; a step 255 to 240 ms (tiny), 2,250 to 2,180 (base).
    - No autotuning in `tf.data`: with it the end of a pass could wait for the tuner's thread, whose
      sleep doubles: passes of 5.1 s took 10.2.
    - Packed rows (`keras_transformer-packed`): a fifth of the positions of the padded batches is
      padding, on which all products are computed; in rows of 96 positions it is a tenth. A step
      takes 0.86 of the time (tiny), 0.77 and 0.86 (base, two measurements).

    What did not make training faster:

    - Queries, keys and values in one product, made by concatenating their kernels: the same within
      noise.
    - The loss in parts by one gradient tape a part: 284 ms. What the cache gains is lost, since
      `exp` is computed twice.
    - Label terms of the gradient by scatter instead of a comparison: 266 instead of 252 ms at 8
      parts.
    - Projections and feed-forward by `einsum`, a third slower: products of three axes go to another
      library. With a custom gradient that sums over `(B, T)`, single products are faster by a
      tenth, the step is not.
    - Sums for the gradients of normalization's scale and shift as products with ones: XLA's take
      2 ms each at base, but run beside products, and the step is not faster.
"""

import itertools
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.parser import make_parser
from benchmarks.training_engines import ENGINES, SIZES
from benchmarks.turns import (
    median_seconds,
    print_table,
    start_workers,
    take_turns,
    usable_processors,
)

OURS, PACKED, ROWS, *PEERS = ENGINES
OWN = (OURS, PACKED, ROWS)
NAMES = (OURS, "torch", "keras-hub")  # engine names in the file
TOKENS = {"tiny": 4096, "base": 2048, "big": 1024, "toy": 256}
STEPS = {"tiny": 16, "base": 4, "big": 2, "toy": 2}
LENGTHS, POSITIONS = (16, 32, 64, 128), (1024, 2048, 4096, 8192)
COLUMNS = {  # with the format of their values
    "size": "{}",
    "engine": "{}",
    "target_tokens_per_second": "{:,.0f}",
    "times_ours": "{:.2f}",
    "ceiling": "{:.0%}",
    "seconds": "{:.2f}",
    "first_pass": "{:.1f}",
    "loss": "{:.3f}",
}


def read_cache(arguments, folder):
    """Tokenizes the pairs of the two files, with a vocabulary trained on them."""
    from keras_transformer import Tokenizer
    from keras_transformer.data import PairFilter, ParallelFiles, TokenCache

    pairs = ParallelFiles(arguments.source, arguments.target)
    both = (side for pair in pairs for side in pair)
    tokenizer = Tokenizer.train(both, arguments.vocabulary, model_type="bpe", seed=0)
    return TokenCache.build(pairs, tokenizer, folder, PairFilter(max_length=64), tokenizer)


def make_batches(cache, arguments, size):
    """Returns the batches that a recipe would train on."""
    from keras_transformer.data import TokenBatches

    tokens = arguments.tokens_per_batch or TOKENS[size]
    return TokenBatches(cache, tokens, arguments.max_shapes, seed=0)


def make_rows(cache, arguments, size):
    """Returns the rows that a recipe would train on."""
    from keras_transformer.data import PackedBatches

    tokens = arguments.tokens_per_batch or TOKENS[size]
    return PackedBatches(cache, tokens, 8 * math.ceil(cache.lengths.max() / 8))


def padding_share(batches):
    """Returns the share of padding among the positions of both sides."""
    sides = [side for inputs, labels in batches for side in (inputs["source"], labels)]
    return 1 - sum((side != 0).sum() for side in sides) / sum(side.size for side in sides)


def write_batches(batches, path):
    """Writes batches, each `(inputs, labels)`, in the format of `read_batches`."""
    arrays = {}
    for n, (inputs, labels) in enumerate(batches):
        arrays |= {f"{name}{n}": array for name, array in {**inputs, "labels": labels}.items()}
    np.savez(path, **arrays)


def start_engines(arguments, engines, **job):
    """Starts some of the engines, each with its Python interpreter; see `start_workers`."""
    pythons = {
        engine: arguments.peers_python if engine.startswith("torch") else sys.executable
        for engine in engines
    }
    return start_workers("benchmarks.training_engines", pythons, **job)


def time_engines(arguments, cache, size):
    """Times all engines for one size; returns a row of the table for each engine."""
    batches, rows = make_batches(cache, arguments, size), make_rows(cache, arguments, size)
    steps = arguments.steps or STEPS[size]
    shapes = ", ".join("x".join(map(str, shape)) for shape in batches.shapes)
    chosen = list(itertools.islice(batches.epoch(0), steps))
    print(
        f"{size}: {steps} of {batches.steps_per_epoch} batches of {shapes}, "
        f"{padding_share(chosen):.1%} padding ({batches.padding:.1%} in all batches); rows of "
        f"{'x'.join(map(str, rows.shapes[0]))}, {rows.padding:.1%} padding",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: str(Path(folder) / f"{name}.npz") for name in ("batches", "rows")}
        write_batches(chosen, paths["batches"])
        write_batches(itertools.islice(rows.epoch(0), steps), paths["rows"])
        job = {"threads": arguments.threads, "size": size, **paths}
        with start_engines(arguments, [*OWN, *arguments.peers], **job) as engines:
            answers = take_turns(engines, {"steps": steps}, arguments.repeats)
            ceiling = max(
                worker.ask({"ceiling": True})["output"]
                for engine, worker in engines.items()
                if engine in (OURS, "torch")
            )
            flops = {name: engines[name].ask({"flops": steps})["output"] for name in OWN}
    return [
        make_row(engine, passes, answers[OURS], size, flops.get(engine, flops[OURS]) / ceiling)
        for engine, passes in answers.items()
    ]


def make_row(engine, passes, ours, size, ideal):
    """Makes the row of an engine.

    Args:
        engine: Name of the engine.
        passes: Answers of the engine, one per pass.
        ours: Answers of this package.
        size: Name of the model size.
        ideal: Seconds that the matrix products alone would take at the ceiling.
    """
    seconds, rate, our_rate = median_seconds(passes), token_rate(passes), token_rate(ours)
    return {
        "size": size,
        "engine": engine,
        "target_tokens_per_second": rate,
        "times_ours": our_rate / rate,
        "ceiling": ideal / seconds,
        "seconds": seconds,
        "first_pass": passes[0]["seconds"],
        "loss": passes[-1]["output"]["loss"],
    }


def token_rate(passes):
    """Returns the real target tokens per second of some passes."""
    return passes[-1]["output"]["tokens"] / median_seconds(passes)


def full_rows(rows, length):
    """Returns a batch of random ids without padding."""
    ids = np.random.default_rng(0).integers(4, 64, (3, rows, length), "int32")
    return {"source": ids[0], "target": ids[1]}, ids[2]


def time_lengths(arguments, size):
    """Times this package on full rows; returns a table row for each number of positions."""
    lines = []
    for positions in POSITIONS:
        cells, steps = [], max(2, 2 * POSITIONS[-1] // positions)
        for length in LENGTHS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "batches.npz"
                write_batches([full_rows(positions // length, length)] * steps, path)
                job = {"threads": arguments.threads, "size": size, "batches": str(path)}
                with start_engines(arguments, [OURS], **job) as engines:
                    answers = take_turns(engines, {"steps": steps}, arguments.repeats)[OURS]
                    memory = engines[OURS].ask({"memory": True})["output"]
            cells.append(
                f"{median_seconds(answers) / steps / positions * 1e6:.1f} ({memory / 1e6:,.0f} MB)"
            )
        lines.append([size, str(positions), *cells])
    return lines


def time_pipeline(arguments, cache, size):
    """Returns the real target tokens per second of the input pipeline without a model."""
    batches = make_batches(cache, arguments, size)
    times = []
    for _ in range(1 + arguments.repeats):
        started, tokens = time.perf_counter(), 0
        for _, labels in batches.dataset().take(batches.steps_per_epoch).as_numpy_iterator():
            tokens += int((labels != 0).sum())
        times.append(tokens / (time.perf_counter() - started))
    return statistics.median(times[1:])


def parse(arguments):
    parser = make_parser("training", __doc__)
    option = parser.add_argument
    option("--source", type=Path, help="training text, one sentence per line, plain or .gz")
    option("--target", type=Path, help="translation of it, line by line")
    option("--lengths", action="store_true", help="time this package by length and batch size")
    option("--pipeline", action="store_true", help="time the input pipeline without a model")
    option("--sizes", nargs="+", choices=SIZES, default=["tiny", "base"])
    option("--peers", nargs="*", choices=PEERS, default=PEERS)
    option("--peers-python", default=sys.executable, help="Python interpreter with PyTorch")
    option("--vocabulary", type=int, default=8000, help="size of the vocabulary")
    option("--tokens-per-batch", type=int, help=f"positions per batch (default: {TOKENS})")
    option("--max-shapes", type=int, default=4, help="maximum number of batch shapes")
    option("--steps", type=int, help=f"batches per pass (default: {STEPS})")
    option("--threads", type=int, default=usable_processors())
    option("--repeats", type=int, default=5)
    option("--json", type=Path, help="file for the faster rows of the table")
    parsed = parser.parse_args(arguments)
    if not (parsed.lengths or (parsed.source and parsed.target)):
        parser.error("nothing to time: give --source with --target, or --lengths")
    return parsed


def best(rows):
    """Returns the row of the faster mode of each engine and size."""
    keys, kept = ("engine", "size", "target_tokens_per_second"), {}
    for row in sorted(rows, key=lambda row: row["target_tokens_per_second"]):
        engine = next(name for name in NAMES if row["engine"].startswith(name))
        kept[engine, row["size"]] = {**{key: row[key] for key in keys}, "engine": engine}
    return list(kept.values())


def main(arguments=None):
    arguments, rows = parse(arguments), []
    if arguments.source:
        with tempfile.TemporaryDirectory() as folder:
            cache = read_cache(arguments, folder)
            for size in arguments.sizes:
                if arguments.pipeline:
                    rate = time_pipeline(arguments, cache, size)
                    print(f"{size}: the pipeline yields {rate:,.0f} real target tokens a second")
                else:
                    rows += time_engines(arguments, cache, size)
    if rows:
        print_table(
            [key.replace("_", " ") for key in COLUMNS],
            [[form.format(row[key]) for key, form in COLUMNS.items()] for row in rows],
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(best(rows), indent=2) + "\n")
    if arguments.lengths:
        lines = [line for size in arguments.sizes for line in time_lengths(arguments, size)]
        print_table(["microseconds per token", "positions", *map(str, LENGTHS)], lines)


if __name__ == "__main__":
    main()
