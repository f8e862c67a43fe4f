# ---
# jupyter:
#   # ruff: noqa: E402
#   accelerator: GPU
#   colab:
#     gpuType: T4
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
# # Training on several GPUs
#
# TensorFlow's `MirroredStrategy`: each GPU has the whole model and a share of every batch. It is
# done twice here: by the trainer, with one option, and in Python, with `model.fit`.
#
# On a machine without GPUs the CPU is split into two parts, which shows all of it but is not
# faster. With one GPU, such as Colab's, the strategy has one replica. This notebook was never run
# on several GPUs: the tests that several devices give the result of one use parts of a CPU.

# %%
# Settings. PACKAGE is what pip installs: the folder of a checkout of keras_transformer, or "git+"
# and the address of its repository; "" if the package is installed already.
PACKAGE = ""
CHECKOUT = ".."  # the folder of a checkout: the trainer is part of it, and not of what pip installs
SMALL = False  # True: all cells in about a minute
OUTPUT = "runs"  # where the trained translators are saved

PAIRS = 1000 if SMALL else None  # how many sentence pairs to learn from; None takes all
VOCABULARY = 800 if SMALL else 2600
NUM_LAYERS = 1 if SMALL else 3
EPOCHS = 5
WARMUP = 40 if SMALL else 500  # steps in which the learning rate rises
MAX_SHAPES = 1 if SMALL else 3
TOKENS = 2048  # tokens of a batch, over all devices

# %%
import subprocess
import sys
from pathlib import Path

if PACKAGE:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", PACKAGE], check=True)


class NoTrainerError(RuntimeError):
    """Error that stops the notebook; its message is shown without a traceback."""

    def _render_traceback_(self):
        return [str(self)]


if not Path(CHECKOUT, "trainers", "translation.py").is_file():
    raise NoTrainerError(
        f"There is no trainers/translation.py in {Path(CHECKOUT).resolve()}: set CHECKOUT in the "
        "settings to the folder of a checkout of the repository (`git clone` makes one)."
    )

# %% [markdown]
# ## The devices

# %%
import tensorflow as tf

tf.get_logger().setLevel("ERROR")  # no message for every reduction
gpus = tf.config.list_physical_devices("GPU")
count = len(gpus) or 2
if gpus:
    print(f"{count} GPUs: each gets an equal share of every batch.")
else:
    print("There is no GPU: the CPU is split into 2 parts, to show what several devices do.")

# %% [markdown]
# ## By the trainer
#
# `--strategy mirrored` is all it takes (`auto`, the default, takes it where there are several
# GPUs). The text is the built-in phrasebook, here written to files as your own text would be: a
# sentence, a tab, its translation.

# %%
from keras_transformer.data.phrasebook import phrasebook

book = phrasebook(seed=0)
folder = Path(OUTPUT).resolve()
folder.mkdir(parents=True, exist_ok=True)
texts = {"train": book.train[:PAIRS], "validation": book.validation[: 20 if SMALL else None]}
for name, pairs in texts.items():
    lines = [f"{english}\t{french}\n" for english, french in pairs]
    (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")

# %%
command = f"""
    {sys.executable} -m trainers.translation --config trainers/recipes/phrasebook.yaml
    --corpus files --train-tsv {folder}/train.tsv --validation-tsv {folder}/validation.tsv
    --strategy mirrored --devices {count} --output {folder}/by_trainer --overwrite true
    --vocabulary-size {VOCABULARY} --num-layers {NUM_LAYERS} --epochs {EPOCHS} --bleu-every {EPOCHS}
    --warmup-steps {WARMUP} --max-shapes {MAX_SHAPES} --tokens-per-batch {TOKENS}
""".split()

with subprocess.Popen(
    command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
) as training:
    for line in training.stdout:
        print(line, end="")
if training.returncode:
    raise NoTrainerError(f"The trainer ended with {training.returncode}; it says why above.")

# %% [markdown]
# ## In Python
#
# The same with `model.fit`. `choose_devices` comes before any other use of TensorFlow, since a CPU
# can only be split before it is used. The model is made and compiled in the strategy's scope, and
# every batch is split into equal `parts`.
#
# Gradients are summed over all tokens of all devices and divided once by the number of real tokens,
# so a device with shorter sentences does not count for more than its share; they are clipped, if at
# all, after that; and each device draws its own dropout. Text, settings and seed are those of
# above, so the losses should agree up to rounding.

# %%
import keras

import keras_transformer as kt
from keras_transformer.data import InMemoryCorpus, PairFilter, TokenBatches, TokenCache
from keras_transformer.distribution import choose_devices

devices = choose_devices("mirrored", count)
print(f"Training on {devices.description}.")
keras.utils.set_random_seed(0)

corpus = InMemoryCorpus(book.train[:PAIRS])
tokenizer = kt.Tokenizer.train(corpus.sentences(), VOCABULARY, model_type="bpe")
cache = TokenCache.build(corpus, tokenizer, folder / "tokens", PairFilter(max_length=48))
batches = TokenBatches(cache, TOKENS, MAX_SHAPES, parts=devices.replicas)

with devices.scope():
    model = kt.Transformer.from_preset(
        "tiny", tokenizer.vocabulary_size(), num_layers=NUM_LAYERS, dropout_rate=0.1
    )
    model.build()
    schedule = kt.WarmupSchedule(model.d_model, warmup_steps=WARMUP)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
        loss=kt.TokenCrossEntropy(label_smoothing=0.1),
        metrics=[kt.TokenAccuracy(), kt.Perplexity()],
        jit_compile=devices.can_jit,
    )

# %%
history = model.fit(
    batches.dataset(),
    steps_per_epoch=batches.steps_per_epoch,
    epochs=EPOCHS,
    shuffle=False,  # the batches are already shuffled
    callbacks=[kt.TokenRate()],
    verbose=2,
)

# %% [markdown]
# ## Both translate

# %%
by_fit = kt.Translator(model, tokenizer, max_source_length=48)
by_fit.save(folder / "by_fit")
by_trainer = kt.Translator.load(folder / "by_trainer")
texts = ["I am a student.", "The animal didn't cross the street because it was too tired."]
translations = [*by_trainer.translate(texts), *by_fit.translate(texts)]
for translation in translations:
    print(translation.text)

# %% [markdown]
# Several machines: `--strategy multi_worker`, with TensorFlow's `TF_CONFIG`. On JAX, `mirrored`
# means Keras' `DataParallel` over all devices of the machine (`KERAS_BACKEND=jax`).
