"""Modules of convolution steps, and attention with queries that convolutions make."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import (
    AttendingConvolutionModule,
    AttentionMask,
    ConvolutionalAttention,
    ConvolutionModule,
    InputOutputMixer,
    sinusoids,
)
from tests.weights import array, random, randomize

B, T, S, D = 2, 11, 7, 6
TARGET, SOURCE = random(B, T, D, seed=1), random(B, S, D, seed=2)
REAL = np.arange(S)[None] < np.array([[7], [3]])
PAPER = {"kernel_sizes": (3, 3, 15, 15), "dilations": (1, 1, 1, 8)}


def made(layer):
    shape = (B, None, D)
    layer.build(*([shape] if isinstance(layer, ConvolutionModule) else [shape, shape]))
    return randomize(layer)


def test_both_residual_connections_add_the_input():
    module = made(ConvolutionModule(D, (3, 5, 7, 3), (1, 2, 1, 1), (2, 3)))
    steps = module.convolution_steps
    assert [step.convolution.groups for step in steps] == [2, 3, 2, 3]
    assert [step.convolution.dilation for step in steps] == [1, 2, 1, 1]
    assert [step.convolution.kernel_size for step in steps] == [3, 5, 7, 3]
    x = ops.convert_to_tensor(TARGET)
    h2 = x + steps[1](steps[0](x))
    h4 = x + steps[3](steps[2](h2))
    np.testing.assert_allclose(module(x), h4, atol=1e-6)


@pytest.mark.parametrize(
    ("kernel_sizes", "dilations", "field"),
    [
        (PAPER["kernel_sizes"], PAPER["dilations"], 131),
        ((3, 3, 3, 3), (1, 2, 4, 8), 31),
        ((3, 7, 15, 31), None, 53),
        ((3, 3, 3, 3), None, 9),
    ],
)
@pytest.mark.parametrize("causal", [True, False])
def test_an_output_depends_on_as_many_positions_as_the_formula_says(
    kernel_sizes, dilations, field, causal
):
    assert field == 1 + sum(
        (k - 1) * d for k, d in zip(kernel_sizes, dilations or (1, 1, 1, 1), strict=True)
    )
    module = made(ConvolutionModule(D, kernel_sizes, dilations, causal=causal))
    place = 137
    x = random(5, 2 * place + 1, D, seed=3)  # some edges stop at a ReLU
    other = x.copy()
    other[:, place] += 3
    outputs = np.array(module(x)), np.array(module(other))
    (changed,) = np.nonzero((outputs[0] != outputs[1]).any(axis=(0, -1)))
    first = place if causal else place - field // 2
    np.testing.assert_array_equal(changed[[0, -1]], [first, first + field - 1])


def test_what_follows_changes_nothing_in_a_causal_module():
    module = made(ConvolutionModule(D, **PAPER, groups=(2, 3)))
    outputs = np.array(module(TARGET))
    for t in (1, 5, 10):
        other = TARGET.copy()
        other[:, t:] += 5
        np.testing.assert_array_equal(np.array(module(other))[:, :t], outputs[:, :t])


def test_padding_is_zero_before_each_convolution_of_an_encoder():
    """As if the row ended there, whatever stands in it."""
    module = made(ConvolutionModule(D, **PAPER, groups=(2, 3), causal=False))
    other = np.where(REAL[..., None], SOURCE, 97.0)
    outputs = np.array(module(other, attention_mask=REAL))
    np.testing.assert_allclose(outputs[1, :3], module(SOURCE[1:, :3])[0], atol=1e-5)
    np.testing.assert_allclose(outputs[0], module(SOURCE[:1])[0], atol=1e-5)


def test_dropout_is_that_of_the_output():
    module = made(ConvolutionModule(D, (3, 3), dropout_rate=0.5))
    kept = np.array(module(TARGET, training=True))
    share = (kept == 0).mean()
    assert 0.3 < share < 0.7
    np.testing.assert_allclose(kept[kept != 0], 2 * np.array(module(TARGET))[kept != 0], rtol=1e-5)
    assert ConvolutionModule(D, (3, 3)).dropout is None


def attended(layer, queries, source, real):
    """Softmax of the scaled products with the source, which are its own values, in NumPy."""
    logits = queries @ source.transpose(0, 2, 1) / np.sqrt(D)
    logits = np.where(real[:, None], logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return weights @ source, weights


@pytest.mark.parametrize("positions", [None, np.arange(3, 3 + T, dtype="int32")[None]])
def test_queries_are_convolved_targets_with_positions(positions):
    layer = made(ConvolutionalAttention(D, (2, 3)))
    first, second = layer.convolution_steps
    assert [(s.convolution.kernel_size, s.convolution.dilation) for s in (first, second)] == [
        (5, 1),
        (5, 4),
    ]
    at = np.arange(T, dtype="int32")[None] if positions is None else positions
    timed = TARGET + np.array(sinusoids(at, D))
    # Positions that start at 3 belong to a sentence whose beginning the row does not hold.
    queries = array(second(first(timed, positions=positions), positions=positions))
    expected, weights = attended(layer, queries, SOURCE, REAL)
    outputs, scores = layer(
        TARGET, SOURCE, memory_mask=REAL, positions=positions, return_attention_scores=True
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert scores["self"] is None
    np.testing.assert_allclose(scores["cross"][:, 0], weights, atol=1e-5)
    assert scores["cross"].shape == (B, 1, T, S)


def test_a_target_attends_to_the_source_of_its_own_sentence_alone():
    layer = made(ConvolutionalAttention(D))
    segments, source_segments = np.array([[1] * 4 + [2] * 7]), np.array([[1] * 3 + [2] * 4])
    positions = np.array([[*range(4), *range(7)]], "int32")
    mask = AttentionMask(None, segments, source_segments)
    outputs = layer(TARGET[:1], SOURCE[:1], memory_mask=mask, positions=positions)
    alone = layer(TARGET[:1, 4:], SOURCE[:1, 3:])
    np.testing.assert_allclose(outputs[:, 4:], alone, atol=1e-5)


def test_the_mixer_puts_what_it_finds_beside_its_input():
    mixer = made(InputOutputMixer(D, (3, 2)))
    assert (mixer.mixing.convolution.kernel_size, mixer.mixing.convolution.groups) == (3, 1)
    found, scores = mixer.cross_attention(
        TARGET, SOURCE, memory_mask=REAL, return_attention_scores=True
    )
    expected = mixer.mixing(ops.concatenate([found, TARGET], axis=-1))
    outputs, of_mixer = mixer(TARGET, SOURCE, memory_mask=REAL, return_attention_scores=True)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(of_mixer["cross"], scores["cross"], atol=1e-6)


def test_a_decoder_block_adds_a_module_and_an_attention_of_the_same_input():
    block = made(AttendingConvolutionModule(D, **PAPER, groups=(2, 3)))
    expected = block.module(TARGET) + block.cross_attention(TARGET, SOURCE, memory_mask=REAL)
    outputs, scores = block(TARGET, SOURCE, memory_mask=REAL, return_attention_scores=True)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert set(scores) == {"self", "cross"}
    assert block.module.causal


@pytest.mark.parametrize("kind", [ConvolutionalAttention, InputOutputMixer])
def test_without_an_encoder_output_it_says_so(kind):
    with pytest.raises(ValueError, match=f"This {kind.__name__} attends to an encoder: call it"):
        kind(D)(TARGET)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_sizes": (3, 3, 3)}, r"an even number of steps.*kernel_sizes=\[3, 3, 3\]"),
        ({"kernel_sizes": ()}, r"an even number of steps.*kernel_sizes=\[\]"),
        ({"dilations": (1, 2)}, r"a kernel size and a dilation.*dilations=\[1, 2\]"),
        ({"groups": ()}, "`groups` must hold one number at least"),
        ({"groups": (4,)}, "must be multiples of `groups`.*d_model=6.*groups=4"),
        ({"kernel_sizes": (3, 4), "causal": False}, "must be odd if `causal=False`"),
    ],
)
def test_modules_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvolutionModule(D, **arguments)


class Recall(keras.Model):
    """An embedding, one module and an output layer."""

    def __init__(self, kernel_sizes, dilations):
        super().__init__()
        self.embedding = keras.layers.Embedding(12, 64)
        self.module = ConvolutionModule(64, kernel_sizes, dilations)
        self.output_layer = keras.layers.Dense(12)

    def call(self, ids):
        return self.output_layer(self.module(self.embedding(ids)))


def accuracy_of_recall(kernel_sizes, dilations, back=20, length=60, steps=600):
    """The share in which a trained module names the token that stood `back` places before."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model = Recall(kernel_sizes, dilations)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    model.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=True)

    def labelled(rows):
        ids = generator.integers(0, 12, (rows, length)).astype("int32")
        labels = np.concatenate([np.full((rows, back), -1), ids[:, :-back]], axis=1)
        return ids, labels.astype("int32")

    model.fit(*labelled(32 * steps), batch_size=32, epochs=1, verbose=0)
    ids, labels = labelled(200)
    predicted = ops.convert_to_numpy(model(ids)).argmax(-1)
    return (predicted == labels)[:, back:].mean()


@pytest.mark.slow
def test_a_token_is_recalled_if_the_kernels_reach_it():
    """Undilated kernels of size 3 do not, dilated ones and large ones do."""
    assert accuracy_of_recall((3, 3, 3, 3), (1, 1, 1, 1)) < 0.2
    assert accuracy_of_recall((3, 3, 3, 3), (1, 2, 4, 8)) > 0.95
    assert accuracy_of_recall((3, 7, 15, 31), (1, 1, 1, 1)) > 0.95
