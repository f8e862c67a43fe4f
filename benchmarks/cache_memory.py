"""Measures peak memory and time of the data pipeline on a generated corpus of many lines.

    python -m benchmarks.cache_memory --lines 5000000

The corpus goes through `TokenCache.build` and `TokenBatches` in this process, whose peak resident
memory is printed after each step. For Linux: on macOS `ru_maxrss` counts bytes.
"""

import itertools
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.parser import make_parser
from keras_transformer.data import Corpus, Entry, TokenBatches, TokenCache
from keras_transformer.text import Tokenizer

SYLLABLES = ("ba", "de", "ki", "lo", "mu", "na", "po", "ri", "sa", "tu", "ve", "xo")


class GeneratedCorpus(Corpus):
    """Corpus of random sentences of invented words, 22 words on average, nearly all distinct."""

    def __init__(self, lines: int, seed: int = 0):
        self.lines = lines
        self.seed = seed

    def entries(self) -> Iterator[Entry]:
        generator = random.Random(self.seed)
        words = ["".join(parts) for parts in itertools.product(SYLLABLES, repeat=3)]
        for line in range(1, self.lines + 1):
            length = generator.randint(5, 40)
            source = " ".join(generator.choices(words, k=length))
            target = " ".join(generator.choices(words, k=length + generator.randint(-2, 3)))
            yield Entry(line, source, target)

    def fingerprint(self) -> str:
        return f"generated {self.lines} {self.seed}"


def peak_gib() -> float:
    """Returns the peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = make_parser("cache_memory", __doc__)
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.train(GeneratedCorpus(20_000).sentences(), 1200, model_type="bpe")
    print(f"before           {peak_gib():.2f} GiB")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        cache = TokenCache.build(
            GeneratedCorpus(arguments.lines), tokenizer, Path(folder) / "cache"
        )
        print(f"cache built      {peak_gib():.2f} GiB  {time.perf_counter() - start:.0f} s")
        print(cache.report)
        start = time.perf_counter()
        batches = TokenBatches(cache, arguments.tokens_per_batch)
        print(f"batches planned  {peak_gib():.2f} GiB  {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        tokens = sum(int((labels != 0).sum()) for _, labels in batches.epoch(0))
        seconds = time.perf_counter() - start
        print(f"an epoch read    {peak_gib():.2f} GiB  {seconds:.0f} s, ", end="")
        print(f"{tokens / seconds / 1e6:.1f} million target tokens/s")


if __name__ == "__main__":
    main()
