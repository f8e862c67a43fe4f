import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import AttentionMask, DecodingStep, SeparableConvolution, causal_mask
from tests.crossing_beams import called, walk
from tests.weights import array, of_dense, random, randomize

B, T, S, H, D, F = 2, 11, 7, 2, 6, 13
INPUTS = random(B, T, D, seed=1)
REAL = np.arange(T)[None] < np.array([[11], [4]])
PACKED = np.array([[0, 1, 2, 0, 1, 2, 3, 0, 0, 1, 0], [0, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2]], "int32")
SEGMENTS = np.cumsum(PACKED == 0, axis=1).astype("int32")
both_ways = pytest.mark.parametrize("causal", [True, False])
sizes = pytest.mark.parametrize("kernel_size", [1, 3, 5, 13])


def make_layer(kernel_size=3, causal=True, **options):
    layer = SeparableConvolution(D, kernel_size, causal, **options)
    layer.build((B, T, D))
    return randomize(layer)


def in_loops(layer, x):
    """A sentence of shape (T, D), position by position, channel by channel."""
    kernel, (matrix, bias) = array(layer.depthwise_kernel), of_dense(layer.pointwise)
    before = layer.kernel_size - 1 if layer.causal else layer.kernel_size // 2
    mixed = np.zeros(x.shape)
    for t in range(len(x)):
        for i in range(layer.kernel_size):
            if 0 <= t + i - before < len(x):
                for d in range(D):
                    mixed[t, d] += kernel[i, d] * x[t + i - before, d]
    return mixed @ matrix + bias


@both_ways
@sizes
def test_it_is_what_the_loops_make(kernel_size, causal):
    layer = make_layer(kernel_size, causal)
    for b, output in enumerate(np.array(layer(INPUTS))):
        np.testing.assert_allclose(output, in_loops(layer, INPUTS[b]), atol=1e-5)


@both_ways
@sizes
def test_it_is_keras_own_layer(kernel_size, causal):
    """Whose `padding="causal"` TensorFlow refuses, so that zeros are put before by hand."""
    layer = make_layer(kernel_size, causal)
    theirs = keras.layers.SeparableConv1D(D, kernel_size, padding="valid" if causal else "same")
    theirs.build((B, None, D))
    kernel, (matrix, bias) = array(layer.depthwise_kernel), of_dense(layer.pointwise)
    theirs.set_weights([kernel[:, :, None], matrix[None], bias])
    before = kernel_size - 1 if causal else 0
    padded = np.pad(INPUTS, ((0, 0), (before, 0), (0, 0)))
    np.testing.assert_allclose(layer(INPUTS), theirs(padded), atol=1e-5)


@both_ways
def test_packed_sentences_equal_sentences_alone(causal):
    layer = make_layer(5, causal)
    mask = AttentionMask(None, SEGMENTS, SEGMENTS, causal=causal)
    output = np.array(layer(INPUTS, attention_mask=mask, positions=PACKED))
    for b in range(B):
        for segment in range(1, SEGMENTS[b].max() + 1):
            alone = SEGMENTS[b] == segment
            expected = layer(INPUTS[b : b + 1, alone])[0]
            np.testing.assert_allclose(output[b, alone], expected, atol=1e-5)


@both_ways
def test_positions_of_whole_sentences_change_nothing(causal):
    layer = make_layer(5, causal)
    positions = np.arange(T, dtype="int32")[None]
    np.testing.assert_allclose(layer(INPUTS, positions=positions), layer(INPUTS), atol=1e-6)


@both_ways
@pytest.mark.parametrize("kind", ["padding mask", "AttentionMask"])
def test_padding_never_counts(kind, causal):
    """Not even if it is no number; and what stands before padding is as if it ended there."""
    layer = make_layer(5, causal)
    mask = REAL if kind == "padding mask" else AttentionMask(REAL)
    other = np.where(REAL[..., None], INPUTS, np.nan)
    output = np.array(layer(other, attention_mask=mask))
    np.testing.assert_array_equal(output, layer(INPUTS, attention_mask=mask))
    np.testing.assert_allclose(output[1, :4], layer(INPUTS[1:, :4])[0], atol=1e-5)


def test_a_later_position_changes_no_bit_of_an_earlier_one():
    layer = make_layer(5)
    output = np.array(layer(INPUTS))
    for t in range(T):
        other = INPUTS.copy()
        other[:, t:] += 100
        changed = np.array(layer(other))
        np.testing.assert_array_equal(changed[:, :t], output[:, :t])
        assert (changed[:, t] != output[:, t]).any()


@sizes
def test_one_position_at_a_time_gives_the_same_as_all_at_once(kernel_size):
    """Also with a kernel longer than any sentence, and with one that needs no memory."""
    layer = make_layer(kernel_size)
    walked = walk(layer, D)
    np.testing.assert_allclose(walked.outputs, called(layer(walked.histories), walked), atol=1e-5)


def test_without_inheritance_beams_that_cross_would_be_wrong(monkeypatch):
    monkeypatch.setattr(DecodingStep, "inherit", lambda at, state, initial: state)
    layer = make_layer()
    walked = walk(layer, D)
    wrong = np.abs(walked.outputs - called(layer(walked.histories), walked)).max(axis=1) > 1e-3
    assert wrong.mean() > 0.5


def test_steps_compute_in_bfloat16_where_the_layer_does():
    layer = make_layer(5, dtype="mixed_bfloat16")
    assert layer.init_cache(B, 3, 5).dtype.name == "bfloat16"
    layer32 = make_layer(5)
    inputs = ops.cast(INPUTS[:, :1], "bfloat16")
    at = DecodingStep(0, np.zeros(B, "int32"), np.ones(B, bool), np.ones((B, 1, 1, 1), bool))
    outputs, _, window = layer.step(inputs, layer.init_cache(B, 1, 1), at)
    assert {outputs.dtype.name, window.dtype.name} == {"bfloat16"}
    expected = layer32(INPUTS[:, :1])
    np.testing.assert_allclose(ops.cast(outputs, "float32"), expected, atol=0.05)


