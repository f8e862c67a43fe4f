# ---
# jupyter:
#   # ruff: noqa: E402
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a trained translator into other programs
#
# A run folder becomes a SavedModel that takes strings and returns strings, with tokenizer and beam
# search inside; the same in int8; a `.keras` file; and a CTranslate2 model. Each is loaded again
# and translates the same sentences. A CPU is enough.

# %%
# Settings. PACKAGE is what pip installs: the folder of a checkout of keras_transformer, or "git+"
# and the address of its repository; "" if the package is installed already.
PACKAGE = ""
RUN = ""  # your run folder; "" trains a translator here, in a few minutes
SMALL = False  # True: all cells in about a minute
OUTPUT = "exported"  # where everything is written

PAIRS = 1000 if SMALL else 10_000  # how many sentence pairs to learn from
VOCABULARY = 800 if SMALL else 2600
NUM_LAYERS = 1 if SMALL else 2
EPOCHS = 5 if SMALL else 10
WARMUP = 40 if SMALL else 400  # steps in which the learning rate rises
MAX_LENGTH = 16 if SMALL else 48  # tokens of a sentence; a SavedModel has graphs for each length

# %%
import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path

if PACKAGE:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", PACKAGE], check=True)
logging.getLogger("tensorflow").setLevel("ERROR")  # no message for every file

# %% [markdown]
# ## A translator
#
# Yours, or one that is trained here on a part of the built-in phrasebook. So little text does not
# make a good translator, but one that can be exported.

# %%
import keras

import keras_transformer as kt
from keras_transformer.data import InMemoryCorpus, PairFilter, TokenBatches, TokenCache
from keras_transformer.data.phrasebook import phrasebook

folder = Path(OUTPUT).resolve()


def train():
    """Trains and returns a small translator."""
    keras.utils.set_random_seed(0)
    corpus = InMemoryCorpus(phrasebook(seed=0).train[:PAIRS])
    tokenizer = kt.Tokenizer.train(corpus.sentences(), VOCABULARY, model_type="bpe")
    cache = TokenCache.build(
        corpus, tokenizer, folder / "tokens", PairFilter(max_length=MAX_LENGTH)
    )
    batches = TokenBatches(cache, tokens_per_batch=2048, max_shapes=1)
    model = kt.Transformer.from_preset(
        "tiny", tokenizer.vocabulary_size(), num_layers=NUM_LAYERS, dropout_rate=0.1
    )
    schedule = kt.WarmupSchedule(model.d_model, warmup_steps=WARMUP)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
        loss=kt.TokenCrossEntropy(label_smoothing=0.1),
        metrics=[kt.TokenAccuracy(), kt.Perplexity()],
    )
    steps = batches.steps_per_epoch
    model.fit(batches.dataset(), steps_per_epoch=steps, epochs=EPOCHS, shuffle=False, verbose=2)
    return kt.Translator(model, tokenizer, max_source_length=MAX_LENGTH)


translator = kt.Translator.load(RUN) if RUN else train()
texts = ["I am a student.", "The doctor is tired.", "The cups are on the table."]
live = [translation.text for translation in translator.translate(texts)]
print("\n".join(live))

# %% [markdown]
# ## SavedModel
#
# Beam size, length penalty and maximum length are fixed when it is written. The `1` at the end
# of the folder's name is its version, as TensorFlow Serving expects it. In a shell:
#
# ```
# python -m keras_transformer export --run RUN --output exported/served/mine/1
# ```

# %%
saved_model = folder / "served" / "mine" / "1"
kt.export(translator, saved_model)

# %% [markdown]
# Now the other side: a new process that imports TensorFlow, its text operations and nothing else.
# It needs no keras_transformer, and says so.

# %%
CLIENT = """
import json, sys
import tensorflow as tf
import tensorflow_text  # registers the tokenizer's operations

loaded = tf.saved_model.load(sys.argv[1])
outputs = loaded.signatures["serving_default"](text=tf.constant(sys.argv[2:]))
texts = [row[0].decode() for row in outputs["translation"].numpy()]
print(json.dumps({"texts": texts, "with_our_package": "keras_transformer" in sys.modules}))
"""


def ask(saved_model):
    """Translates the texts in another process, with a SavedModel alone."""
    command = [sys.executable, "-c", CLIENT, str(saved_model), *texts]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


served = ask(saved_model)
print(served)
print("the same as live:", served["texts"] == live)

# %% [markdown]
# ## int8
#
# Weights of a quarter of the size, and translations that may differ a little.

# %%
kt.export(translator, folder / "served" / "small" / "1", quantize="int8")


def megabytes(saved_model):
    return sum(file.stat().st_size for file in (saved_model / "variables").iterdir()) / 1e6


small = ask(folder / "served" / "small" / "1")
print("\n".join(small["texts"]))
sizes = [megabytes(folder / "served" / name / "1") for name in ("mine", "small")]
print(f"{sizes[0]:.2f} MB of weights, and {sizes[1]:.2f} MB")

# %% [markdown]
# ## A `.keras` file
#
# For further work in Keras: the model, and the tokenizer in a file next to it.

# %%
kt.export(translator, folder / "keras", format="keras")
model = keras.saving.load_model(folder / "keras" / "model.keras")
tokenizers = [  # the second exists if source and target have separate vocabularies
    kt.Tokenizer.load(folder / "keras" / name)
    for name in ("tokenizer.model", "target_tokenizer.model")
    if (folder / "keras" / name).exists()
]
rebuilt = kt.Translator(model, *tokenizers, max_source_length=translator.max_source_length)
reloaded = [translation.text for translation in rebuilt.translate(texts)]
print("the same as live:", reloaded == live)

# %% [markdown]
# ## CTranslate2
#
# A fast engine in C++ (`pip install ctranslate2`). Its input and output are tokens, and it has its
# own search: with the same number of beams, near ties may be decided the other way.

# %%
other = []
if importlib.util.find_spec("ctranslate2"):
    import ctranslate2

    kt.export(translator, folder / "ctranslate2", format="ctranslate2")
    engine = ctranslate2.Translator(str(folder / "ctranslate2"), compute_type="int8")
    reader, writer = translator.tokenizer, translator.target_tokenizer
    tokens = [list(map(reader.id_to_token, reader.tokenize(text))) for text in texts]
    for result in engine.translate_batch(tokens, beam_size=4, length_penalty=0.6):
        ids = map(writer.token_to_id, result.hypotheses[0])
        other.append(writer.detokenize(list(ids)))
    print("\n".join(other))
else:
    print("CTranslate2 is not installed: `pip install ctranslate2`, and run this cell again.")

# %% [markdown]
# ## TensorFlow Serving
#
# The folder `exported/served/mine` is what TensorFlow Serving loads. Neither command was run here,
# since they need Docker:
#
# ```
# docker run -p 8501:8501 -v "$PWD/exported/served/mine:/models/mine" -e MODEL_NAME=mine \
#     tensorflow/serving:2.20.0
# curl -d '{"inputs": {"text": ["Good morning."]}}' \
#     http://localhost:8501/v1/models/mine:predict
# ```
#
# The answer has `outputs` with `translation` and `score`: one row per text, one column per
# hypothesis. The same from Python:
#
# ```
# import requests
#
# request = {"inputs": {"text": ["Good morning."]}}
# answer = requests.post("http://localhost:8501/v1/models/mine:predict", json=request, timeout=60)
# print(answer.json()["outputs"]["translation"])
# ```
#
# A SavedModel written with `kt.export(..., xla=True)` (`--xla`) is faster once it is warm; on a CPU
# the server then needs `--xla_cpu_compilation_enabled=true` at the end of the first command.
