# ---
# jupyter:
#   # ruff: noqa: E402
#   accelerator: TPU
#   colab:
#     gpuType: V5E1
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
# # Training on a TPU
#
# On Colab, choose *Runtime, Change runtime type, v5e-1 TPU* (or v6e-1), and run the cells from top
# to bottom. Training runs on JAX, which is what Colab's TPU machines have. A variant with
# TensorFlow's `TPUStrategy` is described at the end.
#
# **What was checked.** No TPU was available when this was written. The training step, the
# evaluation step and the search were compiled for v5e and v6e by the TPU's own compiler, and their
# memory and operations counted (`python -m trainers.tpu_check`). All cells were run on a CPU. The
# speed on a TPU, the sizes below and the installation on Colab's TPU machines were not tried.

# %%
# Settings. PACKAGE is what pip installs: the folder of a checkout of keras_transformer, or "git+"
# and the address of its repository; "" if the package is installed already.
PACKAGE = ""
BACKEND = "jax"  # or "tensorflow": see the end
REQUIRE_TPU = True  # False: the cells run on any device
SMALL = False  # True: all cells in about a minute on a CPU
SOURCE, TARGET = "", ""  # two parallel text files; "": the built-in phrasebook
OUTPUT = "runs/tpu"  # where the trained translator is saved

PAIRS = 1000 if SMALL else None  # how many pairs of the phrasebook; None takes all
VOCABULARY = 800 if SMALL else 2600
NUM_LAYERS = 1 if SMALL else 3
EPOCHS = 5 if SMALL else 20
WARMUP = 40 if SMALL else 400  # steps in which the learning rate rises
LENGTH = 64  # tokens of a row, and maximum length of a sentence
TOKENS = 2048 if SMALL else 8192  # tokens of a batch, on each side

# %%
import os
import subprocess
import sys

os.environ["KERAS_BACKEND"] = BACKEND  # before keras is imported

# The only versions of TensorFlow for TPUs that were found to load together, and the other packages
# that are needed: the lines of colab/requirements-tpu.txt.
TENSORFLOW_ON_TPU = [
    *("tensorflow-tpu==2.20.0", "libtpu==0.0.21.1", "keras==3.13.2", "importlib_resources"),
    *("jsonargparse[signatures]>=4.40", "pyyaml", "sacrebleu>=2.4", "sentencepiece>=0.2"),
    *("tensorboard", "tensorflow-datasets>=4.9.7", "tqdm"),
]


def pip_install(*wanted):
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)


if PACKAGE and BACKEND == "jax":
    pip_install(PACKAGE, "tensorflow==2.20.*")  # the version of Colab's other machines
elif PACKAGE:
    pip_install(*TENSORFLOW_ON_TPU)
    pip_install("--no-deps", "tensorflow-text==2.20.1", PACKAGE)

# %% [markdown]
# ## Is there a TPU?
#
# If not, everything stops here, with a message, so that no hours are spent on a CPU by mistake.

# %%
from keras_transformer.distribution import DeviceError, choose_devices


class NoTpuError(RuntimeError):
    """Error that stops the notebook; its message is shown without a traceback."""

    def _render_traceback_(self):
        return [str(self)]


try:
    devices = choose_devices("tpu" if REQUIRE_TPU else "auto")
except DeviceError as error:
    reason = str(error).split(". ")[0]
    raise NoTpuError(
        f"There is no TPU here ({reason}): choose one under Runtime, Change runtime type, and run "
        "all cells again, or set REQUIRE_TPU = False in the settings to run them on what there is."
    ) from error
print(f"Training on {devices.description}.")

# %% [markdown]
# On JAX, one chip needs nothing else. With several (Kaggle's v5e-8, say), `choose_devices` has set
# Keras' `DataParallel`: each chip has the whole model, and an equal share of every batch.
#
# ## One shape
#
# A TPU's program is compiled for one shape of its input, and every other shape means compiling
# again. So all batches have the same: rows of `LENGTH` tokens, in which several sentence pairs lie
# side by side. Each token knows its pair, and attention never crosses from one pair to another.

# %%
import itertools
import math

import keras

