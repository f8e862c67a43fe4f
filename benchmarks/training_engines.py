"""Engines that `benchmarks.training` times, each in a separate process.

`python -m benchmarks.training_engines` starts one; `benchmarks.worker` defines the protocol. All
have the same model: post-norm; one embedding table for source, target and output, scaled, with
sinusoids added; dropout on the embeddings and on the output of each sub-layer only; a padding mask
on the source, a causal mask on the target; label-smoothed cross-entropy, averaged over real tokens;
Adam; float32. `keras_transformer-packed` packs the pairs of each batch into longer rows
(`benchmarks/repacking.py`): the same steps with less padding. `keras_transformer-rows` has other
batches, rows of pairs of the whole corpus.
"""

import math
import resource
import time

from benchmarks.worker import work

SIZES = {  # layers of encoder and decoder each, d_model, d_ff, heads, vocabulary
    "tiny": (4, 128, 256, 4, 8192),
    "base": (6, 512, 2048, 8, 32000),
    "big": (6, 1024, 4096, 16, 32000),
    "toy": (1, 16, 32, 2, 300),  # to test the program
}
DROPOUT, SMOOTHING, PAD = 0.1, 0.1, 0
ROW = 96  # positions on each side of a packed row; more if a sentence is longer
ADAM = {"learning_rate": 1e-4, "beta_1": 0.9, "beta_2": 0.98, "epsilon": 1e-9}


def read_batches(path):
    """Reads source, target and labels of each batch that `benchmarks.training` wrote."""
    import numpy as np

    with np.load(path) as arrays:
        count = len(arrays) // 3
        names = ("source", "target", "labels")
        return [tuple(arrays[f"{name}{n}"] for name in names) for n in range(count)]


def read_rows(path):
    """Reads the packed batches that `benchmarks.training` wrote, each `(inputs, labels)`."""
    import numpy as np

    from keras_transformer.data import PackedBatches

    names = (*PackedBatches.inputs, "labels")
    with np.load(path) as arrays:
        batches = [
            [arrays[f"{name}{n}"] for name in names] for n in range(len(arrays) // len(names))
        ]
    return [(dict(zip(names, inputs, strict=False)), labels) for *inputs, labels in batches]


def _as_inputs(source, target, labels):
    return {"source": source, "target": target}, labels


def sinusoids(length, d_model):
    """Returns the paper's position encodings, `(length, d_model)`."""
    import numpy as np

    rates = 10000 ** (-np.arange(0, d_model, 2) / d_model)
    angles = np.arange(length)[:, None] * rates
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, d_model).astype("float32")


def count_real_tokens(batches):
    """Returns the number of target tokens that are not padding."""
    return sum(int((labels != PAD).sum()) for *_, labels in batches)


def dispatch(handlers):
    """Returns a function that prepares a request `{name: value}` with the handler of that name."""

    def prepare(request):
        ((name, value),) = request.items()
        return handlers[name](value)

    return prepare


def make_prepare(multiply, **handlers):
    """Returns a function that prepares requests: `ceiling`, `memory` and those of `handlers`.

    `ceiling` measures the speed of matrix products, `memory` the peak resident memory.

    Args:
        multiply: Function of a number, which multiplies two float32 matrices of 2,048 x 2,048 that
            many times.
        **handlers: Functions that prepare a request, given its value, by the request's name.
    """

    def ceiling(_):
        def run():
            multiply(3)
            started = time.perf_counter()
            multiply(20)
            return 20 * 2 * 2048**3 / (time.perf_counter() - started)

        return run

    def memory(_):
        return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    return dispatch({**handlers, "ceiling": ceiling, "memory": memory})


def prepare_fit(model, batches, **handlers):
    """Returns a function that prepares requests, for a model that trains with Keras' `fit`.

    Args:
        model: Compiled `keras.Model`.
        batches: List of `(inputs, labels)`; a pass trains on the first ones, in this order.
        **handlers: Further request handlers; see `make_prepare`.
    """
    import tensorflow as tf

    def steps(count):
        chosen = batches[:count]

        def endless():
            while True:
                yield from chosen

        ids = tf.TensorSpec((None, None), tf.int32)
        signature = (dict.fromkeys(chosen[0][0], ids), ids)
        data = tf.data.Dataset.from_generator(endless, output_signature=signature)
        options = tf.data.Options()
        options.autotune.enabled = False  # otherwise the end of a pass may wait for its thread
        data = data.with_options(options).prefetch(2)

        def run():
            history = model.fit(data, steps_per_epoch=len(chosen), verbose=0)
            return {"tokens": count_real_tokens(chosen), "loss": float(history.history["loss"][-1])}

        return run

    matrix = tf.random.normal((2048, 2048))

    def multiply(times):
        for _ in range(times):
            product = tf.matmul(matrix, matrix)
        return product.numpy()

    return make_prepare(multiply, steps=steps, **handlers)


