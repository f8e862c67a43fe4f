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
# # The Transformer, on its own numbers
#
# A walk through the ideas of [*The Illustrated
# Transformer*](https://jalammar.github.io/illustrated-transformer/) (J. Alammar, 2018) and of the
# paper behind it ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)), with a model that you
# train here, in a few minutes, to translate English into French. Every figure shows numbers of that
# model. They are measured, not promised: yours will differ a little, and not all of them are as
# tidy as a drawing.
#
# A CPU is enough; the training takes some minutes on two cores. Cells are to be run from top to
# bottom.

# %%
# Settings. PACKAGE is what pip installs: the folder of a checkout of keras_transformer, or "git+"
# and the address of its repository; "" if the package is installed already.
PACKAGE = ""
SMALL = False  # True: all cells in about a minute, with a model that has learnt next to nothing

PAIRS = 1000 if SMALL else None  # how many sentence pairs to learn from; None takes all
VOCABULARY = 800 if SMALL else 2600
NUM_LAYERS = 1 if SMALL else 3
EPOCHS = 5
WARMUP = 40 if SMALL else 500  # steps in which the learning rate rises
MAX_SHAPES = 1 if SMALL else 3
CHECKED = 4 if SMALL else 200  # how many unseen sentences to translate

# %%
import subprocess
import sys

if PACKAGE:
    wanted = [PACKAGE, "matplotlib", "jinja2"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)

# %%
import tempfile
from dataclasses import replace

import keras
import numpy as np
from IPython.display import display
from keras import ops

import keras_transformer as kt
from keras_transformer.data import InMemoryCorpus, PairFilter, TokenBatches, TokenCache
from keras_transformer.data.phrasebook import phrasebook
from keras_transformer.illustrate import (
    Attention,
    SearchStep,
    attention_figure,
    attention_steps_figure,
    distributions_figure,
    page,
    positions_figure,
    search_figure,
)
from keras_transformer.training import word_agreement

keras.utils.set_random_seed(0)

# %% [markdown]
# ## The text
#
# From outside, a translator is a box: a sentence goes in, a sentence comes out. What is in the box
# is learnt from pairs of sentences. The package writes some 53,000 of them itself. Most are
# everyday phrases. The others are about the sentence that made the article known:
#
# > The animal didn't cross the street because it was too tired.
#
# What is *it*, the animal or the street? You know, because streets do not get tired. With *too
# wide* it would be the street. In English both are *it*. In French the pronoun agrees with its
# noun: *il* for *l'animal*, *elle* for *la rue*. So a translator that writes the right pronoun has
# worked out what *it* means.

# %%
TIRED = "The animal didn't cross the street because it was too tired."
WIDE = "The animal didn't cross the street because it was too wide."

book = phrasebook(seed=0)
corpus = InMemoryCorpus(book.train[:PAIRS])
print(len(corpus.pairs), "pairs, such as")
for english, french in corpus.pairs[:4]:
    print(f"  {english}  |  {french}")

# %% [markdown]
# ## From text to numbers
#
# The model knows no letters, only the numbers of *tokens*. A token is a word, or a part of one
# where the whole word is rare; the underscore marks where a word starts. The last token, `</s>`,
# says that the sentence ends.

# %%
tokenizer = kt.Tokenizer.train(corpus.sentences(), VOCABULARY, model_type="bpe")


def ids_of(text):
    return [*tokenizer.tokenize(text), tokenizer.eos_id]


def tokens_of(ids):
    return [tokenizer.id_to_token(id) for id in ids]


source = ids_of(TIRED)
for id, token in zip(source, tokens_of(source), strict=True):
    print(f"{id:5}  {token}")

# %% [markdown]
# ## The model, and its training
#
# Two stacks: an *encoder* that reads the English sentence, and a *decoder* that writes the French
# one, token by token. The paper's model has six blocks in each stack; three are enough here. We
# train now and look inside afterwards.
#
# Sentences of about the same length share a batch, so that little of it is padding. Each batch has
# one of `MAX_SHAPES` shapes. Every shape is compiled once, which is why the first epoch is the
# slowest.

