"""Separable convolutions in groups of channels, dilated, and over rows of several blocks."""

import keras
import numpy as np
import pytest

from keras_transformer.layers import ConvolutionStep, GroupedDense, SeparableConvolution
from keras_transformer.layers.depthwise_convolution import BLOCK
from tests.weights import array, of_normalization, random, randomize

B, T, D = 2, 37, 12  # T is neither a multiple of BLOCK nor shorter
INPUTS = random(B, T, D, seed=1)
both_ways = pytest.mark.parametrize("causal", [True, False])


def make(layer, width=D):
    layer.build((B, None, width))
    return randomize(layer)


def in_loops(layer, x):
    """A sentence `(T, D)`: a separable convolution of each group of channels, one by one."""
    kernel = array(layer.depthwise_kernel)
    before = layer.span if layer.causal else layer.span // 2
    mixed = np.zeros(x.shape)
    for t in range(len(x)):
        for i in range(layer.kernel_size):
            place = t + i * layer.dilation - before
            if 0 <= place < len(x):
                mixed[t] += kernel[i] * x[place]
    matrices, width = array(layer.pointwise.kernel), x.shape[1] // layer.groups
    matrices = matrices.reshape(layer.groups, width, -1)
    parts = [mixed[:, g * width : (g + 1) * width] @ m for g, m in enumerate(matrices)]
    return np.concatenate(parts, axis=1) + array(layer.pointwise.bias)


@both_ways
@pytest.mark.parametrize(
    ("kernel_size", "dilation", "groups"),
    [(3, 1, 2), (5, 4, 3), (1, 7, 2), (31, 1, 1), (15, 8, 3), (7, 2, 12)],
)
def test_it_is_what_the_loops_make(kernel_size, dilation, groups, causal):
    layer = make(SeparableConvolution(D, kernel_size, causal, dilation, groups))
    for b, output in enumerate(np.array(layer(INPUTS))):
        np.testing.assert_allclose(output, in_loops(layer, INPUTS[b]), atol=2e-5)


@both_ways
def test_packed_rows_sum_what_whole_rows_multiply(causal):
    layer = make(SeparableConvolution(D, 5, causal, dilation=3, groups=2))
    positions = np.arange(T, dtype="int32")[None]
    np.testing.assert_allclose(layer(INPUTS, positions=positions), layer(INPUTS), atol=1e-5)


def test_the_taps_of_a_dilated_kernel_stop_where_a_sentence_does():
    layer = make(SeparableConvolution(D, 3, False, dilation=2, groups=3))
    lengths = [19, 1, 17]
    positions = np.concatenate([np.arange(n) for n in lengths]).astype("int32")[None]
    packed = np.array(layer(INPUTS, positions=positions))
    start = 0
    for length in lengths:
        alone = layer(INPUTS[:, start : start + length])
        np.testing.assert_allclose(packed[:, start : start + length], alone, atol=1e-5)
        start += length


@both_ways
@pytest.mark.parametrize(("kernel_size", "dilation"), [(31, 1), (15, 8)])
def test_with_one_group_it_is_keras_own_layer(kernel_size, dilation, causal):
    layer = make(SeparableConvolution(D, kernel_size, causal, dilation))
    theirs = keras.layers.SeparableConv1D(D, kernel_size, dilation_rate=dilation)
    theirs.build((B, None, D))
    kernel, matrix = array(layer.depthwise_kernel), array(layer.pointwise.kernel)
    theirs.set_weights([kernel[:, :, None], matrix[None], array(layer.pointwise.bias)])
    before = layer.span if causal else layer.span // 2
    padded = np.pad(INPUTS, ((0, 0), (before, layer.span - before), (0, 0)))
    scale = np.abs(layer(INPUTS)).max()
    np.testing.assert_allclose(layer(INPUTS) / scale, theirs(padded) / scale, atol=1e-6)


@pytest.mark.parametrize(
    ("kernel_size", "groups", "count"),
    [(3, 1, 592_128), (3, 2, 297_216), (3, 3, 198_912), (31, 1, 613_632), (31, 2, 318_720)],
)
def test_there_are_as_many_weights_as_in_the_paper(kernel_size, groups, count):
    """`k c + c^2 / g` of section 2.2, for c = 768, and a bias for each channel."""
    layer = SeparableConvolution(768, kernel_size, groups=groups)
    layer.build((None, None, 768))
    assert layer.count_params() - 768 == count == kernel_size * 768 + 768**2 // groups


def jacobian(function):
    """The dependence of each output channel on each input channel, somewhere: `(out, in)`."""
    changed = np.repeat(INPUTS[:1], D + 1, axis=0)
    changed[np.arange(D), 5, np.arange(D)] += 0.5
    outputs = np.array(function(changed))
    return np.abs(outputs[:D] - outputs[D]).max(axis=1).T


def reached(*groups):
    """The input channels that output channels depend on, `(out, in)`, after such layers."""

    def function(x):
        for count in groups:
            x = make(SeparableConvolution(D, 3, groups=count))(x)
        return x

    return jacobian(function) > 1e-7


def test_groups_mix_only_if_layers_have_other_numbers_of_them():
    """Halves and thirds: the middle third has channels of both halves."""
    channels = np.arange(D)
    half, third = channels // (D // 2), channels // (D // 3)
    within_halves = half[:, None] == half
    np.testing.assert_array_equal(reached(2), within_halves)
    np.testing.assert_array_equal(reached(2, 2), within_halves)
    np.testing.assert_array_equal(reached(2, 3), within_halves | (third == 1)[:, None])
    assert reached(2, 3, 2).all()


def test_rows_of_any_length_are_cut_into_blocks():
    """Also rows that fill their blocks, and shorter ones."""
    layer = make(SeparableConvolution(D, 5, groups=2))
    for length in (1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK):
        expected = in_loops(layer, INPUTS[0, :length])
        np.testing.assert_allclose(layer(INPUTS[:1, :length])[0], expected, atol=2e-5)


def test_a_step_is_relu_then_convolution_then_normalization_of_channels():
    step = make(ConvolutionStep(D, 3, groups=2))
    x = in_loops(step.convolution, np.maximum(INPUTS[0], 0))
    gain, bias = of_normalization(step.normalization)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(step(INPUTS)[0], x * gain + bias, atol=2e-5)


def test_a_group_begins_as_a_dense_layer_of_its_width():
    keras.utils.set_random_seed(7)
    layer = GroupedDense(96, 3)
    layer.build((None, 60))
    limit = (6 / (20 + 32)) ** 0.5
    assert tuple(layer.kernel.shape) == (3, 20, 32)
    assert 0.97 * limit < np.abs(layer.kernel).max() <= limit


REFUSED = {
    "a width that is no multiple": (
        lambda: SeparableConvolution(10, groups=3),
        "must be multiples of `groups`.*d_model=10, input_dim=None, groups=3",
    ),
    "an input that is no multiple": (
        lambda: SeparableConvolution(12, groups=3, input_dim=10),
        "multiples of `groups`.*input_dim=10",
    ),
    "no dilation": (lambda: SeparableConvolution(12, dilation=0), "at least 1.*dilation=0"),
    "no group": (lambda: SeparableConvolution(12, groups=0), "at least 1.*groups=0"),
    "another input": (
        lambda: SeparableConvolution(12, input_dim=8)(INPUTS),
        r"`input_dim=8`.*\(2, 37, 12\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case):
    function, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        function()
