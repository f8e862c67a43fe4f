"""A small model learns to turn digits round, and cannot without its essential parts.

Judged by what it writes by itself: a model that peeks at the next token has a low loss and
writes nonsense.
"""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import (
    Encoder,
    TokenAccuracy,
    TokenCrossEntropy,
    Transformer,
    WarmupSchedule,
    generate,
)
from keras_transformer.translation.compilation import compiled

PAD, BOS, EOS, FIRST = 0, 1, 2, 3
V = FIRST + 10
SHORTEST, LONGEST = 3, 6
BATCH, STEPS, WARMUP = 64, 1000, 150


def reversed_digits(count, seed):
    """Rows of digits and the same turned round, each with EOS, padded."""
    generator = np.random.default_rng(seed)
    source = np.full((count, LONGEST + 1), PAD, "int32")
    labels = source.copy()
    for row, length in enumerate(generator.integers(SHORTEST, LONGEST + 1, count)):
        digits = generator.integers(FIRST, V, length)
        source[row, : length + 1] = [*digits, EOS]
        labels[row, : length + 1] = [*digits[::-1], EOS]
    target = np.pad(labels, ((0, 0), (1, 0)), constant_values=BOS)[:, :-1]
    target[target == EOS] = PAD
    return {"source": source, "target": target}, labels


def make_model(cls=Transformer, **changes):
    keras.utils.set_random_seed(1)
    sizes = {"num_layers": 2, "d_model": 48, "num_heads": 4, "d_ff": 96, "dropout_rate": 0.0}
    return cls(V, **{**sizes, **changes})


def learn(model, steps=STEPS):
    """Plain `fit`; returns the share of right next tokens, given the right ones before."""
    schedule = WarmupSchedule(model.d_model, WARMUP)
    model.compile(
        keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9),
        loss=TokenCrossEntropy(label_smoothing=0.0),
        metrics=[TokenAccuracy()],
        jit_compile=True,
    )
    inputs, labels = reversed_digits(BATCH * steps, seed=2)
    model.fit(inputs, labels, batch_size=BATCH, shuffle=False, verbose=0)
    return model.evaluate(*reversed_digits(256, seed=3), batch_size=BATCH, verbose=0)[1]


def exact_match(model, of=slice(None)):
    """The share of unseen rows, or of some of them, that greedy search turns round faultlessly."""
    inputs, labels = reversed_digits(256, seed=3)

    def search(source, limits, length):
        return generate(model, source, limits, length=length, beam_size=1, bos_id=BOS, eos_id=EOS)

    limits = np.full((256,), LONGEST + 1, "int32")
    found = compiled(search, model)(inputs["source"], limits, length=LONGEST + 1)
    return (ops.convert_to_numpy(found.ids)[:, 0] == labels).all(axis=1)[of].mean()


@pytest.mark.slow
def test_it_learns_to_turn_digits_round():
    model = make_model()
    accuracy = learn(model)
    share = exact_match(model)
    print(f"exact match with warm-up: {share:.3f}")
    assert share > 0.98
    assert accuracy > 0.98


@pytest.mark.slow
@pytest.mark.stood_for("the one with a mask off by one")
def test_it_cannot_without_positions():
    model = make_model(positions=None)
    learn(model)
    assert exact_match(model) < 0.2


class Mute(Encoder):
    """Says nothing of what it read."""

    def call(self, *args, return_attention_scores=False, **kwargs):
        x, scores = super().call(*args, return_attention_scores=True, **kwargs)
        return (0.0 * x, scores) if return_attention_scores else 0.0 * x


class Blind(Transformer):
    """Its decoder sees nothing of the source."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.encoder = Mute(self.num_layers, self.d_model, self.num_heads, self.d_ff, 0.0)


@pytest.mark.slow
@pytest.mark.stood_for("the one with a mask off by one")
def test_it_cannot_without_attention_to_the_source():
    model = make_model(Blind)
    learn(model)
    assert exact_match(model) < 0.2


class Peeking(Transformer):
    """Its causal mask is off by one: every position sees the next."""

    def _masks(self, inputs):
        encoder_mask, causal, cross_mask = super()._masks(inputs)
        causal = causal.expand(ops.shape(inputs["target"])[1])
        peeking = ops.pad(causal[:, 1:], ((0, 0), (0, 1), (0, 0)), constant_values=True)
        return encoder_mask, peeking, cross_mask


@pytest.mark.slow
def test_a_mask_off_by_one_has_a_low_loss_and_writes_nonsense():
    model = make_model(Peeking)
    accuracy = learn(model)
    assert accuracy > 0.8
    assert exact_match(model) < 0.2
