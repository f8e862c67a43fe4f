"""How fast models are trained: ours, PyTorch's `nn.Transformer`, keras-hub's layers.

    python -m benchmarks.training --source train.en.gz --target train.de.gz
    python -m benchmarks.training --lengths
    python -m benchmarks.training --source train.en.gz --target train.de.gz --pipeline

The two files are made into the batches that a recipe would train on (`TokenBatches`: sentences of
similar length, `--tokens-per-batch` positions), and every engine gets the same ones, the first
`--steps` of an epoch, with the same model, loss, masks and places of dropout
(`benchmarks/training_engines.py`). What counts are real target tokens a second: padding is work but
no result. `keras_transformer-packed` is ours too: it puts the pairs of each batch side by side in
longer rows, in which they do not see each other, as `PackedBatches` does with a whole corpus. Loss
and gradients are those of the padded batch.

Every engine is a process of its own. They stay loaded and take turns, one pass over the batches at
a time, while the others wait. Times are medians of `--repeats` passes; the first pass, which traces
and compiles every shape, is told apart. A peer is timed in each of its modes, plain and compiled;
the file of `--json` has the faster mode of each engine, ours too. What is not installed is skipped.
`--peers-python` is the interpreter that has PyTorch; keras-hub runs in ours.

`ceiling` is the share of the speed at which the same machine multiplies two large float32 matrices
(the faster of TensorFlow and PyTorch), counting the model's matrix products alone.

`--lengths` times ours on full rows: a token at several lengths and batch sizes, and the memory at
its highest. `--pipeline` times our batches without a model.

Notes:
    Measured on 2 cores of an AMD EPYC, TensorFlow 2.21; the results are in the README.

    Where a step goes (TensorFlow's profiler, host_tracer_level=3; tiny, 192 x 20 + 21 tokens, 235
    ms, kernels one after the other): products of matrices 170 ms, of which the output layer 55 to
    60, projections and feed-forward 94, attention's own 23; sums and maxima along an axis 14;
    exp and differences of softmax and loss 12; transposed copies of heads 13; dropout, ReLU,
    normalisation, Adam and 600 other small kernels the rest.

    What helped:

    - The loss without logits (`training/projected_loss.py`): 273 to 239 ms a step, and 15 to 11 s
      for the first step. Logits are made in four parts, each of which goes through loss and both
      gradients while it is in the cache; `exp` is taken once; the vectors' gradient is summed as
      `(d_model, V)`, in which XLA's product of 8,192 x 4,032 by 128 takes 27 instead of 58 ms.
      8 and 16 parts were slower (252 and 266 ms), 1 and 2 too; at base 2, 3 and 4 are the same.
    - The vectors' gradient summed over `(B, T)` by `einsum` instead of over rows: then XLA copies
      the turned positions before the product instead of reading them across. 480 x 512 by 32,000
      takes 37 instead of 61 ms alone; a step 255 to 240 ms (tiny), 2,250 to 2,180 (base).
    - No autotuning in `tf.data`: with it the end of a pass could wait for the tuner's thread, which
      sleeps for a period that doubles: passes of 5.1 s took 10.2.

    - No padding (`keras_transformer-packed`): a fifth of the positions of such batches is padding,
      and all products are made for it. In packed rows a tenth is left, and a step takes 0.86 of
      the time (tiny), 0.77 and 0.86 (base, two sittings). Rows of 96 leave 10 %
      of padding, those of 64 15 %, those of 128 9 %; only 96 was timed. A whole epoch packed into
      rows of 64 (`PackedBatches`, 4 % of padding) against `TokenBatches` of four shapes: 1.18 and
      1.28 times the tokens a second, by a script that is not kept.

    What did not: queries, keys and values in one product, made by putting their kernels side by
    side (the same within noise); the loss in parts by one gradient tape a part (284 ms: what is
    gained by the cache is lost, since `exp` is taken twice); label terms of the gradient by scatter
    instead of a comparison (266 instead of 252 ms at 8 parts); projections and feed-forward by
    `einsum` (a third slower: products of three axes go to another library), or by a gradient of
    their own that sums over `(B, T)` (single products are faster by a tenth, the step is not);
    sums for the gradients of normalisation's scale and shift as products with ones (XLA's take 2 ms
    each at base, but beside products: the step is not faster).
"""

import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.parser import parser_of
from benchmarks.training_engines import ENGINES, SIZES
from benchmarks.turns import print_table, seconds_of, take_turns, usable_processors, workers