# %%
folder = tempfile.mkdtemp()
cache = TokenCache.build(corpus, tokenizer, f"{folder}/tokens", PairFilter(max_length=48))
batches = TokenBatches(cache, tokens_per_batch=2048, max_shapes=MAX_SHAPES)

model = kt.Transformer.from_preset(
    "tiny", tokenizer.vocabulary_size(), num_layers=NUM_LAYERS, dropout_rate=0.1
)
model.build()
untrained = kt.Transformer.from_config(model.get_config())  # to compare with, later
untrained.build()
print(f"{model.count_params():,} weights; {model.num_heads} heads; width {model.d_model}")

# %%
model.compile(
    optimizer=keras.optimizers.Adam(
        kt.WarmupSchedule(model.d_model, warmup_steps=WARMUP), beta_1=0.9, beta_2=0.98, epsilon=1e-9
    ),
    loss=kt.TokenCrossEntropy(label_smoothing=0.1),
    metrics=[kt.TokenAccuracy(), kt.Perplexity()],
)
history = model.fit(
    batches.dataset(),
    steps_per_epoch=batches.steps_per_epoch,
    epochs=EPOCHS,
    shuffle=False,  # the batches are already shuffled
    verbose=2,
)

# %% [markdown]
# Does it translate? The first sentence was in the training text; the other two were not, nor was
# any sentence in which the *animal* and the *street* meet.

# %%
translator = kt.Translator(model, tokenizer, max_source_length=48, about={"seed": 0})
translations = translator.translate(["I am a student.", TIRED, WIDE])
for translation in translations:
    print(translation.text)

# %% [markdown]
# ## Words become vectors, and vectors get a place
#
# The first thing that happens to a token is that its number becomes a row of a table: a vector of
# `d_model` numbers, learnt like all others. The paper takes 512, this model 128.
#
# So far a sentence would be a bag of words. Its order comes in by addition: to every vector is
# added a pattern that says where it stands. The patterns are waves, fast ones and slow ones, and
# are not learnt. Each row below is a place. The paper takes sine and cosine by turns; the authors'
# program, from which the article's picture comes, put all sines on the left.

# %%
places = np.arange(20)
waves = {
    form: ops.convert_to_numpy(kt.sinusoids(places, model.d_model, form))
    for form in ("t2t", "paper")
}
display(replace(positions_figure(waves), height=680))

# %%
x = model.source_embedding(ops.array([source]))  # (1, S, d_model)
print(f"{len(source)} tokens became an array of shape {tuple(x.shape)}.")

# %% [markdown]
# ## Self-attention, step by step
#
# In a block each position collects what it needs from the others. For that, three vectors are made
# of its own, by three learnt matrices:
#
# 1. a *query*, what it is looking for; a *key*, what it can be found by; a *value*, what it has to
#    give;
# 2. its query meets every key in a dot product: a score for each position;
# 3. scores are divided by the square root of the keys' size, so that they do not grow with it;
# 4. a softmax makes them positive, with the sum 1;
# 5. every value is multiplied with its score, which drowns what does not matter;
# 6. what is left is added up.
#
# Here are these steps for *it*, in one head of the lowest block, in the numbers of your model.

# %%
HEAD = 0
block = model.encoder.blocks[0]
attention = block.self_attention
columns = slice(HEAD * attention.key_dim, (HEAD + 1) * attention.key_dim)
query = ops.convert_to_numpy(attention.query_projection(x))[0, :, columns]
key, value = (ops.convert_to_numpy(array)[0, HEAD] for array in attention.project_key_value(x))
it = tokens_of(source).index("▁it")

steps = attention_steps_figure(
    tokens_of(source), query, key, value, token=it, inputs=ops.convert_to_numpy(x)[0]
)
display(replace(steps, height=1000))

# %% [markdown]
# For all positions at once these six steps are one line, with queries, keys and values as the rows
# of matrices. That line is what the model computes, as the difference to its own scores shows.

# %%
Q, K, V = query, key, value
scores = np.asarray(ops.softmax(Q @ K.T / np.sqrt(K.shape[1])))  # (S, S)
Z = scores @ V

