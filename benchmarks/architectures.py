"""Times decoding with the architectures of the catalogue, in turns.

    python -m benchmarks.architectures

Random weights, sources and outputs of exactly `--length` tokens, 4 beams, `Translator.translate`.
Each architecture runs in a separate process, which waits while another one works. Times are medians
of `--repeats` turns; `times plain` is the ratio to the paper's Transformer.
"""

import contextlib
import sys
import tempfile

from benchmarks.engines import OURS, SIZES
from benchmarks.parser import make_parser
from benchmarks.turns import Worker, median_seconds, print_table, take_turns, usable_processors

PLAIN = "transformer"
SPAN = 0.5  # seconds of a turn


def time_architectures(arguments, size, batch):
    """Returns the median seconds of each architecture for a batch of sentences."""
    with contextlib.ExitStack() as stack:
        engines = {}
        for name in dict.fromkeys([PLAIN, *arguments.architectures]):
            errors = stack.enter_context(tempfile.TemporaryFile())
            job = {"engine": OURS, "architecture": name, "size": size}
            job["threads"] = arguments.threads
            engines[name] = Worker(sys.executable, "benchmarks.engines", job, errors)
            stack.callback(engines[name].close)
        request = {"batch": batch, "source": arguments.length, "output": arguments.length}
        answers = take_turns(engines, request, arguments.repeats, SPAN)
    return {name: median_seconds(calls) for name, calls in answers.items()}


def main(arguments=None):
    parser = make_parser("architectures", __doc__)
    option = parser.add_argument
    names = ["multi_query", "grouped_query", "rotary", "relative"]
    option("--architectures", nargs="+", default=names, help="names of the catalogue")
    option("--sizes", nargs="+", choices=SIZES, default=["tiny"])
    option("--batches", nargs="+", type=int, default=[1, 32])
    option("--length", type=int, default=128, help="tokens of each source and output")
    option("--threads", type=int, default=usable_processors())
    option("--repeats", type=int, default=5)
    arguments = parser.parse_args(arguments)
    lines = []
    for size in arguments.sizes:
        for batch in arguments.batches:
            seconds = time_architectures(arguments, size, batch)
            for name, value in seconds.items():
                rate, ratio = batch * arguments.length / value, value / seconds[PLAIN]
                lines.append([size, str(batch), name, f"{rate:,.0f}", f"{ratio:.2f}"])
    print_table(["size", "batch", "architecture", "output tokens per second", "times plain"], lines)


if __name__ == "__main__":
    main()
