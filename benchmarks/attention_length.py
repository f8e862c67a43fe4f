"""Compares time and memory of a training step with formulas, for attentions and lengths.

    python -m benchmarks.attention_length --lengths 512 2048 8192

The step is that of `fit` on the JAX backend on a CPU, in float32 with Adam, for one sequence of a
decoder-only model. Its layers have full attention (F), local attention (L: their own block and the
one before) or memory-compressed attention (M). XLA says how many bytes the compiled step takes. A
step that does not fit into `--gib` (by default, what the machine has available) is not run: it is
out of memory. Times are the shortest of `--repeats` after a first one. The program needs JAX.

Notes:
    Both formulas count the scores of all heads: full attention has n * n, local attention n * 2 *
    block and memory-compressed attention n * (n // 3 + 1) of them (`scores`). The coefficients of
    `step_bytes` were fitted on steps of 512 to 8,192 tokens of this model with four mixes of the
    layers, within -13 and +15 % of XLA's figures. The three coefficients of the time (`step_work`)
    depend on the machine. They are fitted to the times themselves and printed, so that the ratios
    say how well the form of the formula holds. Without the third, for scores that do not fit into
    the cache, it was 23 % off for full attention at 512 tokens and 18 % at 8,192.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.parser import make_parser
from benchmarks.turns import ROOT, print_table

D_MODEL, HEADS, D_FF, VOCABULARY = 128, 4, 256, 256
BLOCK, LOOK_BACK, COMPRESSION = 128, 1, 3
MIXES = {"full": "FFFFF", "local": "LLLLL", "local and compressed": "LMLML"}


def scores(kind, length):
    """Returns how many attention scores a layer computes for each head.

    >>> [scores(kind, 2048) for kind in "FLM"]
    [4194304, 524288, 1398784]
    """
    if kind == "M":
        return length * (length // COMPRESSION + 1)
    window = (LOOK_BACK + 1) * BLOCK
    if kind == "F" or length <= window:
        return length * length
    return -(-length // BLOCK) * BLOCK * window


def step_bytes(layers, length, parameters):
    """Estimates the bytes of a training step in float32.

    Weights and Adam's two moments, and for the backward pass, of each layer, 13 vectors of
    `d_model` per token and 2.8 tensors of the size of the scores. With local attention come 3.2
    copies of windows as vectors of `d_model`, of which a token stands in two.

    >>> round(step_bytes("LLLLL", 2048, 725_632) / 1e6)
    228
    """
    vectors = sum(13 + 3.2 * (LOOK_BACK + 1) * (kind == "L") for kind in layers)
    heads = HEADS * sum(scores(kind, length) for kind in layers)
    return 4 * (3 * parameters + length * D_MODEL * vectors + 2.8 * heads)


def step_work(layers, length, cache=32 * 2**20):
    """Returns what the time of a step is made of.

    These are vectors of tokens; scores of all heads; and those of them that pass through memory,
    since the scores of their layer do not fit into the processor's cache of `cache` bytes.

    >>> step_work("LLLLL", 2048)
    (10240, 10485760, 0)
    >>> step_work("FFLLL", 2048)
    (10240, 39845888, 33554432)
    """
    layer_scores = [HEADS * scores(kind, length) for kind in layers]
    in_memory = sum(count for count in layer_scores if 4 * count > cache)
    return length * len(layers), sum(layer_scores), in_memory


def fit_seconds(work, seconds):
    """Returns the seconds per unit of each kind of work, with the least relative errors.

    >>> [round(float(rate), 6) for rate in fit_seconds([(1, 2), (2, 1), (1, 1)], [5, 4, 3])]
    [1.0, 2.0]
    """
    import numpy as np

    relative = np.array(work) / np.array(seconds)[:, None]
    return np.linalg.lstsq(relative, np.ones(len(seconds)), rcond=None)[0]


def available_bytes():
    """Returns the memory that the machine has available."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable")))


def measure(layers, length, limit, repeats):
    """Returns the bytes of a step, the number of parameters and the seconds, in a dict.

    Seconds are missing if the step does not fit.
    """
    job = {
        "layers": layers, "length": length, "limit": limit, "repeats": repeats,
        "d_model": D_MODEL, "heads": HEADS, "d_ff": D_FF, "vocabulary": VOCABULARY,
        "block": BLOCK, "look_back": LOOK_BACK, "compression": COMPRESSION,
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.attention_length_engine", json.dumps(job)]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    if not answers or (run.returncode and run.returncode != -9):  # -9: the system took its memory
        raise SystemExit(f"{layers}, {length} tokens failed:\n{run.stderr[-3000:]}")
    return {key: value for answer in answers for key, value in answer.items()}


def parse(arguments):
    parser = make_parser("attention_length", __doc__)
    option = parser.add_argument
    option("--lengths", nargs="+", type=int, default=[512, 2048, 8192], help="tokens of a row")
    option("--mixes", nargs="+", choices=MIXES, default=list(MIXES), help="layers of the model")
    option("--repeats", type=int, default=5, help="steps that are timed")
    option("--cache-mib", type=float, default=32, help="the processor's last cache")
    option("--gib", type=float, help="memory that a step may take; default: what is available")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse(arguments)
    limit = available_bytes() if arguments.gib is None else arguments.gib * 2**30
    found = {}
    for name in arguments.mixes:
        for length in arguments.lengths:
            answer = measure(MIXES[name], length, limit, arguments.repeats)
            found[name, length] = answer
            print(f"{len(found)}: {name}, {length}: {answer}", file=sys.stderr, flush=True)
    timed = {key: min(answer["seconds"]) for key, answer in found.items() if "seconds" in answer}
    cache = arguments.cache_mib * 2**20
    work = {key: step_work(MIXES[key[0]], key[1], cache) for key in timed}
    expected = {}
    if len(timed) > 3:
        rates = fit_seconds(list(work.values()), list(timed.values()))
        expected = {key: rates @ one for key, one in work.items()}
        per_token, per_score, in_memory = rates * 1e6
        print(
            f"{per_token:.3g} us a token and layer, {per_score:.3g} us a score, "
            f"{in_memory:.3g} us more if the scores of a layer do not fit into the cache"
        )
    print_table(
        ["attention", "tokens", "MB", "formula / XLA", "seconds", "formula / measured"],
        [_line(*key, answer, timed.get(key), expected.get(key)) for key, answer in found.items()],
    )


def _line(name, length, answer, seconds, expected_seconds):
    """Returns a line of the table; without a time, the step is out of memory."""
    expected = step_bytes(MIXES[name], length, answer["parameters"])
    memory = f"{answer['bytes'] / 1e6:,.0f}", f"{expected / answer['bytes']:.2f}"
    if seconds is None:
        return [name, f"{length:,}", *memory, "out of memory", ""]
    ratio = "" if expected_seconds is None else f"{expected_seconds / seconds:.2f}"
    return [name, f"{length:,}", *memory, f"{seconds:.3f}", ratio]


if __name__ == "__main__":
    main()