written = ids_of(book.held_out["coreference"][0][1])
read = [tokenizer.bos_id, *written[:-1]]
seen = model.attention(np.array([source]), np.array([read]))
print(f"the most that a score differs: {np.abs(scores - seen['encoder'][0, 0, HEAD]).max():.0e}")

# %% [markdown]
# ## Many heads
#
# One softmax is one way of looking, and there is more than one thing to look for. So each block has
# several *heads*: smaller matrices of their own, which look in their own ways. Their outputs are
# laid side by side and mixed by one more matrix. In the figure each head has a colour; choose a
# layer, click on colours to turn heads off, and point at a token.


# %%
def attention_of(text, target):
    """Returns all attention scores of a sentence and a translation of it."""
    ids, target_ids = ids_of(text), ids_of(target)
    read = [tokenizer.bos_id, *target_ids[:-1]]
    scores = model.attention(np.array([ids]), np.array([read]))
    return Attention(
        source=tokens_of(ids),
        written=tokens_of(target_ids),
        read=tokens_of(read),
        **{name: array[0] for name, array in scores.items()},
    )


tired, wide = (
    attention_of(text, dict(book.held_out["coreference"])[text]) for text in (TIRED, WIDE)
)
display(attention_figure(tired, token=it))

# %% [markdown]
# ## What is *it*?
#
# First the result: unseen sentences of this kind, with pairs of nouns that never met in training,
# and how often the translation has the right pronoun. Always writing *il* would be right in about
# half of them.

# %%
unseen = book.held_out["coreference"][:CHECKED]
guesses = [one.text for one in translator.translate([pair[0] for pair in unseen], beam_size=1)]
agreement, count = word_agreement(guesses, [pair[1] for pair in unseen], ["il", "elle"])
print(f"the right pronoun in {agreement:.1f} % of {count} sentences")

# %% [markdown]
# And where does *it* look? In the article's figure a head goes from *it* straight to *the animal*.
# Look what yours do: for every head, the three tokens that get most of *it*'s attention, in both
# sentences.

# %%
for layer in range(NUM_LAYERS):
    for head in range(model.num_heads):
        looks = []
        for one in (tired, wide):
            row = one.encoder[layer, head, one.source.index("▁it")]
            best = np.argsort(-row)[:3]
            looks.append(", ".join(f"{one.source[i].strip('▁')} {row[i]:.2f}" for i in best))
        print(f"layer {layer} head {head}:  {looks[0]:<40}|  {looks[1]}")

# %% [markdown]
# Be prepared for a surprise. For the project's model, trained like this one, the looks were counted
# on 1,040 sentences (`benchmarks/coreference.py`). It writes the right pronoun in all of them, yet
# the best head of the encoder looks most from *it* at the right noun in only 22.5 %. When the
# decoder writes *il* or *elle*, the best head does so in 49.9 %: in nearly all where that is the
# animal, in none where it is the place; there it often looks at the adjective instead, which gives
# the answer away too. Which head looks where is an accident of the training. What a word has
# gathered in lower blocks travels with it, so a block above need not look for it again. Attention
# shows where information flows in one step. It is not the whole explanation.
#
# ## The rest of a block
#
# After attention comes a small network with one hidden layer, the same for every position and for
# each alone. Around both lies a shortcut: the output is *added* to the input, then normalised. Put
# together by hand, the parts give what the block gives.

# %%
attended = attention(query=x, value=x)
after_attention = block.self_attention_residual(x, attended)
by_hand = block.feed_forward_residual(after_attention, block.feed_forward(after_attention))
difference = np.abs(ops.convert_to_numpy(by_hand) - ops.convert_to_numpy(block(x))).max()
print(f"the most that a number differs: {difference:.0e}")

# %% [markdown]
# ## The decoder
#
# The decoder reads what has been written so far and says what comes next. Its blocks have one more
# part: each position looks not only at the words written before, but also at the encoder's output,
# that is, at the source. And it must not look ahead, or training would teach it to copy. A *mask*
# sees to that: scores of later positions are made so small that nothing is left of them after the
# softmax.
#
# Below, tokens that the decoder writes (right) look at those that it has read (left). No line leads
# downwards to a later token. In the menu, *Input - Output* shows what they look at in the source.

