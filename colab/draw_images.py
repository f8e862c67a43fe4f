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
# # An image is a sequence, too
#
# The Image Transformer ([Parmar et al., 2018](https://arxiv.org/abs/1802.05751)) draws an image as
# a language model writes a text: one intensity after the other, each given those before it. Here
# you train one on small pictures of shapes and letters that the package draws itself, let it draw
# and complete others, and look at where it looks.
#
# On two CPU cores the training takes long; a GPU is better. `SMALL = True` runs all cells in about
# a minute, and the pictures are then noise.

# %%
# Settings. PACKAGE is what pip installs: the folder of a checkout of keras_transformer, or "git+"
# and the address of its repository; "" if the package is installed already.
PACKAGE = ""
SMALL = False  # True: all cells in about a minute, with a model that has learnt next to nothing

COUNT = 64 if SMALL else 20_000  # pictures to learn from
SIDE = 8 if SMALL else 16  # rows and columns of a picture
NUM_LAYERS = 1 if SMALL else 4
D_MODEL = 16 if SMALL else 128
EPOCHS = 2 if SMALL else 5
BATCH = 16
WARMUP = 40 if SMALL else 1000  # steps in which the learning rate rises
DRAWN = 4 if SMALL else 32  # pictures that the model draws

# %%
import subprocess
import sys

if PACKAGE:
    wanted = [PACKAGE, "matplotlib", "jinja2", "pillow"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)

# %%
import keras
import numpy as np
from IPython.display import display
from PIL import Image

import keras_transformer as kt
from keras_transformer.data import ImageSequences, drawings
from keras_transformer.illustrate import image_page
from keras_transformer.images import ImageGenerator, make_sheet

keras.utils.set_random_seed(0)

# %% [markdown]
# ## Pictures, and their ids

# %%
pictures = drawings(COUNT + 32, size=SIDE, channels=3, seed=0)
train, held_out = slice(COUNT), slice(COUNT, None)
display(Image.fromarray(make_sheet(pictures.images[held_out], scale=3)))

# %% [markdown]
# A picture has three intensities for every pixel, red, green and blue. To the model each of them is
# a token, with its own embedding for each channel, and with row and column for its place. Before
# the first one stands a start, which is also the class of the picture. The output layer begins with
# zeros: all 256 intensities are equally probable, and the model needs 8 bits for each.

# %%
CLASSES = int(pictures.classes.max()) + 1
model = kt.create_image_model(
    (SIDE, SIDE, 3),
    num_layers=NUM_LAYERS,
    d_model=D_MODEL,
    num_heads=4,
    d_ff=4 * D_MODEL,
    block_length=6 * SIDE,  # two rows: a position sees its two, and the two before
    num_classes=CLASSES,
    dropout_rate=0.0,
    norm="pre",
)
generator = ImageGenerator(model)
ids, labels = model.embedding.to_ids(pictures.images[train], pictures.classes[train])
print(f"{ids.shape[1]} tokens: {ids[0, :7]} ... become {labels[0, :7]} ...")
before = generator.bits(pictures.images[held_out], pictures.classes[held_out]).mean()
print(f"{before:.2f} bits a dimension")

# %% [markdown]
# ## Training
#
# The loss is the mean of -log p over all intensities, in nats; divided by log 2 it is bits a
# dimension.

# %%
sequences = ImageSequences(ids, labels, BATCH)
model.compile(
    optimizer=keras.optimizers.Adam(
        kt.WarmupSchedule(model.d_model, warmup_steps=WARMUP), beta_2=0.98, epsilon=1e-9
    ),
    loss=kt.TokenCrossEntropy(0.0),
    jit_compile=True,
)
history = model.fit(
    sequences.dataset(),
    steps_per_epoch=sequences.steps_per_epoch,
    epochs=EPOCHS,
    shuffle=False,  # the batches are already shuffled
    verbose=2,
)
after = generator.bits(pictures.images[held_out], pictures.classes[held_out]).mean()
print(f"{after:.2f} bits a dimension on pictures that it has not seen")

# %% [markdown]
# ## Drawing
#
# Every intensity is drawn at random, from the distribution that the model gives it. The model keeps
# the keys and values of what it has drawn, and of local attention no more than it still sees.

# %%
classes = np.arange(DRAWN) % CLASSES
drawn = generator.generate(DRAWN, classes, seed=1, batch_size=BATCH)
display(Image.fromarray(make_sheet(drawn.astype("uint8"), scale=3)))

# %% [markdown]
# The upper half of a picture may be given. Each picture on the sheet completes it in its own way;
# the first one is the whole.

# %%
whole, its_class = pictures.images[COUNT], int(pictures.classes[COUNT])
begun = np.broadcast_to(whole, (7, *whole.shape))
completed = generator.generate(7, its_class, begin=begun, rows=SIDE // 2, batch_size=BATCH)
display(Image.fromarray(make_sheet(np.concatenate([whole[None], completed.astype("uint8")]))))

# %% [markdown]
# ## Where it looks
#
# Step by step: what is drawn so far, what a layer may see of it, where it looks, and how sure it is
# of the next intensity.

# %%
page = image_page(generator, whole, its_class)
display(page)

# %% [markdown]
# ## What next
#
# `attention="local_2d"` draws block by block, so that a pixel sees what is near in both dimensions;
# `output="mixture"` draws a pixel at once, from a mixture of logistics. `python -m trainers.images`
# trains on Fashion-MNIST, CIFAR-10 or a folder of PNG files, and `docs/drawing.md` has more.
