"""How fast models are trained on an accelerator: ours on JAX, PyTorch's compiled `nn.Transformer`.

    python -m benchmarks.accelerator --sizes base big --peak 989

Full rows of random ids, without padding, in bfloat16 (ours `mixed_bfloat16`, PyTorch `autocast`);
otherwise as `benchmarks.training`, whose models these are. Ours trains by `fit`. Each engine is a
process of its own and takes turns with the others, one pass of `--steps` steps at a time; each has
the whole device while it is its turn, but keeps its memory. The first pass compiles and is told
apart.

`ceiling` is the share of the speed at which the same device multiplies two square matrices of
`--matrix` rows (the faster of JAX and PyTorch), `peak` that of the manufacturer's figure, if it is
given; both count the model's matrix products alone.

Notes:
    No accelerator has been at hand: the program has only been tried on processors, and the README
    states no figure of it.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.accelerator_engines import ENGINES, SIZES
from benchmarks.parser import parser_of
from benchmarks.training import full_rows, write_batches
from benchmarks.turns import print_table, seconds_of, take_turns, workers

OURS, *PEERS = ENGINES
ROWS, LENGTH = {"base": 256, "big": 128, "tiny": 512, "toy": 3}, 64
# Each process would take most of the device's memory at once.
ENVIRONMENT = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
COLUMNS = {  # and how their numbers are written
    "size": "{}",
    "engine": "{}",
    "target_tokens_per_second": "{:,.0f}",
    "times_ours": "{:.2f}",
    "ceiling": "{:.0%}",
    "peak": "{:.0%}",
    "step": "{:.4f}",
    "first_pass": "{:.1f}",
}


def time_size(arguments, size):
    """A row of the table for each engine."""
    rows = arguments.rows or ROWS[size]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batches.npz"
        write_batches([full_rows(rows, arguments.length)], path)
        job = {"size": size, "precision": arguments.precision, "batches": str(path)}
        pythons = {OURS: sys.executable, **dict.fromkeys(arguments.peers, arguments.peers_python)}
        with workers("benchmarks.accelerator_engines", pythons, ENVIRONMENT, **job) as found:
            answers = take_turns(found, {"steps": arguments.steps}, arguments.repeats)
            ceiling = max(
                worker.ask({"ceiling": arguments.matrix})["output"] for worker in found.values()
            )
            flops = found[OURS].ask({"flops": True})["output"]
            device = found[OURS].ask({"device": True})["output"]
    print(
        f"{size}: {rows} rows of {arguments.length} + {arguments.length} tokens on {device}, "
        f"which multiplies at {ceiling / 1e12:.2f} TFLOP/s",
        flush=True,
    )
    ours = seconds_of(answers[OURS])
    table = []
    for engine, its in answers.items():
        step = seconds_of(its) / arguments.steps
        row = {
            "size": size,
            "engine": engine,
            "target_tokens_per_second": rows * arguments.length / step,
            "times_ours": seconds_of(its) / ours,
            "ceiling": flops / step / ceiling,
            "step": step,
            "first_pass": its[0]["seconds"],
        }
        if arguments.peak:
            row["peak"] = flops / step / (arguments.peak * 1e12)
        table.append(row)
    return table


def parse(arguments):
    parser = parser_of("accelerator", __doc__)
    option = parser.add_argument
    option("--sizes", nargs="+", choices=SIZES, default=["base", "big"])
    option("--peers", nargs="*", choices=PEERS, default=["torch-compiled"])
    option("--peers-python", default=sys.executable, help="interpreter that has PyTorch")
    option("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    option("--rows", type=int, help=f"rows of a batch (default: {ROWS})")
    option("--length", type=int, default=LENGTH, help="tokens of a side of a row")
    option("--steps", type=int, default=30, help="steps of a pass")
    option("--peak", type=float, help="the manufacturer's TFLOP/s in that precision")
    option("--matrix", type=int, default=8192, help="rows of the matrices that are the ceiling")
    option("--repeats", type=int, default=5)
    option("--json", type=Path, help="file to write the rows of the table to")
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