# %%
display(attention_figure(tired, kind="out_out"))

# %%
other = list(read)
other[-1] = tokenizer.unk_id  # another last word
logits, other_logits = (
    ops.convert_to_numpy(model({"source": np.array([source]), "target": np.array([target])}))[0]
    for target in (read, other)
)
changes = np.abs(logits - other_logits).max(axis=-1)
print(f"logits before the word that changed differ by {changes[:-1].max():.1f},")
print(f"those after it by {changes[-1]:.1f}")

# %% [markdown]
# ## From vectors back to words
#
# The decoder's last vector is compared with every row of the table of embeddings: a number for each
# token, a *logit*. A softmax makes probabilities of them. Before training they mean nothing; after
# it, each position should be sure of the next word. Dark means probable; the first table is the
# right answer.

# %%
student, wanted = ids_of("I am a student."), ids_of("Je suis étudiant.")
words = tokens_of(range(tokenizer.vocabulary_size()))


def logits_of(one):
    """Returns the logits of a model that should write the French sentence, (T, V)."""
    read = [tokenizer.bos_id, *wanted[:-1]]
    return one({"source": np.array([student]), "target": np.array([read])})[0]


before, after = (ops.convert_to_numpy(ops.softmax(logits_of(one))) for one in (untrained, model))
comparison = distributions_figure(wanted, words, before, after)
display(comparison)

# %% [markdown]
# ## The loss
#
# What training makes small is the *cross-entropy*: minus the logarithm of the probability that the
# right word got, averaged over all words that are not padding. A model that knows nothing and gives
# all `V` words the same chance has `log V`. In training, a tenth of what each right word should get
# was spread over all others (*label smoothing*), so that the model does not become too sure of
# itself; here it is not.

# %%
by_hand = -np.log(after[np.arange(len(wanted)), wanted]).mean()
loss = kt.TokenCrossEntropy(label_smoothing=0.0)(np.array([wanted]), logits_of(model)[None])
print(f"by hand {by_hand:.4f}, by the package {float(loss):.4f}")
print(f"before training {comparison.data['losses']['before']:.4f}")
print(f"with even chances {np.log(len(words)):.4f}")

# %% [markdown]
# ## Choosing the words: beam search
#
# The most probable next word, again and again, is *greedy* search: quick, but what starts well need
# not end well. *Beam search* keeps a few beginnings, here two, continues each of them with every
# word, and keeps the two best of all that. Here it is in plain Python, without any of the package's
# tricks; the tree shows all that it looked at.


# %%
def search(text, beam_size=2, longest=24):
    """Returns the steps of a beam search, and the sentences that it found, best first."""
    memory = model.encode(ops.array([ids_of(text)]))
    beams, found, steps = [((), 0.0)], [], []
    while beams and len(steps) < longest and len(found) < beam_size:
        rows = []
        for ids, _ in beams:
            read = ops.array([[tokenizer.bos_id, *ids]])
            logits = model.decode(read, memory)[0, -1]
            rows.append(ops.convert_to_numpy(ops.log_softmax(logits)))
        totals = np.array([[log_prob] for _, log_prob in beams]) + np.array(rows)
        totals[:, tokenizer.pad_id] = -np.inf
        order = np.argsort(-totals, axis=None)[: 2 * beam_size]
        candidates = [
            ((*beams[beam][0], int(token)), float(totals[beam, token]))
            for beam, token in zip(*np.unravel_index(order, totals.shape), strict=True)
        ]
        finished = [one for one in candidates if one[0][-1] == tokenizer.eos_id]
        live = [one for one in candidates if one not in finished][:beam_size]
        steps.append(
            SearchStep(
                *map(list, zip(*beams, strict=True)), np.array(rows), [one[0] for one in live]
            )
        )
        found += [
            {"ids": ids, "log_prob": total, "finished": True, "score": total / len(ids) ** 0.6}
            for ids, total in finished
        ]
        beams = live
    return steps, sorted(found, key=lambda one: -one["score"])


