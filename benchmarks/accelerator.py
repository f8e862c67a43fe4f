"""Times training on an accelerator: this package on JAX against PyTorch's `nn.Transformer`.

    python -m benchmarks.accelerator --sizes base big --peak 989

Both train on full rows of random ids, without padding, in bfloat16 (`mixed_bfloat16` here,
`autocast` in PyTorch). Models, loss and optimizer are those of `benchmarks.training`. This package
trains with `fit`; PyTorch's model is compiled with `torch.compile`.

Each engine runs in a separate process. The engines take turns, one pass of `--steps` steps at a
time; each has the whole device during its turn, but keeps its memory between turns. The first pass
compiles and is reported separately.

`--fused` adds this package with `FusedAttention`, which stores no scores. It matters for long rows:

    python -m benchmarks.accelerator --sizes base --fused --length 1024 --rows 16
    python -m benchmarks.accelerator --sizes base --fused --length 4096 --rows 4

`ceiling` is the share of the speed at which the same device multiplies two square matrices with
`--matrix` rows (the faster of JAX and PyTorch). `peak` is the share of the manufacturer's figure,
where `--peak` gives it. Both count the model's matrix products only. `gigabytes` is the
peak memory that each engine reports, compilation included.

Notes:
    Measured on one NVIDIA H100, without `--fused`; the results are in docs/performance.md.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.accelerator_engines import ENGINES, SIZES
from benchmarks.parser import make_parser
from benchmarks.training import full_rows, write_batches
from benchmarks.turns import median_seconds, print_table, start_workers, take_turns

OURS, FUSED, *PEERS = ENGINES
ROWS, LENGTH = {"base": 256, "big": 128, "tiny": 512, "toy": 3}, 64
# By default each JAX process would allocate most of the device's memory.
ENVIRONMENT = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
COLUMNS = {  # with the format of their values
    "size": "{}",
    "engine": "{}",
    "target_tokens_per_second": "{:,.0f}",
    "times_ours": "{:.2f}",
    "ceiling": "{:.0%}",
    "peak": "{:.0%}",
    "step": "{:.4f}",
    "first_pass": "{:.1f}",
    "gigabytes": "{:.1f}",
}


def time_size(arguments, size):
    """Times all engines for one size; returns a row of the table for each engine."""
    rows = arguments.rows or ROWS[size]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batches.npz"
        write_batches([full_rows(rows, arguments.length)], path)
        job = {"size": size, "precision": arguments.precision, "batches": str(path)}
        own = (OURS, FUSED) if arguments.fused else (OURS,)
        pythons = dict.fromkeys(own, sys.executable)
        pythons |= dict.fromkeys(arguments.peers, arguments.peers_python)
        with start_workers(
            "benchmarks.accelerator_engines", pythons, ENVIRONMENT, **job
        ) as engines:
            answers = take_turns(engines, {"steps": arguments.steps}, arguments.repeats)
            memory = {
                name: worker.ask({"memory": True})["output"] for name, worker in engines.items()
            }
            ceiling = max(
                worker.ask({"ceiling": arguments.matrix})["output"] for worker in engines.values()
            )
            flops = engines[OURS].ask({"flops": True})["output"]
            device = engines[OURS].ask({"device": True})["output"]
    print(
        f"{size}: {rows} rows of {arguments.length} + {arguments.length} tokens on {device}, "
        f"which multiplies at {ceiling / 1e12:.2f} TFLOP/s",
        flush=True,
    )
    ours = median_seconds(answers[OURS])
    table = []
    for engine, passes in answers.items():
        step = median_seconds(passes) / arguments.steps
        row = {
            "size": size,
            "engine": engine,
            "target_tokens_per_second": rows * arguments.length / step,
            "times_ours": median_seconds(passes) / ours,
            "ceiling": flops / step / ceiling,
            "step": step,
            "first_pass": passes[0]["seconds"],
        }
        if memory[engine]:
            row["gigabytes"] = memory[engine] / 1e9
        if arguments.peak:
            row["peak"] = flops / step / (arguments.peak * 1e12)
        table.append(row)
    return table


def parse(arguments):
    parser = make_parser("accelerator", __doc__)
    option = parser.add_argument
    option("--sizes", nargs="+", choices=SIZES, default=["base", "big"])
    option("--peers", nargs="*", choices=PEERS, default=["torch-compiled"])
    option("--fused", action="store_true", help="also time this package with `FusedAttention`")
    option("--peers-python", default=sys.executable, help="Python interpreter with PyTorch")
    option("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    option("--rows", type=int, help=f"rows per batch (default: {ROWS})")
    option("--length", type=int, default=LENGTH, help="tokens on each side of a row")
    option("--steps", type=int, default=30, help="steps per pass")
    option("--peak", type=float, help="manufacturer's TFLOP/s in this precision")
    option("--matrix", type=int, default=8192, help="rows of the matrices that measure the ceiling")
    option("--repeats", type=int, default=5)
    option("--json", type=Path, help="file for the rows of the table")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse(arguments)
    rows = [row for size in arguments.sizes for row in time_size(arguments, size)]
    columns = {key: form for key, form in COLUMNS.items() if key in rows[0]}
    print_table(
        [key.replace("_", " ") for key in columns],
        [[form.format(row[key]) for key, form in columns.items()] for row in rows],
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
