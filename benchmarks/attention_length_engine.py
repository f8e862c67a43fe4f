"""One training step of a language model with a given attention and length: a process of its own.

Called by `benchmarks.attention_length` with a job in JSON. It prints a line of JSON with XLA's
figure for the bytes of the step and, if these fit, another with the seconds of each run.
"""

import json
import sys
import time


def make_block(kind, job):
    """Returns a decoder block with attention of a kind: F full, L local, M memory-compressed."""
    import keras_transformer as kt

    d_model, heads = job["d_model"], job["heads"]
    if kind == "M":
        attention = kt.MemoryCompressedAttention(d_model, heads, job["compression"])
    else:
        part = kt.LocalAttention(job["block"], job["look_back"]) if kind == "L" else None
        attention = kt.MultiHeadAttention(d_model, heads, attention=part)
    sizes = {"d_model": d_model, "num_heads": heads, "d_ff": job["d_ff"], "dropout_rate": 0.0}
    return kt.DecoderBlock(**sizes, cross_attention=False, self_attention=attention)


def make_model(job):
    """Returns a compiled language model of such blocks."""
    import keras

    import keras_transformer as kt

    ids = keras.Input((job["length"],), dtype="int32")
    x = kt.PositionalEmbedding(job["vocabulary"], job["d_model"], dropout_rate=0.0)(ids)
    x = kt.DecoderStack([make_block(kind, job) for kind in job["layers"]])(x)
    model = keras.Model(ids, keras.layers.Dense(job["vocabulary"])(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss)
    return model


def compile_step(model, length):
    """Returns the compiled step of `fit`, its state and its batch."""
    import jax
    import numpy as np

    model.optimizer.build(model.trainable_variables)
    ids = np.zeros((1, length), "int32")
    logits = np.zeros((1, length, model.output_shape[-1]), "float32")
    model.compute_metrics(None, ids, logits)  # makes their variables
    model.reset_metrics()
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([jax.numpy.array(v.value) for v in some] for some in variables)
    step = jax.jit(model.train_step, donate_argnums=0).lower(state, (ids, ids)).compile()
    return step, state, (ids, ids)


def main(job):
    import jax

    model = make_model(job)
    step, state, batch = compile_step(model, job["length"])
    memory = step.memory_analysis()
    found = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    print(json.dumps({"bytes": found, "parameters": model.count_params()}), flush=True)
    if found > job["limit"]:
        return
    times = []
    for _ in range(1 + job["repeats"]):
        started = time.perf_counter()
        _, state = jax.block_until_ready(step(state, batch))
        times.append(time.perf_counter() - started)
    print(json.dumps({"seconds": times[1:]}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