def start_ours(job):
    """Starts our model, compiled as in a recipe, on `job["kind"]` of batches."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    import keras_transformer as kt
    from trainers.tpu_check import train_step_flops

    layers, d_model, d_ff, heads, vocabulary = SIZES[job["size"]]
    model = kt.Transformer(vocabulary, layers, d_model, heads, d_ff, dropout_rate=DROPOUT)
    model.compile(
        keras.optimizers.Adam(**ADAM), kt.TokenCrossEntropy(SMOOTHING), jit_compile=job["xla"]
    )
    batches = read_batches(job["batches"])
    if job["kind"] == "rows":
        batches = read_rows(job["rows"])
    elif job["kind"] == "packed":
        from benchmarks.repacking import repack

        longest = max(array.shape[1] for batch in batches for array in batch)
        batches = repack(batches, max(ROW, longest))
    else:
        batches = [_as_inputs(*batch) for batch in batches]

    def flops(count):
        shapes = [(*inputs["source"].shape, labels.shape[1]) for inputs, labels in batches[:count]]
        return lambda: sum(train_step_flops(model, *shape) for shape in shapes)

    return prepare_fit(model, batches, flops=flops)


def start_keras_hub(job):
    """Starts a model of keras-hub's layers, assembled as in its documentation."""
    import keras
    import tensorflow as tf
    from keras import ops

    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    import keras_hub

    layers, d_model, d_ff, heads, vocabulary = SIZES[job["size"]]
    batches = read_batches(job["batches"])
    positions = sinusoids(max(array.shape[1] for batch in batches for array in batch), d_model)
    table = keras_hub.layers.ReversibleEmbedding(vocabulary, d_model, reverse_dtype="float32")

    def without_attention_dropout(block, *shapes):
        """Builds a block and disables dropout on its attention scores; no argument does that."""
        block.build(*shapes)
        for name in ("_self_attention_layer", "_cross_attention_layer"):
            for attention in filter(None, [vars(block).get(name)]):
                vars(attention).update(_dropout=0.0)
                vars(attention)["_dropout_layer"].rate = 0.0
        return block

    class Positions(keras.layers.Layer):
        def call(self, x):
            return x * d_model**0.5 + ops.convert_to_tensor(positions)[: ops.shape(x)[1]]

    shape = (None, None, d_model)
    options = {"dropout": DROPOUT, "layer_norm_epsilon": 1e-6}
    source, target = (keras.Input((None,), dtype="int32", name=n) for n in ("source", "target"))
    mask = ops.not_equal(source, PAD)
    x = keras.layers.Dropout(DROPOUT)(Positions()(table(source)))
    for _ in range(layers):
        block = keras_hub.layers.TransformerEncoder(d_ff, heads, **options)
        x = without_attention_dropout(block, shape)(x, padding_mask=mask)
    y = keras.layers.Dropout(DROPOUT)(Positions()(table(target)))
    for _ in range(layers):
        block = keras_hub.layers.TransformerDecoder(d_ff, heads, **options)
        y = without_attention_dropout(block, shape, shape)(y, x, encoder_padding_mask=mask)
    model = keras.Model({"source": source, "target": target}, table(y, reverse=True))

    def loss(labels, logits):
        real = ops.cast(ops.not_equal(labels, PAD), "float32")
        log_probs = ops.log_softmax(logits, -1)
        gold = ops.take_along_axis(log_probs, labels[..., None], -1)[..., 0]
        losses = (1 - SMOOTHING) * gold + SMOOTHING * ops.mean(log_probs, -1)
        return -ops.sum(losses * real) / ops.sum(real)

    model.compile(keras.optimizers.Adam(**ADAM), loss, jit_compile=job["xla"])
    return prepare_fit(model, [_as_inputs(*batch) for batch in batches])


