"""Trains a toy on the devices at hand: `python -m tests.distribution.toy_run FOLDER WHAT`.

WHAT is `tensorflow` or `jax` (one device and two parts of the CPU, one after the other, in one
process), or `worker` (one of the processes that TF_CONFIG names). Writes for every case the trained
weights, `CASE.npz`, and what `fit` reported, `CASE.json`.
"""

import itertools
import json
import random
import sys
from pathlib import Path

import keras
import numpy as np

import keras_transformer as kt
from keras_transformer.data import ImageBatches
from keras_transformer.distribution import choose_devices
from keras_transformer.models import create_model

STEPS, EPOCHS, ROWS, LENGTH, V = 20, 2, 8, 11, 23
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.5, global_clipnorm=0.05),
    "adam": lambda: keras.optimizers.Adam(0.01, epsilon=1e-3, global_clipnorm=0.05),
}


def batches():
    """The first half of the rows has a fifth of the tokens, and so have the odd ones of each."""
    generator = np.random.default_rng(0)
    for _ in range(STEPS):
        source, labels = generator.integers(3, V, (2, ROWS, LENGTH)).astype("int32")
        for row in range(ROWS):
            real = 10 if row >= ROWS // 2 else 2
            labels[row, real - (row % 2) * real * 4 // 5 :] = 0
        target = np.concatenate([np.ones((ROWS, 1), "int32"), labels[:, :-1]], axis=1)
        yield {"source": source, "target": target}, labels


def endless(images=None):
    texts = itertools.chain.from_iterable(batches() for _ in itertools.count())
    for step, (inputs, labels) in enumerate(texts):
        yield {**inputs, **(images.batch(step) if images else {})}, labels


def data(images=None):
    """What `fit` takes: without end, and split between devices where there are several."""
    if keras.backend.backend() == "jax":
        return endless(images)
    from keras_transformer.data.buckets import BatchShape
    from keras_transformer.data.tf_dataset import dataset_of

    texts = dataset_of(endless, [BatchShape(ROWS, LENGTH, LENGTH)])
    return images.beside(texts) if images else texts


def make_model(kind=kt.Transformer, dropout_rate=0.0):
    random.seed(1)  # Keras' seeds come from it; `set_random_seed` would import TensorFlow
    sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 17}
    model = kind(vocabulary_size=V, dropout_rate=dropout_rate, **sizes)
    model.build()
    return model


def with_experts(vocabulary_size, **sizes):
    """A Transformer with experts whose losses matter; noise would differ between devices."""
    model = kt.Transformer(vocabulary_size, **sizes)
    uneven = keras.initializers.RandomNormal(1.0, seed=2)
    for stack in (model.encoder, model.decoder):
        layer = kt.MixtureOfExperts(8, 17, 3, 2, noisy=False, balance_weight=1.0)
        stack.blocks[0].feed_forward = layer
        layer.build((None, None, 8))
        layer.gate_kernel.assign(uneven((8, 3)))
    return model


def with_images(vocabulary_size, **sizes):
    """A model of several tasks, without experts, whose noise would differ between devices."""
    options = {"body": "attention", "num_experts": 0, "num_classes": 3, "image_weight": 2.0}
    return create_model("multimodel", options, vocabulary_size=vocabulary_size, **sizes)


def with_latents(vocabulary_size, **sizes):
    """A Latent Transformer whose codebooks move fast; chosen words would differ between devices."""
    options = {"bits": 4, "halvings": 1, "startup_steps": 0}
    model = create_model("latent", options, vocabulary_size=vocabulary_size, **sizes)
    model.bottleneck.decay = 0.9
    return model


def compared(model):
    """The weights that training changes, moving averages included."""
    averages = [one for one in model.non_trainable_variables if one.name == "codebooks"]
    return [*model.trainable_variables, *averages]


class PlainMean(keras.losses.Loss):
    """The mean over real tokens as Keras users write it: it knows of no other replica."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        total, count = kt.TokenCrossEntropy(0.1).sums(y_true, y_pred)
        return total / count


def images():
    """As many images as rows beside each batch."""
    generator = np.random.default_rng(3)
    return ImageBatches(generator.random((13, 8, 8, 1)), generator.integers(0, 3, 13), ROWS)


def train(
    folder,
    case,
    devices,
    optimizer,
    accumulate_steps=1,
    loss=None,
    kind=kt.Transformer,
    images=None,
):
    with devices.scope():
        model = make_model(kind)
        before = [np.array(variable.numpy()) for variable in compared(model)]
        model.compile(
            OPTIMIZERS[optimizer](),
            loss=loss or kt.TokenCrossEntropy(0.1),
            metrics=[kt.TokenAccuracy(), kt.Perplexity()],
            accumulate_steps=accumulate_steps,
        )
    history = model.fit(
        data(images),
        epochs=EPOCHS,
        steps_per_epoch=STEPS // EPOCHS,
        shuffle=False,
        verbose=0,
        validation_data=data(),
        validation_steps=STEPS,
    )
    after = [np.array(variable.numpy()) for variable in compared(model)]
    np.savez(folder / f"{case}.npz", *after)
    moved = max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True))
    facts = {"moved": moved, "logs": history.history, "devices": devices.description}
    (folder / f"{case}.json").write_text(json.dumps(facts))


def train_on(folder, devices, name):
    for optimizer, N in itertools.product(OPTIMIZERS, (1, 4)):
        if optimizer == "adam" and (name, N) in (("one", 4), ("two", 1)):
            continue
        train(folder, f"{name}-{optimizer}-{N}", devices, optimizer, N)
    N = 1 if name == "one" else 4
    case = f"{name}-decoder_only-{N}"
    train(folder, case, devices, "adam", N, kind=kt.DecoderOnly.from_sizes)
    train(folder, f"{name}-experts-1", devices, "sgd", kind=with_experts)
    train(folder, f"{name}-latent-1", devices, "sgd", kind=with_latents)
    train(folder, f"{name}-images-{N}", devices, "sgd", N, kind=with_images, images=images())


def dropped_on_two(devices):
    """Which of 997 numbers each replica drops, and each again at the next call."""
    import tensorflow as tf

    with devices.scope():
        layer = kt.Dropout(0.5, seed=3)
    masks = []
    for _ in range(2):
        run = tf.function(lambda: devices.strategy.run(lambda: layer(tf.ones(997), training=True)))
        masks += [one.numpy() == 0 for one in devices.strategy.experimental_local_results(run())]
    return np.array(masks)


def main(folder, what):
    if what == "worker":
        devices = choose_devices()
        train(folder, f"worker-{devices.worker}", devices, "adam", 4)
        facts = {"from_chief": devices.from_chief(41.0 + devices.worker)}
        (folder / f"facts-{devices.worker}.json").write_text(json.dumps(facts))
        return
    if what == "tensorflow":
        two = choose_devices("mirrored", 2)
    train_on(folder, choose_devices("one"), "one")
    if what == "jax":
        two = choose_devices("mirrored", 2)
    train_on(folder, two, "two")
    if what == "tensorflow":
        train(folder, "two-plain", two, "sgd", loss=PlainMean())
        np.save(folder / "dropped.npy", dropped_on_two(two))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