OURS, PACKED, *PEERS = ENGINES
NAMES = (OURS, "torch", "keras-hub")  # of the rows in the file
TOKENS = {"tiny": 4096, "base": 2048, "big": 1024, "toy": 256}
STEPS = {"tiny": 16, "base": 4, "big": 2, "toy": 2}
LENGTHS, POSITIONS = (16, 32, 64, 128), (1024, 2048, 4096, 8192)
COLUMNS = {  # and how their numbers are written
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
    """The pairs of the two files as tokens, with a vocabulary learnt from them."""
    from keras_transformer import Tokenizer
    from keras_transformer.data import PairFilter, ParallelFiles, TokenCache

    pairs = ParallelFiles(arguments.source, arguments.target)
    both = (side for pair in pairs for side in pair)
    tokenizer = Tokenizer.train(both, arguments.vocabulary, model_type="bpe", seed=0)
    return TokenCache.build(pairs, tokenizer, folder, PairFilter(max_length=64), tokenizer)


def make_batches(cache, arguments, size):
    """The batches that a recipe would train on."""
    from keras_transformer.data import TokenBatches

    tokens = arguments.tokens_per_batch or TOKENS[size]
    return TokenBatches(cache, tokens, arguments.max_shapes, seed=0)


def padding_of(batches):
    """The share of the positions of both sides that is padding."""
    sides = [side for inputs, labels in batches for side in (inputs["source"], labels)]
    return 1 - sum((side != 0).sum() for side in sides) / sum(side.size for side in sides)


def write_batches(batches, path):
    """Writes batches, of `(inputs, labels)` each, as the engines read them."""
    arrays = {}
    for n, (inputs, labels) in enumerate(batches):
        arrays |= {f"source{n}": inputs["source"], f"target{n}": inputs["target"]}
        arrays[f"labels{n}"] = labels
    np.savez(path, **arrays)


def engines_of(arguments, engines, **job):
    """`workers` of some engines, each with its interpreter."""
    pythons = {
        engine: arguments.peers_python if engine.startswith("torch") else sys.executable
        for engine in engines
    }
    return workers("benchmarks.training_engines", pythons, **job)


def time_engines(arguments, cache, size):
    """A row of the table for each engine."""
    batches, steps = make_batches(cache, arguments, size), arguments.steps or STEPS[size]
    shapes = ", ".join("x".join(map(str, shape)) for shape in batches.shapes)
    chosen = list(itertools.islice(batches.epoch(0), steps))
    print(
        f"{size}: {steps} of {batches.steps_per_epoch} batches of {shapes}; of the positions "
        f"{padding_of(chosen):.1%} are padding ({batches.padding:.1%} of all batches')",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batches.npz"
        write_batches(chosen, path)
        job = {"threads": arguments.threads, "size": size, "batches": str(path)}
        with engines_of(arguments, [OURS, PACKED, *arguments.peers], **job) as found:
            answers = take_turns(found, {"steps": steps}, arguments.repeats)
            ceiling = max(
                worker.ask({"ceiling": True})["output"]
                for engine, worker in found.items()
                if engine in (OURS, "torch")
            )
            flops = {name: found[name].ask({"flops": steps})["output"] for name in (OURS, PACKED)}
    return [
        row_of(engine, its, answers[OURS], size, flops.get(engine, flops[OURS]) / ceiling)
        for engine, its in answers.items()
    ]


def row_of(engine, its, ours, size, ideal):
    """A row; `ideal` is how long the matrix products alone would take at the ceiling."""
    seconds = seconds_of(its)
    return {
        "size": size,
        "engine": engine,
        "target_tokens_per_second": its[-1]["output"]["tokens"] / seconds,
        "times_ours": seconds / seconds_of(ours),
        "ceiling": ideal / seconds,
        "seconds": seconds,
        "first_pass": its[0]["seconds"],
        "loss": its[-1]["output"]["loss"],
    }


def full_rows(rows, length):
    """A batch without padding."""
    ids = np.random.default_rng(0).integers(4, 64, (3, rows, length), "int32")
    return {"source": ids[0], "target": ids[1]}, ids[2]


def time_lengths(arguments, size):
    """Ours alone, on full rows: a line of the table for each number of positions in a batch."""
    lines = []
    for positions in POSITIONS:
        cells, steps = [], max(2, 2 * POSITIONS[-1] // positions)
        for length in LENGTHS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "batches.npz"
                write_batches([full_rows(positions // length, length)] * steps, path)
                job = {"threads": arguments.threads, "size": size, "batches": str(path)}
                with engines_of(arguments, [OURS], **job) as found:
                    answers = take_turns(found, {"steps": steps}, arguments.repeats)[OURS]
                    memory = found[OURS].ask({"memory": True})["output"]
            cells.append(
                f"{seconds_of(answers) / steps / positions * 1e6:.1f} ({memory / 1e6:,.0f} MB)"
            )
        lines.append([size, str(positions), *cells])
    return lines


def time_pipeline(arguments, cache, size):
    """Real target tokens a second that our input pipeline yields without a model."""
    batches = make_batches(cache, arguments, size)
    times = []
    for _ in range(1 + arguments.repeats):
        started, tokens = time.perf_counter(), 0
        for _, labels in batches.dataset().take(batches.steps_per_epoch).as_numpy_iterator():
            tokens += int((labels != 0).sum())
        times.append(tokens / (time.perf_counter() - started))
    return statistics.median(times[1:])


def parse(arguments):
    parser = parser_of("training", __doc__)
    option = parser.add_argument
    option("--source", type=Path, help="text to learn from, a sentence a line, plain or .gz")
    option("--target", type=Path, help="its translation, line by line")
    option("--lengths", action="store_true", help="time ours by length and batch size")
    option("--pipeline", action="store_true", help="time our batches without a model")
    option("--sizes", nargs="+", choices=SIZES, default=["tiny", "base"])
    option("--peers", nargs="*", choices=PEERS, default=PEERS)
    option("--peers-python", default=sys.executable, help="interpreter that has PyTorch")
    option("--vocabulary", type=int, default=8000, help="ids of the tokenizer")
    option("--tokens-per-batch", type=int, help=f"positions of a batch (default: {TOKENS})")
    option("--max-shapes", type=int, default=4, help="different shapes of batches")
    option("--steps", type=int, help=f"batches of a pass (default: {STEPS})")
    option("--threads", type=int, default=usable_processors())
    option("--repeats", type=int, default=5)
    option("--json", type=Path, help="file to write the rows of the table to")
    parsed = parser.parse_args(arguments)
    if not (parsed.lengths or (parsed.source and parsed.target)):
        parser.error("say what to time: --source with --target, or --lengths")
    return parsed


def best(rows):
    """For the file: of every engine and size the faster mode."""
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
        print_table(["microseconds a token", "positions", *map(str, LENGTHS)], lines)


if __name__ == "__main__":
    main()