def make_torch_model(size, length):
    """Returns an `nn.Transformer` with tied embeddings, which maps ids to logits."""
    import torch
    from torch import nn

    layers, d_model, d_ff, heads, vocabulary = SIZES[size]

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(vocabulary, d_model)
            nn.init.normal_(self.table.weight, std=d_model**-0.5)
            sizes = (d_model, heads, layers, layers, d_ff, DROPOUT)
            self.transformer = nn.Transformer(*sizes, batch_first=True)
            self.transformer.encoder.norm = self.transformer.decoder.norm = None  # post-norm
            self.dropout = nn.Dropout(DROPOUT)
            self.register_buffer("positions", torch.tensor(sinusoids(length, d_model)))
            for block in (*self.transformer.encoder.layers, *self.transformer.decoder.layers):
                block.dropout.p = 0.0  # between the two linear layers
                block.self_attn.dropout = 0.0
                if hasattr(block, "multihead_attn"):
                    block.multihead_attn.dropout = 0.0

        def embed(self, ids):
            x = self.table(ids) * math.sqrt(d_model) + self.positions[: ids.shape[1]]
            return self.dropout(x)

        def forward(self, source, target):
            padding = source == PAD
            padding = padding.float().masked_fill(padding, -torch.inf)
            T, device = target.shape[1], target.device
            hidden = self.transformer(
                self.embed(source),
                self.embed(target),
                tgt_mask=torch.full((T, T), -torch.inf, device=device).triu(1),
                src_key_padding_mask=padding,
                memory_key_padding_mask=padding,
                tgt_is_causal=True,
            )
            return hidden @ self.table.weight.T

    return Model().train()


def start_torch(job):
    """Starts PyTorch's `nn.Transformer`, compiled with `torch.compile` if `job["compiled"]`."""
    import torch
    from torch import nn

    torch.set_num_threads(job["threads"])
    batches = read_batches(job["batches"])
    length = max(array.shape[1] for batch in batches for array in batch)
    model = make_torch_model(job["size"], length)
    rate, betas = ADAM["learning_rate"], (ADAM["beta_1"], ADAM["beta_2"])
    optimizer = torch.optim.Adam(model.parameters(), rate, betas, ADAM["epsilon"], fused=True)
    cross_entropy = nn.CrossEntropyLoss(label_smoothing=SMOOTHING, ignore_index=PAD)

    def compute_loss(source, target, labels):
        return cross_entropy(model(source, target).flatten(0, 1), labels.flatten())

    if job["compiled"]:
        compute_loss = torch.compile(compute_loss, dynamic=False)
    tensors = [tuple(torch.tensor(array).long() for array in batch) for batch in batches]

    def steps(count):
        chosen = tensors[:count]

        def run():
            total = 0.0
            for batch in chosen:
                optimizer.zero_grad()
                loss = compute_loss(*batch)
                loss.backward()
                optimizer.step()
                total += float(loss.detach())
            return {"tokens": count_real_tokens(chosen), "loss": total / len(chosen)}

        return run

    matrix = torch.randn(2048, 2048)

    def multiply(times):
        for _ in range(times):
            matrix @ matrix

    return make_prepare(multiply, steps=steps)


def _with_mode(start, **mode):
    return lambda job: start({**job, **mode})


OWN_PACKAGES = ("keras", "tensorflow")
ENGINES = {  # name: (function that starts the engine, packages to report the versions of)
    "keras_transformer": (_with_mode(start_ours, xla=True, kind="padded"), OWN_PACKAGES),
    "keras_transformer-packed": (_with_mode(start_ours, xla=True, kind="packed"), OWN_PACKAGES),
    "keras_transformer-rows": (_with_mode(start_ours, xla=True, kind="rows"), OWN_PACKAGES),
    "torch": (_with_mode(start_torch, compiled=False), ("torch",)),
    "torch-compiled": (_with_mode(start_torch, compiled=True), ("torch",)),
    "keras-hub": (_with_mode(start_keras_hub, xla=True), ("keras-hub", "keras", "tensorflow")),
    "keras-hub-plain": (
        _with_mode(start_keras_hub, xla=False),
        ("keras-hub", "keras", "tensorflow"),
    ),
}


if __name__ == "__main__":
    work(ENGINES)
