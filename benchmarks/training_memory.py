"""Compares a formula for the memory of a training step with XLA's figure for the compiled step.

    python -m benchmarks.training_memory --sizes tiny base --tokens 1024 2048 4096 --lengths 16 128
    python -m benchmarks.training_memory --random 30 --seed 7

The step is that of `fit` on the JAX backend on a CPU, with float32, Adam and dropout. It is only
compiled, not run, so sizes that would not fit can be compared, too. `--random` compares models of
random sizes instead: 1 to 6 layers, d_model 64 to 512, d_ff one to four times that, 2 to 8 heads,
1,000 to 16,000 ids, batches of 512 to 8,192 tokens in rows of 8 to 180. The program needs JAX.

Notes:
    The terms of `step_bytes` follow the buffers that XLA lists at the peak of a step
    (XLA_FLAGS=--xla_dump_to, the file that ends with live-range.txt): 2 vectors of `d_ff`, and 2 of
    each normalization in large batches, are counts. The vectors of `d_model`, the scores and the
    logits were fitted by least squares to the default table and `--random 22 --seed 7`, then
    rounded; the five tables were chosen by hand for small batches of base. These include gaps,
    since buffers of other sizes and times share the memory: seven quarters of the logits are on
    the list, or one gradient of the table.
"""

import os
import sys

import numpy as np

from benchmarks.parser import make_parser
from benchmarks.training_engines import ADAM, DROPOUT, SIZES, SMOOTHING
from benchmarks.turns import print_table

MANY = 4096  # tokens from which XLA keeps normalized vectors


def step_bytes(parameters, size, rows, source_length, target_length):
    """Estimates the bytes of a training step in float32, without the batch and the program.

    Weights and Adam's two moments are always allocated. During the step, these are added:

    - the activations that the forward pass keeps for the backward pass, for each block and token:
      16 vectors of `d_model` in the encoder and 17 in the decoder, 2 of `d_ff`, 3 times the
      attention scores, and, if there are at least 4,096 tokens on this side, 2 vectors of `d_model`
      for each normalization, which XLA computes again in smaller batches;
    - for the output layer, twice the logits or five times the embedding table, whichever is larger;
      gradients and the gaps between all buffers are in this, too.

    Args:
        parameters: Integer. Number of parameters of the model.
        size: Tuple of layers, d_model, d_ff, heads and vocabulary, as in `SIZES`.
        rows: Integer. Number of pairs in the batch.
        source_length: Integer, S.
        target_length: Integer, T.

    Example:

    >>> round(step_bytes(2_367_488, (4, 128, 256, 4, 8192), 64, 32, 32) / 1e6)
    368
    """
    layers, d_model, d_ff, heads, vocabulary = size
    source, target = rows * source_length, rows * target_length
    scores = heads * (source * source_length + target * (source_length + target_length))
    encoder, decoder = 16 + 4 * (source >= MANY), 17 + 6 * (target >= MANY)
    block = d_model * (encoder * source + decoder * target) + 2 * d_ff * (source + target)
    head = vocabulary * max(2 * target, 5 * d_model)
    return 4 * (3 * parameters + layers * (block + 3 * scores) + head)


def compiled_bytes(size, rows, source_length, target_length):
    """Compiles the step; returns XLA's figure for its bytes and the number of parameters."""
    import jax
    import keras

    import keras_transformer as kt
    from trainers.tpu_check import make_all_variables

    layers, d_model, d_ff, heads, vocabulary = size
    model = kt.Transformer(vocabulary, layers, d_model, heads, d_ff, dropout_rate=DROPOUT)
    model.compile(keras.optimizers.Adam(**ADAM), kt.TokenCrossEntropy(SMOOTHING))
    model.build()
    make_all_variables(model)

    def shapes(variables):
        return [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in variables]

    def ids(length):
        return jax.ShapeDtypeStruct((rows, length), "int32")

    state = (
        shapes(model.trainable_variables),
        shapes(model.non_trainable_variables),
        shapes(model.optimizer.variables),
        shapes(model.metrics_variables),
    )
    data = {"source": ids(source_length), "target": ids(target_length)}, ids(target_length)
    step = jax.jit(model.train_step, donate_argnums=0).lower(state, data).compile()
    memory = step.memory_analysis()
    return memory.argument_size_in_bytes + memory.temp_size_in_bytes, model.count_params()


def batches_of(arguments):
    """Returns the name of the size, the size and the batch of each step to compile."""
    return [
        (name, SIZES[name], (max(1, tokens // length), length, length))
        for name in arguments.sizes
        for tokens in arguments.tokens
        for length in arguments.lengths
    ]


def random_batches(number, seed):
    """Returns as `batches_of`, for random sizes; a size is named by its numbers."""
    random, chosen = np.random.default_rng(seed), []
    for _ in range(number):
        heads, d_model = int(random.choice([2, 4, 8])), int(random.choice([64, 128, 256, 512]))
        layers, factor = int(random.integers(1, 7)), int(random.integers(1, 5))
        size = layers, d_model, d_model * factor, heads, 1000 * int(random.integers(1, 17))
        source = int(random.choice([8, 12, 16, 24, 32, 48, 64, 96, 128]))
        target = max(4, int(source * random.uniform(0.7, 1.4)))
        rows = max(1, int(2 ** random.uniform(9, 13)) // max(source, target))
        chosen.append((" ".join(map(str, size)), size, (rows, source, target)))
    return chosen


def parse(arguments):
    parser = make_parser("training_memory", __doc__)
    option = parser.add_argument
    option("--sizes", nargs="+", choices=SIZES, default=["tiny", "base"])
    option(
        "--tokens", nargs="+", type=int, default=[512, 1024, 2048, 4096, 8192],
        help="tokens on each side of a batch",
    )  # fmt: skip
    option(
        "--lengths", nargs="+", type=int, default=[16, 32, 64, 128],
        help="tokens on each side of a row",
    )  # fmt: skip
    option("--random", type=int, default=0, help="number of random sizes instead")
    option("--seed", type=int, default=0, help="seed of the random sizes")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments, lines, ratios = parse(arguments), [], []
    chosen = batches_of(arguments)
    if arguments.random:
        chosen = random_batches(arguments.random, arguments.seed)
    for name, size, batch in chosen:
        found, parameters = compiled_bytes(size, *batch)
        expected = step_bytes(parameters, size, *batch)
        ratios.append(expected / found)
        cells = f"{expected / 1e6:,.0f}", f"{found / 1e6:,.0f}", f"{ratios[-1]:.2f}"
        lines.append([name, "x".join(map(str, batch)), *cells])
        print(f"{len(lines)}: {' '.join(lines[-1])}", file=sys.stderr, flush=True)
    print_table(["size", "rows x source x target", "formula, MB", "XLA, MB", "ratio"], lines)
    error = np.sqrt(np.mean(np.square(np.subtract(ratios, 1))))
    print(f"ratio {min(ratios):.3f} to {max(ratios):.3f}, root mean square error {error:.1%}")


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")  # before Keras is imported
    main()
