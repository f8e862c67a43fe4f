"""Measures the rate and the peak memory of `Translator.stream` against one call of `translate`.

    python -m benchmarks.streaming --run runs/phrasebook --lines 10000 --streamed 1000000

Both translate the sentences of the built-in corpus, repeated as often as needed, in one process:
first a pass of each that compiles, then `--rounds` of each in turn. With `--joined 30`, a line has
1 to 30 of the sentences, at random, so that lines have all padded lengths. The
peak resident memory is printed after every step. For Linux: on macOS `ru_maxrss` counts bytes.
"""

import itertools
import random
import resource
import statistics
import time
from collections.abc import Iterator

from benchmarks.parser import make_parser
from keras_transformer import Translator
from keras_transformer.data.phrasebook import phrasebook


def lines(count: int, joined: int) -> Iterator[str]:
    """Yields lines of 1 to `joined` sources of the built-in corpus, one after the other."""
    sources = itertools.cycle([source for source, _ in phrasebook().train])
    generator = random.Random(7)
    for _ in range(count):
        yield " ".join(itertools.islice(sources, generator.randint(1, joined)))


def peak_gib() -> float:
    """Returns the peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def timed(name: str, count: int, work) -> float:
    """Runs a function, prints its rate and the peak memory, and returns the rate."""
    start = time.perf_counter()
    done = work()
    assert done == count, f"{done} answers to {count} texts"
    rate = count / (time.perf_counter() - start)
    print(f"{name:<20} {rate:8.1f} lines/s   peak {peak_gib():.2f} GiB", flush=True)
    return rate


def main() -> None:
    parser = make_parser("streaming", __doc__)
    parser.add_argument("--run", required=True, help="folder of a finished run")
    parser.add_argument("--lines", type=int, default=10_000, help="lines of a call of `translate`")
    parser.add_argument("--streamed", type=int, default=0, help="lines of a last, long stream")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--joined", type=int, default=1, help="most sentences of a line")
    parser.add_argument("--beam-size", type=int, default=4)
    arguments = parser.parse_args()
    translator = Translator.load(arguments.run)
    beam_size, count, joined = arguments.beam_size, arguments.lines, arguments.joined

    def translated() -> int:
        return len(translator.translate(list(lines(count, joined)), beam_size))

    def streamed(count: int) -> int:
        return sum(1 for _ in translator.stream(lines(count, joined), beam_size=beam_size))

    timed("translate, compiling", count, translated)
    timed("stream, compiling", count, lambda: streamed(count))
    rates = {"translate": [], "stream": []}
    for _ in range(arguments.rounds):
        rates["translate"].append(timed("translate", count, translated))
        rates["stream"].append(timed("stream", count, lambda: streamed(count)))
    ratios = [s / t for s, t in zip(rates["stream"], rates["translate"], strict=True)]
    print(f"stream / translate   {statistics.median(ratios):.3f} (median of {len(ratios)})")
    if arguments.streamed:
        rate = timed("a long stream", arguments.streamed, lambda: streamed(arguments.streamed))
        print(f"long / translate     {rate / statistics.median(rates['translate']):.3f}")


if __name__ == "__main__":
    main()
