"""Compares a formula for the memory of a training step with XLA's figure for the compiled step.

    python -m benchmarks.training_memory --sizes tiny base --tokens 1024 2048 4096 --lengths 16 128

The step is that of `fit` on the JAX backend on a CPU, with float32, Adam and dropout. It is only
compiled, not run, so sizes that would not fit can be compared, too. The program needs JAX.

Notes:
    The coefficients of `step_bytes` were fitted by least squares on steps of 26 random sizes (1 to
    6 layers, d_model 64 to 512, d_ff one to four times that, 2 to 8 heads, 1,000 to 16,000 ids, 8
    to 64 rows of 8 to 64 tokens) and five of tiny and base, then rounded. They fit these within -17
    and +21 %, with a root mean square of 8 %. XLA decides what it keeps and in which order it
    works, so no such formula is exact.

    The step on TensorFlow takes 0.82 to 0.89 of the formula, by XLA's report of its buffers
    (XLA_FLAGS=--xla_dump_to): tiny 192 x 20 + 21 tokens 560 MB, 64 x 32 + 32 308 MB, base
    32 x 32 + 32 1,594 MB, 8 x 128 + 128 1,654 MB.
"""

import os
import sys

from benchmarks.parser import make_parser
from benchmarks.training_engines import ADAM, DROPOUT, SIZES, SMOOTHING
from benchmarks.turns import print_table


def step_bytes(parameters, size, rows, source_length, target_length):
    """Estimates the bytes of a training step in float32, without the batch and the program.

    Weights and Adam's two moments are always allocated. During the step, these are added:

    - three gradients of the embedding table (as source, target and output layer), which are summed;
    - the activations that the forward pass keeps for the backward pass, for each block and token:
      10 vectors of `d_model` in the encoder and 16 in the decoder, 2 of `d_ff`, and 4 times the
      attention scores;
    - twice the logits: the loss computes them in four parts, but XLA several parts at a time.

    The gradients of the blocks are allocated when much of this has been freed.

    Args:
        parameters: Integer. Number of parameters of the model.
        size: Tuple of layers, d_model, d_ff, heads and vocabulary, as in `SIZES`.
        rows: Integer. Number of pairs in the batch.
        source_length: Integer, S.
        target_length: Integer, T.

    Example:

    >>> round(step_bytes(2_361_344, (4, 128, 256, 4, 8192), 64, 32, 32) / 1e6)
    368
    """
    layers, d_model, d_ff, heads, vocabulary = size
    source, target = rows * source_length, rows * target_length
    scores = heads * (source * source_length + target * (source_length + target_length))
    block = d_model * (10 * source + 16 * target) + 2 * d_ff * (source + target) + 4 * scores
    temporary = 3 * d_model * vocabulary + layers * block + 2 * target * vocabulary
    return 4 * (3 * parameters + temporary)


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


def parse(arguments):
    parser = make_parser("training_memory", __doc__)
    option = parser.add_argument
    option("--sizes", nargs="+", choices=SIZES, default=["tiny", "base"])
    option(
        "--tokens", nargs="+", type=int, default=[1024, 4096], help="tokens on each side of a batch"
    )
    option(
        "--lengths", nargs="+", type=int, default=[16, 32, 128], help="tokens on each side of a row"
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments, lines = parse(arguments), []
    for size in arguments.sizes:
        for tokens in arguments.tokens:
            for length in arguments.lengths:
                batch = max(1, tokens // length), length, length
                found, parameters = compiled_bytes(SIZES[size], *batch)
                expected = step_bytes(parameters, SIZES[size], *batch)
                cells = f"{expected / 1e6:,.0f}", f"{found / 1e6:,.0f}", f"{expected / found:.2f}"
                lines.append([size, "x".join(map(str, batch)), *cells])
                print(f"{len(lines)}: {' '.join(lines[-1])}", file=sys.stderr, flush=True)
    print_table(["size", "rows x source x target", "formula, MB", "XLA, MB", "ratio"], lines)


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")  # before Keras is imported
    main()
