"""Runs in a process of its own, with `KERAS_BACKEND=jax`: `python -m tests.on_jax FOLDER`.

Reads weights that the TensorFlow backend wrote, writes every layer's output and decoding steps,
then builds, fits and translates, and says whether anything of it imported TensorFlow.
"""

import json
import random
import sys
from pathlib import Path

import keras
import numpy as np

import keras_transformer as kt
from tests import decoding_drive
from tests.decoding_layers import QUICK
from tests.every_layer import CASES, IDS
from tests.toy import ToyTokenizer

CE = kt.TokenCrossEntropy()


def main(folder):
    facts = {"backend": keras.backend.backend()}
    np.savez(folder / "outputs.npz", **{name: output(folder, name) for name in CASES})
    decoding_drive.save(folder / "decoding", QUICK, ["float32"])
    facts["from_weights_file"] = loaded_from_file(folder).tolist()
    facts["losses"] = fit_a_step()
    facts["losses_with_penalty"] = [fit_with_penalty(loss) for loss in (CE, [CE])]
    facts["translations"] = translate()
    facts["loaded"] = sorted(
        name for name in ("jax", "tensorflow", "tensorflow_text") if name in sys.modules
    )
    (folder / "facts.json").write_text(json.dumps(facts))


def output(folder, name):
    case = CASES[name]
    layer = case.make()
    layer.build(*case.build)
    layer.set_weights(list(np.load(folder / f"{list(CASES).index(name)}.npz").values()))
    return keras.ops.convert_to_numpy(layer(**case.arguments))


def loaded_from_file(folder):
    model = CASES["Transformer"].make()
    model.build()
    model.load_weights(folder / "transformer.weights.h5")
    return keras.ops.convert_to_numpy(model(IDS))


def fit_a_step():
    random.seed(0)  # Keras' seeds come from it; `set_random_seed` would import TensorFlow
    model = CASES["Transformer"].make()
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=kt.TokenCrossEntropy(),
        metrics=[kt.TokenAccuracy(), kt.Perplexity()],
    )
    labels = np.roll(IDS["target"], -1, axis=1)
    history = model.fit(IDS, labels, batch_size=1, epochs=11, verbose=0)
    return history.history["loss"]


class Penalised(keras.layers.Layer):
    """Does what another layer does, and adds to the loss."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        outputs = self.inner(inputs)
        self.add_loss(keras.ops.mean(outputs**2))
        return outputs


def fit_with_penalty(loss):
    random.seed(0)
    model = kt.Transformer(13, 1, d_model=8, num_heads=2, d_ff=17, dropout_rate=0.0)
    block = model.encoder.blocks[0]
    block.feed_forward = Penalised(block.feed_forward)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss)
    source = np.arange(4, 12, dtype="int32").reshape(2, 4)
    history = model.fit({"source": source, "target": source}, source, verbose=0)
    return history.history["loss"][0]


def translate():
    tokenizer = ToyTokenizer()
    model = kt.Transformer(tokenizer.vocabulary_size(), 1, d_model=8, num_heads=2, d_ff=17)
    translations = kt.Translator(model, tokenizer).translate(["i am a student", "thanks"])
    return [translation.text for translation in translations]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
