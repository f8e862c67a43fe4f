"""Time of a training step with and without the check of token ids, as a ratio.

    python -m benchmarks.id_checks --steps 100

A small model trains on the same batches four ways in turn: the package's own dataset, whose ids
were checked when its cache was written, with the check on and off; and the same batches as a
foreign dataset, on which the check is a `map` on the host, with the check on and off. Each round
times every way once; the ratio is that of the medians.
"""

import statistics
import sys
import tempfile
import time

from benchmarks.parser import make_parser


class Unchecked:
    """Mixin of models whose ids are not checked."""

    def id_limits(self):
        return {}


def make_batches(folder):
    """Returns the batches of one shape, of the built-in corpus, and the size of its vocabulary."""
    import keras_transformer as kt
    from keras_transformer.data import InMemoryCorpus, TokenBatches, TokenCache
    from keras_transformer.data.phrasebook import phrasebook

    corpus = InMemoryCorpus(phrasebook(seed=0).train[:5000])
    tokenizer = kt.Tokenizer.train(corpus.sentences(), 1000, model_type="bpe")
    cache = TokenCache.build(corpus, tokenizer, folder)
    return TokenBatches(cache, tokens_per_batch=1024, max_shapes=1), tokenizer.vocabulary_size()


def make_model(checked, vocabulary_size):
    """Returns a compiled model, with or without the check."""
    import keras

    import keras_transformer as kt

    bases = (kt.Transformer,) if checked else (Unchecked, kt.Transformer)
    model = type("Model", bases, {})(vocabulary_size, 2, d_model=64, num_heads=2, d_ff=128)
    model.compile(keras.optimizers.Adam(1e-3), loss=kt.TokenCrossEntropy(), jit_compile=True)
    return model


def time_steps(model, dataset, steps):
    """Returns the seconds of a step, after a step that compiles."""
    model.fit(dataset, steps_per_epoch=1, verbose=0, shuffle=False)
    start = time.perf_counter()
    model.fit(dataset, steps_per_epoch=steps, verbose=0, shuffle=False)
    return (time.perf_counter() - start) / steps


def parse(arguments):
    """Parses the options."""
    parser = make_parser("id_checks", __doc__)
    parser.add_argument("--steps", type=int, default=100, help="Steps timed at once.")
    parser.add_argument("--rounds", type=int, default=7, help="Times each way is timed.")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Prints the time of a step each way, and the ratios."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    with tempfile.TemporaryDirectory() as folder:
        batches, size = make_batches(folder)
        models = {checked: make_model(checked, size) for checked in (True, False)}
        own = batches.dataset()
        datasets = {"own": own, "foreign": own.map(lambda *batch: batch)}
        times = {(name, checked): [] for name in datasets for checked in models}
        for _ in range(options.rounds):
            for name, checked in times:
                seconds = time_steps(models[checked], datasets[name], options.steps)
                times[name, checked].append(seconds)
    for name in datasets:
        on, off = (statistics.median(times[name, checked]) for checked in (True, False))
        print(f"{name:<8} checked {on * 1e3:.2f} ms, not {off * 1e3:.2f} ms, ratio {on / off:.3f}")


if __name__ == "__main__":
    main()
