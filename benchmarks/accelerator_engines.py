"""Engines that `benchmarks.accelerator` times, each in a separate process.

`python -m benchmarks.accelerator_engines` starts one; `benchmarks.worker` defines the protocol. The
models are those of `benchmarks.training_engines`. No engine needs TensorFlow: ours runs on JAX.
"""

import contextlib
import time

from benchmarks.training_engines import (
    ADAM,
    DROPOUT,
    PAD,
    SIZES,
    SMOOTHING,
    dispatch,
    make_torch_model,
    read_batches,
)
from benchmarks.worker import work


def ceiling(make_multiply):
    """Returns a request handler that measures the operations per second of matrix products.

    The matrices are random: a GPU multiplies ones with less power, and therefore faster.

    Args:
        make_multiply: Function of a matrix size, which returns a function of a number: it
            multiplies two such square matrices that many times and waits for the last product.
    """

    def prepare(size):
        multiply = make_multiply(size)

        def run():
            multiply(3)
            started = time.perf_counter()
            multiply(20)
            return 20 * 2 * size**3 / (time.perf_counter() - started)

        return run

    return prepare


def start_ours(job):
    """Starts our model on the JAX backend, trained with `fit`.

    Its architecture is `job["architecture"]`, or the paper's.
    """
    import jax
    import keras

    import keras_transformer as kt
    from trainers.tpu_check import train_step_flops

    layers, d_model, d_ff, heads, vocabulary = SIZES[job["size"]]
    half = job["precision"] == "bfloat16"
    model = kt.create_model(
        job.get("architecture", "transformer"),
        vocabulary_size=vocabulary,
        num_layers=layers,
        d_model=d_model,
        num_heads=heads,
        d_ff=d_ff,
        dropout_rate=DROPOUT,
        dtype="mixed_bfloat16" if half else "float32",
    )
    model.compile(keras.optimizers.Adam(**ADAM), kt.TokenCrossEntropy(SMOOTHING))
    ((source, target, labels),) = read_batches(job["batches"])
    batch = jax.device_put(({"source": source, "target": target}, labels))

    def steps(count):
        def batches():
            for _ in range(count):
                yield batch

        def run():
            history = model.fit(batches(), steps_per_epoch=count, verbose=0)
            return history.history["loss"]

        return run

    product = jax.jit(jax.numpy.matmul)

    def make_multiply(size):
        matrix = jax.random.normal(jax.random.key(0), (size, size), job["precision"])
        return lambda times: jax.block_until_ready([product(matrix, matrix) for _ in range(times)])

    return dispatch(
        {
            "steps": steps,
            "ceiling": ceiling(make_multiply),
            "flops": lambda _: lambda: train_step_flops(model, *source.shape, target.shape[1]),
            "device": lambda _: lambda: jax.devices()[0].device_kind,
            "memory": lambda _: (
                lambda: (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
            ),
        }
    )


def start_torch(job):
    """Starts PyTorch's `nn.Transformer`, compiled with `torch.compile` if `job["compiled"]`.

    With `job["mode"]` `"reduce-overhead"` it runs in CUDA graphs.
    """
    import torch
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = job["precision"] == "bfloat16"
    torch.set_float32_matmul_precision("high" if half else "highest")
    (batch,) = read_batches(job["batches"])
    arrays = [torch.tensor(array, device=device).long() for array in batch]
    model = make_torch_model(job["size"], max(array.shape[1] for array in batch)).to(device)
    rate, betas = ADAM["learning_rate"], (ADAM["beta_1"], ADAM["beta_2"])
    optimizer = torch.optim.Adam(model.parameters(), rate, betas, ADAM["epsilon"], fused=True)
    cross_entropy = nn.CrossEntropyLoss(label_smoothing=SMOOTHING, ignore_index=PAD)

    @torch.compile(dynamic=False, disable=not job["compiled"], mode=job.get("mode"))
    def compute_loss(source, target, labels):
        precision = torch.autocast(device, torch.bfloat16) if half else contextlib.nullcontext()
        with precision:
            logits = model(source, target)
        return cross_entropy(logits.float().flatten(0, 1), labels.flatten())

    def steps(count):
        def run():
            for _ in range(count):
                optimizer.zero_grad()
                loss = compute_loss(*arrays)
                loss.backward()
                optimizer.step()
            return float(loss.detach())

        return run

    def make_multiply(size):
        precision = torch.bfloat16 if half else torch.float32
        matrix = torch.randn((size, size), device=device, dtype=precision)

        def multiply(times):
            for _ in range(times):
                product = matrix @ matrix
            product[0, 0].item()

        return multiply

    def memory(_):
        return lambda: torch.cuda.max_memory_allocated() if device == "cuda" else None

    return dispatch({"steps": steps, "ceiling": ceiling(make_multiply), "memory": memory})


ENGINES = {  # name: (function that starts the engine, packages to report the versions of)
    "keras_transformer": (start_ours, ("keras", "jax")),
    "keras_transformer-fused": (
        lambda job: start_ours({**job, "architecture": "fused"}),
        ("keras", "jax"),
    ),
    "torch": (lambda job: start_torch({**job, "compiled": False}), ("torch",)),
    "torch-compiled": (lambda job: start_torch({**job, "compiled": True}), ("torch",)),
    "torch-graphs": (
        lambda job: start_torch({**job, "compiled": True, "mode": "reduce-overhead"}),
        ("torch",),
    ),
}


if __name__ == "__main__":
    work(ENGINES)
