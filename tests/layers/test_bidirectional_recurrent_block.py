import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer.layers import AttentionMask, BidirectionalRecurrentBlock, RecurrentBlock
from tests.layers.test_recurrent_block import CELLS, every_cell
from tests.weights import array, random, randomize

B, T, D, UNITS = 2, 11, 6, 5
INPUTS = random(B, T, D, seed=1)
PACKED = np.array([[0, 1, 2, 0, 1, 2, 3, 0, 0, 1, 0], [0, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2]], "int32")
SEGMENTS = np.cumsum(PACKED == 0, axis=1).astype("int32")


def make_block(cell="LSTM", norm="post", **options):
    cells = [CELLS[cell](D if cell == "sums" else UNITS, **options) for _ in range(2)]
    block = BidirectionalRecurrentBlock(*cells, norm=norm, **options)
    block.build((B, T, D))
    return randomize(block)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize(
    ("cell", "layer"), [("LSTM", keras.layers.LSTM), ("GRU", keras.layers.GRU)]
)
def test_the_cells_go_over_time_as_in_keras_own_layer(cell, layer, norm):
    block = make_block(cell, norm)
    theirs = keras.layers.Bidirectional(layer(UNITS, return_sequences=True))
    theirs.build((B, T, D))
    theirs.set_weights(block.cell.get_weights() + block.backward_cell.get_weights())
    box = block.residual
    expected = box(INPUTS, block.output_projection(theirs(box.preprocess(INPUTS))))
    np.testing.assert_allclose(block(INPUTS), expected, atol=1e-5)


def test_the_projection_is_of_both_outputs_and_has_a_bias():
    block = make_block()
    kernel, bias = map(array, block.output_projection.weights)
    assert (kernel.shape, bias.shape) == ((2 * UNITS, D), (D,))
    forward, backward = (
        keras.layers.RNN(cell, return_sequences=True, go_backwards=cell is block.backward_cell)
        for cell in (block.cell, block.backward_cell)
    )
    outputs = np.concatenate([forward(INPUTS), np.array(backward(INPUTS))[:, ::-1]], axis=-1)
    expected = block.residual(INPUTS, (outputs @ kernel + bias).astype("float32"))
    np.testing.assert_allclose(block(INPUTS), expected, atol=1e-5)


@every_cell
def test_packed_sentences_equal_sentences_alone(cell):
    block = make_block(cell)
    mask = AttentionMask(None, SEGMENTS, SEGMENTS)
    output = np.array(block(INPUTS, attention_mask=mask, positions=PACKED))
    for b in range(B):
        for segment in range(1, SEGMENTS[b].max() + 1):
            alone = SEGMENTS[b] == segment
            expected = block(INPUTS[b : b + 1, alone])[0]
            np.testing.assert_allclose(output[b, alone], expected, atol=1e-5)


@every_cell
def test_padding_never_counts_wherever_it_stands(cell):
    """Before a sentence, within it and after it."""
    real = np.array([[False, False, True, True, False, True, True, False]])
    x = random(1, 8, D)
    other = np.where(real[..., None], x, 50.0).astype("float32")
    block = make_block(cell)
    output = np.array(block(x, attention_mask=real))[real]
    np.testing.assert_array_equal(output, np.array(block(other, attention_mask=real))[real])
    np.testing.assert_allclose(output, block(x[:, real[0]])[0], atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", [BidirectionalRecurrentBlock, RecurrentBlock])
def test_a_sentence_may_begin_and_end_with_padding(kind, dtype):
    """Its first and its last position are padding, at which states start anew nevertheless."""
    positions = np.array([[0, 1, 2, 0, 1, 2, 3, 0, 1]])
    real = np.array([[True, True, False, False, True, True, False, False, True]])
    sentences = ([0, 1], [4, 5], [8])
    cells = [keras.layers.GRUCell(D, dtype=dtype) for _ in range(2)]
    block = kind(*cells[: 1 + (kind is BidirectionalRecurrentBlock)], dtype=dtype)
    x = random(1, 9, D)
    block.build(x.shape)
    randomize(block)
    segments = np.cumsum(positions == 0, axis=1)
    mask = AttentionMask(real, segments, segments)
    output = block(ops.cast(x, block.compute_dtype), attention_mask=mask, positions=positions)
    for places in sentences:
        expected = block(ops.cast(x[:, places], block.compute_dtype))
        np.testing.assert_allclose(
            ops.cast(output, "float32")[0, places[0] : places[-1] + 1],
            ops.cast(expected, "float32")[0],
            atol=1e-5 if dtype == "float32" else 0.05,
        )


@pytest.mark.slow
def test_every_position_sees_its_whole_sentence_and_no_other():
    block = make_block()
    output = np.array(block(INPUTS, positions=PACKED))
    for t in range(T):
        other = INPUTS.copy()
        other[:, t] += 100
        changed = (np.array(block(other, positions=PACKED)) != output).any(axis=-1)
        np.testing.assert_array_equal(changed, SEGMENTS[:, t : t + 1] == SEGMENTS)


def test_it_computes_in_bfloat16_where_it_is_told_to():
    outputs = make_block(dtype="mixed_bfloat16")(ops.cast(INPUTS, "bfloat16"))
    assert outputs.dtype.name == "bfloat16"
    np.testing.assert_allclose(ops.cast(outputs, "float32"), make_block()(INPUTS), atol=0.1)


def test_it_has_no_scores_and_comes_back_from_its_config():
    block = make_block("stacked", norm="pre")
    outputs, scores = block(INPUTS, return_attention_scores=True)
    assert scores is None
    again = BidirectionalRecurrentBlock.from_config(block.get_config())
    again.build((B, T, D))
    again.set_weights(block.get_weights())
    np.testing.assert_array_equal(again(INPUTS), outputs)


def one_cell_twice():
    cell = keras.layers.LSTMCell(UNITS)
    BidirectionalRecurrentBlock(cell, cell)(INPUTS)


def backward(cell):
    return BidirectionalRecurrentBlock(keras.layers.GRUCell(UNITS), cell)


REFUSED = {
    "a causal mask": (
        lambda: make_block()(INPUTS, attention_mask=AttentionMask(causal=True)),
        "sees. Use a RecurrentBlock. Received: a causal mask",
    ),
    "a dense mask": (
        lambda: make_block()(INPUTS, attention_mask=np.ones((B, T, T), bool)),
        r"A BidirectionalRecurrentBlock cannot observe .*\(2, 11, 11\)",
    ),
    "segments without positions": (
        lambda: make_block()(INPUTS, attention_mask=AttentionMask(None, SEGMENTS, SEGMENTS)),
        "pass `positions`, which restart at 0",
    ),
    "no cell": (
        lambda: backward(keras.layers.LSTM(D))(INPUTS),
        "`cell` must be a Keras RNN cell, such as .*Received: LSTM",
    ),
    "a cell with dropout": (
        lambda: backward(keras.layers.LSTMCell(UNITS, recurrent_dropout=0.3))(INPUTS),
        "A cell in a BidirectionalRecurrentBlock must have no dropout .*recurrent_dropout=0.3",
    ),
    "a cell in both places": (one_cell_twice, "one place only.*`cell` of .*`backward_cell`"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case):
    function, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        function()
