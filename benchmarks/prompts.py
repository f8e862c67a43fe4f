"""Times how a language model reads a prompt: in one pass, and token by token.

    python -m benchmarks.prompts

Random weights; both are compiled by XLA and take turns in this process. Times are medians of
`--repeats` turns. The largest difference of the logits after the prompt is printed too.
"""

import statistics
import time

import numpy as np

from benchmarks.parser import make_parser
from benchmarks.turns import print_table

BOS, VOCABULARY = 1, 2000


def make_readers(model, length):
    """Returns two functions from prompts to the logits of the next token: one pass, and steps."""
    from keras import ops

    from keras_transformer import DecodingStep

    def step(tokens, cache, place, first, memory):
        beams = ops.shape(tokens)[0]
        visible = ops.arange(length)[None, None, :, None] <= place
        at = DecodingStep(
            place=place,
            positions=ops.full((beams,), place, "int32"),
            first=ops.full((beams,), first, "bool"),
            ancestry=ops.broadcast_to(visible, (beams, 1, length, 1)),
        )
        return model.decode_step(tokens[:, None], cache, at, memory)

    def in_one_pass(prompts):
        cache = model.init_cache(prompts.shape[0], 1, length)
        return step(prompts[:, -1], cache, 0, True, model.encode(prompts))[0][:, 0]

    def token_by_token(prompts):
        memory, cache = model.encode(prompts[:, :1]), model.init_cache(prompts.shape[0], 1, length)
        logits = ops.zeros((prompts.shape[0], VOCABULARY))

        def body(place, cache, logits):
            logits, _, cache = step(prompts[:, place], cache, place, place == 0, memory)
            return place + 1, cache, logits[:, 0]

        state = ops.while_loop(lambda place, *_: place < length, body, (0, cache, logits))
        return state[2]

    return in_one_pass, token_by_token


def main(arguments=None):
    parser = make_parser("prompts", __doc__)
    option = parser.add_argument
    option("--lengths", nargs="+", type=int, default=[128, 512], help="tokens of the prompt")
    option("--num-layers", type=int, default=4)
    option("--d-model", type=int, default=256)
    option("--repeats", type=int, default=7)
    arguments = parser.parse_args(arguments)

    import tensorflow as tf
    from keras import ops

    from keras_transformer import LanguageModel

    model = LanguageModel.from_sizes(
        VOCABULARY, arguments.num_layers, arguments.d_model, 4, 4 * arguments.d_model
    )
    model.build()
    lines = []
    for length in arguments.lengths:
        prompts = np.random.default_rng(0).integers(3, VOCABULARY, (1, length)).astype("int32")
        prompts[:, 0] = BOS
        readers = [tf.function(one, jit_compile=True) for one in make_readers(model, length)]
        logits = [ops.convert_to_numpy(one(ops.array(prompts))) for one in readers]
        times = [[], []]
        for _ in range(arguments.repeats):
            for one, measured in zip(readers, times, strict=True):
                start = time.perf_counter()
                one(ops.array(prompts)).numpy()
                measured.append(time.perf_counter() - start)
        once, steps = map(statistics.median, times)
        difference = np.abs(logits[0] - logits[1]).max()
        lines.append(
            [str(length), f"{once:.4f}", f"{steps:.4f}", f"{steps / once:.1f}", f"{difference:.1e}"]
        )
    print_table(["tokens", "one pass, s", "steps, s", "ratio", "largest difference"], lines)


if __name__ == "__main__":
    main()