import keras_transformer as kt
from keras_transformer.data import (
    EvaluationBatches,
    InMemoryCorpus,
    PackedBatches,
    PairFilter,
    ParallelFiles,
    TokenCache,
)
from keras_transformer.data.phrasebook import phrasebook

book = phrasebook(seed=0)
corpus = ParallelFiles(SOURCE, TARGET) if SOURCE else InMemoryCorpus(book.train[:PAIRS])
tokenizer = kt.Tokenizer.train(corpus.sentences(), VOCABULARY, model_type="bpe")
filters = PairFilter(max_length=LENGTH)
cache = TokenCache.build(corpus, tokenizer, f"{OUTPUT}/tokens", filters)
batches = PackedBatches(cache, TOKENS, LENGTH, batch_multiple=math.lcm(8, devices.replicas))
print(f"{len(cache):,} pairs in batches of {batches.shapes[0]}, {batches.padding:.1%} padding")

# %% [markdown]
# ## Training
#
# `mixed_bfloat16` computes in bfloat16, which TPUs are made for, and keeps weights, softmax and
# loss in float32. On JAX, `fit` is given the batches as NumPy arrays, without TensorFlow; on
# TensorFlow, as a `tf.data.Dataset`.

# %%
with devices.scope():
    model = kt.Transformer.from_preset(
        "tiny",
        tokenizer.vocabulary_size(),
        num_layers=NUM_LAYERS,
        dropout_rate=0.1,
        dtype="mixed_bfloat16",
    )
    model.build()
    schedule = kt.WarmupSchedule(model.d_model, warmup_steps=WARMUP)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
        loss=kt.TokenCrossEntropy(label_smoothing=0.1),
        metrics=[kt.TokenAccuracy(), kt.Perplexity()],
        jit_compile=devices.can_jit,
    )


def endless():
    """Yields all batches, epoch after epoch."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)


history = model.fit(
    endless() if BACKEND == "jax" else batches.dataset(),
    steps_per_epoch=batches.steps_per_epoch,
    epochs=EPOCHS,
    shuffle=False,  # the batches are already shuffled
    callbacks=[kt.TokenRate()],
    verbose=2,
)

# %% [markdown]
# How well does it do on sentences that it never saw? The evaluation, too, has one shape.

# %%
if not SOURCE:
    unseen = InMemoryCorpus(book.validation[: 100 if SMALL else None])
    unseen_cache = TokenCache.build(unseen, tokenizer, f"{OUTPUT}/unseen", filters)
    validation = EvaluationBatches(unseen_cache, TOKENS, max_shapes=1, parts=devices.replicas)
    scores = model.evaluate(
        iter(validation) if BACKEND == "jax" else validation.dataset(),
        steps=len(validation),
        return_dict=True,
        verbose=0,
    )
    print(scores)

# %% [markdown]
# ## Translating, and saving the translator
#
# The search runs on the TPU as well. The folder that is saved can be used on any machine, with
# TensorFlow or JAX: `kt.Translator.load(OUTPUT)`, or `python -m keras_transformer export --run ...`
# for a SavedModel, which TensorFlow has to write.

# %%
translator = kt.Translator(model, tokenizer, max_source_length=LENGTH)
translations = translator.translate([english for english, _ in book.train[:4]])
for translation in translations:
    print(translation.text)
translator.save(OUTPUT)

# %% [markdown]
# ## With TensorFlow
#
# Set `BACKEND = "tensorflow"`, restart the runtime, and run all cells: `choose_devices("tpu")` then
# sets up TensorFlow's TPU and returns `TPUStrategy`; nothing else changes. The newest
# `tensorflow-tpu` is 2.20.0, and with some versions of `libtpu` it crashes at start-up, so those
# named above are installed and no others.
#
# Three things were checked: these versions load together and report that there is no TPU, the step
# compiles for v5e and v6e, and the cells run on a CPU. No step was ever run on a TPU. On Colab, JAX
# is more likely to work.
#
# Without a notebook, the same is done by
#
# ```
# KERAS_BACKEND=jax python -m trainers.translation --config trainers/recipes/phrasebook.yaml \
#     --packed always --strategy tpu --precision mixed_bfloat16 --output runs/tpu
# ```