def test_a_step_builds_what_was_never_called():
    layer = SeparableConvolution(D)
    at = DecodingStep(0, np.zeros(B, "int32"), np.ones(B, bool), np.ones((B, 1, 1, 1), bool))
    outputs, scores, _ = layer.step(INPUTS[:, :1], layer.init_cache(B, 1, 1), at)
    np.testing.assert_allclose(outputs, layer(INPUTS[:, :1]), atol=1e-6)
    assert scores is None


def test_at_the_start_the_variance_of_what_is_convolved_is_kept():
    keras.utils.set_random_seed(0)
    layer = SeparableConvolution(256, 7)
    layer.build((1, 100, 256))
    layer.pointwise.kernel.assign(np.eye(256))
    assert np.var(layer(random(1, 100, 256))) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("slot", ["self_attention", "feed_forward"])
def test_in_a_decoder_block_steps_equal_the_call(slot):
    """With attention to a source beside it, and scores where there is attention."""
    block = kt.DecoderBlock(D, H, F, **{slot: SeparableConvolution(D, 5)})
    block.build((None, None, D), (None, None, D))
    randomize(block)
    source, real = random(B, S, D, seed=2), np.arange(S)[None] < np.array([[7], [3]])
    walked = walk(block, D, memory=block.project_memory(source), memory_mask=real)
    outputs, scores = block(
        walked.histories,
        source[walked.rows],
        memory_mask=real[walked.rows],
        return_attention_scores=True,
    )
    np.testing.assert_allclose(walked.outputs, called(outputs, walked), atol=1e-5)
    assert (scores["self"] is None) == (slot == "self_attention")


@pytest.mark.parametrize("slot", ["self_attention", "feed_forward"])
def test_in_an_encoder_block_padding_and_neighbours_in_the_row_never_count(slot):
    block = kt.EncoderBlock(D, H, F, **{slot: SeparableConvolution(D, 5, causal=False)})
    block.build((B, T, D))
    randomize(block)
    other = np.where(REAL[..., None], INPUTS, 9.0).astype("float32")
    output = np.array(block(INPUTS, REAL))
    np.testing.assert_array_equal(output[REAL], np.array(block(other, REAL))[REAL])
    mask = AttentionMask(None, SEGMENTS, SEGMENTS)
    packed = np.array(block(INPUTS, attention_mask=mask, positions=PACKED))
    alone = SEGMENTS[0] == 2
    np.testing.assert_allclose(packed[0, alone], block(INPUTS[:1, alone])[0], atol=1e-5)


@pytest.mark.slow
def test_a_model_with_convolutions_for_attention_learns_and_comes_back_from_a_file(tmp_path):
    keras.utils.set_random_seed(0)
    centred, causal = SeparableConvolution(D, causal=False), SeparableConvolution(D)
    model = kt.models.EncoderDecoder(
        kt.PositionalEmbedding(11, D),
        None,
        kt.models.EncoderStack([kt.EncoderBlock(D, H, F, 0.0, self_attention=centred)]),
        kt.models.DecoderStack([kt.DecoderBlock(D, H, F, 0.0, self_attention=causal)]),
    )
    ids = np.random.default_rng(0).integers(3, 11, size=(8, 5)).astype("int32")
    inputs = {"source": ids, "target": ids}
    model.compile(keras.optimizers.Adam(0.01), kt.TokenCrossEntropy(), jit_compile=False)
    losses = model.fit(inputs, ids, epochs=9, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.decoder.blocks[0].self_attention) is SeparableConvolution
    np.testing.assert_array_equal(again(inputs), model(inputs))


def test_scores_are_none():
    outputs, scores = make_layer()(INPUTS, return_attention_scores=True)
    np.testing.assert_array_equal(outputs, make_layer()(INPUTS))
    assert scores is None


ROWS = np.ones((B, T, T), bool)
REFUSED = {
    "a dense mask": (
        lambda: make_layer()(INPUTS, attention_mask=ROWS),
        r"Pass `AttentionMask\(.*\(2, 11, 11\)",
    ),
    "the causal mask as booleans": (
        lambda: make_layer()(INPUTS, attention_mask=causal_mask(T)),
        r"a row per position.*\(1, 11, 11\)",
    ),
    "a causal mask for a centred kernel": (
        lambda: make_layer(causal=False)(INPUTS, attention_mask=AttentionMask(causal=True)),
        "Create it with `causal=True`. Received: a causal mask",
    ),
    "a centred kernel in a decoder block": (
        lambda: kt.DecoderBlock(
            D, H, F, cross_attention=False, self_attention=make_layer(causal=False)
        )(INPUTS),
        "Create it with `causal=True`",
    ),
    "segments without positions": (
        lambda: make_layer()(INPUTS, attention_mask=AttentionMask(None, SEGMENTS, SEGMENTS)),
        "pass `positions`, which restart at 0",
    ),
    "decoding with a centred kernel": (
        lambda: make_layer(causal=False).init_cache(B, 1, 5),
        "sees later positions.*`causal=True` in a decoder",
    ),
    "a centred kernel of even size": (
        lambda: SeparableConvolution(D, 4, causal=False),
        "must be odd if `causal=False`.*kernel_size=4",
    ),
    "an empty kernel": (lambda: SeparableConvolution(D, 0), "at least 1.*kernel_size=0"),
    "inputs of another width": (lambda: SeparableConvolution(D + 1)(INPUTS), "`d_model=7`.*11, 6"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case):
    function, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        function()