search_steps, found = search("I am a student.")
display(
    search_figure(search_steps, found, tokenizer.id_to_token, beam_size=2, eos_id=tokenizer.eos_id)
)

# %% [markdown]
# The package's search weighs lengths with the formula that the paper uses, stops as soon as nothing
# better can come, remembers what it has computed for the beginning, and works on many sentences at
# once.

# %%
for hypothesis in translator.translate(["I am a student."], beam_size=2, top_beams=2)[0].hypotheses:
    print(f"{hypothesis.score:8.3f}  {hypothesis.text}")

# %% [markdown]
# ## All of it, for a sentence of yours
#
# One call makes the figures for any sentence, and a file of them that needs no network.

# %%
whole = page(translator, WIDE)
whole.save(f"{folder}/page.html")
display(whole)

# %% [markdown]
# ## A lesson: another attention
#
# Blocks are made of parts that can be exchanged. Take the positions away, and a block sees a bag of
# words: it cannot even repeat, for each word, the one before it. Now give attention a sense of
# distance: to every score is added a number that is learnt for how far apart the two words are
# ([Shaw et al., 2018](https://arxiv.org/abs/1803.02155), in the simple form of [Raffel et al.,
# 2020](https://arxiv.org/abs/1910.10683)). Attention has a hook for it, `logits`; nothing else has
# to change.


# %%
@keras.saving.register_keras_serializable(package="lesson")
class BiasByDistance(kt.DotProductAttention):
    """Attention that knows how far apart two words are, up to 3."""

    def build(self, query_shape):  # (B, heads, T, key_dim)
        self.bias = self.add_weight(shape=(query_shape[1], 7), initializer="zeros")

    def logits(self, query, key, distances):
        bias = ops.take(self.bias, ops.clip(distances, -3, 3) + 3, axis=1)  # (heads, 1, T, S)
        return super().logits(query, key, distances) + ops.swapaxes(bias, 0, 1)


def with_distances():
    return kt.MultiHeadAttention(d_model=16, num_heads=2, attention=BiasByDistance())


# %% [markdown]
# Masks, several heads, packed rows and the cache of decoding come with it, and the same part stands
# in an encoder, which sees the whole sentence, and in a decoder, which sees what came before.


# %%
def learn(make_block, **options):
    """Trains one block to repeat the word before; returns its accuracy and attention scores."""
    keras.utils.set_random_seed(0)
    block = make_block(d_model=16, num_heads=2, d_ff=32, dropout_rate=0.0, **options)
    ids = keras.Input((6,), dtype="int32")
    x = kt.PositionalEmbedding(vocabulary_size=7, d_model=16, positions=None)(ids)
    x, scores = block(x, return_attention_scores=True)
    model = keras.Model(ids, keras.layers.Dense(7)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=False)

    rows = np.random.default_rng(0).integers(7, size=(1280, 6))
    before = np.concatenate([rows[:, :1], rows[:, :-1]], axis=1)
    model.fit(rows[:1024], before[:1024], batch_size=64, epochs=8, verbose=0)
    guesses = ops.convert_to_numpy(model(rows[1024:])).argmax(axis=-1)
    scores = keras.tree.flatten(keras.Model(ids, scores)(rows[1024:1025]))[0]
    return (guesses == before[1024:]).mean(), ops.convert_to_numpy(scores)


plain, _ = learn(kt.EncoderBlock)
relative, relative_scores = learn(kt.EncoderBlock, self_attention=with_distances())
decoder, _ = learn(kt.DecoderBlock, self_attention=with_distances(), cross_attention=False)
print(f"right words: {plain:.1%} with plain attention, {relative:.1%} with distances,")
print(f"{decoder:.1%} with distances in a decoder")
display(attention_figure(Attention([f"word {i}" for i in range(6)], relative_scores)))

# %% [markdown]
# In the figure one head goes from each word to the one before it.
#
# From here: `keras_transformer/layers/attention.py` is attention as the package has it,
# with its hooks, and the guided tour in `docs/architecture.md` says what to read
# next.
