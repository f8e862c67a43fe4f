import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_transformer as kt
from keras_transformer.layers import AttentionMask, DecodingStep, MultiHeadAttention, RecurrentBlock
from keras_transformer.models import DecoderStack, EncoderDecoder, EncoderStack
from tests.crossing_beams import called, walk
from tests.weights import array, random, randomize

B, T, S, H, D = 2, 11, 7, 2, 6
INPUTS, SOURCE = random(B, T, D, seed=1), random(B, S, D, seed=2)
REAL, REAL_SOURCE = (np.arange(n)[None] < np.array([[n], [3]]) for n in (T, S))
PACKED = np.array([[0, 1, 2, 0, 1, 2, 3, 0, 0, 1, 0], [0, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2]], "int32")
SEGMENTS = np.cumsum(PACKED == 0, axis=1).astype("int32")


@keras.saving.register_keras_serializable(package="tests")
class StartsAtOne(keras.layers.SimpleRNNCell):
    """A cell whose first state is no zeros."""

    def get_initial_state(self, batch_size=None):
        return [ops.ones((batch_size, self.units), self.compute_dtype)]


@keras.saving.register_keras_serializable(package="tests")
class Sums(keras.layers.Layer):
    """As little as a cell can be: a state, and no word on what comes first or out."""

    def __init__(self, state_size, **kwargs):
        super().__init__(**kwargs)
        self.state_size = state_size

    def call(self, inputs, states):
        total = inputs + 0.5 * states[0]
        return total, (total,)

    def get_config(self):
        return {**super().get_config(), "state_size": self.state_size}


def stacked(units, dropout=0.0, **options):
    cells = [
        keras.layers.LSTMCell(units, **options),
        keras.layers.GRUCell(units, recurrent_dropout=dropout, **options),
    ]
    return keras.layers.StackedRNNCells(cells, **options)


CELLS = {
    "LSTM": keras.layers.LSTMCell,
    "GRU": keras.layers.GRUCell,
    "simple": keras.layers.SimpleRNNCell,
    "stacked": stacked,
    "not from zeros": StartsAtOne,
    "sums": Sums,
}
every_cell = pytest.mark.parametrize("cell", CELLS)


def make_block(cell="LSTM", attends=False, norm="post", **options):
    attention = MultiHeadAttention(D, H, **options) if attends else None
    block = RecurrentBlock(CELLS[cell](D, **options), attention, norm=norm, **options)
    block.build((B, T, D), (B, S, D))
    return randomize(block)


def normalized(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def normalize(box, x):
    return normalized(x) * array(box.normalization.gamma) + array(box.normalization.beta)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_in_loops(cell, x):
    """A sentence of shape (T, D), position by position."""
    kernel, recurrent_kernel, bias = map(array, cell.weights)
    h, c, outputs = np.zeros(D), np.zeros(D), []
    for vector in x:
        i, f, g, o = np.split(vector @ kernel + h @ recurrent_kernel + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.array(outputs)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_it_is_what_the_loops_make(norm):
    block = make_block(norm=norm)
    for b, output in enumerate(np.array(block(INPUTS))):
        x = INPUTS[b].astype("float64")
        if norm == "post":
            expected = normalize(block.cell_residual, x + lstm_in_loops(block.cell, x))
        else:
            expected = x + lstm_in_loops(block.cell, normalize(block.cell_residual, x))
        np.testing.assert_allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("cell", "layer"),
    [("LSTM", keras.layers.LSTM), ("GRU", keras.layers.GRU), ("simple", keras.layers.SimpleRNN)],
)
def test_the_cell_goes_over_time_as_in_keras_own_layer(cell, layer):
    block, theirs = make_block(cell), layer(D, return_sequences=True)
    theirs.build((B, T, D))
    theirs.set_weights(block.cell.get_weights())
    expected = block.cell_residual(INPUTS, theirs(INPUTS))
    np.testing.assert_allclose(block(INPUTS), expected, atol=1e-5)


def test_cross_attention_is_that_of_a_decoder_block():
    """The second sub-layer, after what the block makes without it."""
    block = make_block(attends=True)
    outputs, scores = block(INPUTS, SOURCE, memory_mask=REAL_SOURCE, return_attention_scores=True)
    alone = RecurrentBlock(keras.layers.LSTMCell(D))
    alone.build((B, T, D))
    alone.set_weights(block.cell.get_weights() + block.cell_residual.get_weights())
    x = alone(INPUTS)
    attended, cross = block.cross_attention(
        x, SOURCE, attention_mask=REAL_SOURCE[:, None], return_attention_scores=True
    )
    expected = block.cross_attention_residual(x, attended)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(scores["cross"], cross, atol=1e-5)
    assert scores["self"] is None


@every_cell
def test_packed_sentences_equal_sentences_alone(cell):
    block = make_block(cell)
    mask = AttentionMask(None, SEGMENTS, SEGMENTS, causal=True)
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


def test_a_later_position_changes_no_bit_of_an_earlier_one():
    block = make_block()
    output = np.array(block(INPUTS))
    for t in range(T):
        other = INPUTS.copy()
        other[:, t:] += 100
        changed = np.array(block(other))
        np.testing.assert_array_equal(changed[:, :t], output[:, :t])
        assert (changed[:, t] != output[:, t]).any()


@every_cell
def test_one_position_at_a_time_gives_the_same_as_all_at_once(cell):
    block = make_block(cell)
    walked = walk(block, D)
    np.testing.assert_allclose(walked.outputs, called(block(walked.histories), walked), atol=1e-5)


class Louder(keras.layers.Layer):
    """Queries and keys grow with their positions, so that it matters which they are."""

    def call(self, x, positions):
        return x * ops.cast(1 + positions[:, None, :, None], x.dtype)


def test_with_a_source_too():
    attention = MultiHeadAttention(D, H, position_encoder=Louder())
    block = RecurrentBlock(keras.layers.LSTMCell(D), attention)
    block.build((B, T, D), (B, S, D))
    randomize(block)
    memory = block.project_memory(SOURCE)
    walked = walk(block, D, memory=memory, memory_mask=REAL_SOURCE)
    outputs = block(walked.histories, SOURCE[walked.rows], memory_mask=REAL_SOURCE[walked.rows])
    np.testing.assert_allclose(walked.outputs, called(outputs, walked), atol=1e-5)


def test_without_inheritance_beams_that_cross_would_be_wrong(monkeypatch):
    monkeypatch.setattr(DecodingStep, "inherit", lambda at, state, initial: state)
    block = make_block()
    walked = walk(block, D)
    wrong = np.abs(walked.outputs - called(block(walked.histories), walked)).max(axis=1) > 1e-3
    assert wrong.mean() > 0.5


FIRST = DecodingStep(0, np.zeros(B, "int32"), np.ones(B, bool), np.ones((B, 1, 1, 1), bool))


def test_steps_compute_in_bfloat16_where_the_block_does():
    block = make_block(dtype="mixed_bfloat16", attends=True)
    cache = block.init_cache(B, 1, 5)
    outputs, _, after = block.step(
        ops.cast(INPUTS[:, :1], "bfloat16"), cache, FIRST, block.project_memory(SOURCE)
    )
    assert {tensor.dtype.name for tensor in (outputs, *cache, *after)} == {"bfloat16"}
    expected = make_block(attends=True)(INPUTS[:, :1], SOURCE)
    np.testing.assert_allclose(ops.cast(outputs, "float32"), expected, atol=0.1)


@pytest.mark.parametrize("attends", [False, True])
def test_a_step_builds_what_was_never_called_and_returns_the_scores_of_the_call(attends):
    attention, source = (MultiHeadAttention(D, H), (SOURCE,)) if attends else (None, ())
    block = RecurrentBlock(keras.layers.GRUCell(D), attention)
    memory, cache = block.project_memory(*source), block.init_cache(B, 1, 1)
    result = block.step(INPUTS[:, :1], cache, FIRST, memory, return_attention_scores=True)
    expected = block(INPUTS[:, :1], *source, return_attention_scores=True)
    keras.tree.assert_same_structure(result[:2], expected)
    for ours, theirs in zip(*map(keras.tree.flatten, (result[:2], expected)), strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_gradients_reach_every_weight_and_every_earlier_position():
    block, x = make_block(attends=True), tf.constant(INPUTS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(block(x, SOURCE)[:, -1] ** 3)
    of_inputs, *of_weights = tape.gradient(loss, [x, *(w.value for w in block.trainable_weights)])
    assert all(np.abs(gradient).max() > 0 for gradient in of_weights)
    assert (np.abs(of_inputs).max(axis=-1) > 0).all()


def make_model(norm="post"):
    def block(cell, attention=None):
        return RecurrentBlock(cell, attention, dropout_rate=0.0, norm=norm)

    def final():
        return keras.layers.LayerNormalization() if norm == "pre" else None

    encoder = [block(keras.layers.GRUCell(16)), block(keras.layers.LSTMCell(16))]
    decoder = [block(stacked(16), MultiHeadAttention(16, 2)), block(keras.layers.LSTMCell(16))]
    return EncoderDecoder(
        kt.PositionalEmbedding(11, 16, positions=None),
        None,
        EncoderStack(encoder, final()),
        DecoderStack(decoder, final()),
    )


IDS = np.array([[5, 7, 3, 9, 2], [8, 4, 2, 0, 0], [6, 6, 10, 2, 0]], "int32")
LIMITS = np.array([7, 5, 6], "int32")


def search(model, jit_compile=None, search=kt.generate, **options):
    """The hypotheses; in a graph, or compiled by XLA, or eagerly."""

    def run():
        return search(model, IDS, LIMITS, length=7, bos_id=1, eos_id=2, **options)

    run = run if jit_compile is None else tf.function(run, autograph=False, jit_compile=jit_compile)
    return keras.tree.map_structure(np.array, run())


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_model_of_recurrent_blocks_has_scores_where_there_are_any(norm):
    model = make_model(norm)
    _, scores = model({"source": IDS, "target": IDS}, return_attention_scores=True)
    assert scores["encoder"] == scores["decoder"] == [None, None]
    assert tuple(scores["cross"][0].shape) == (3, 2, 5, 5)
    assert scores["cross"][1] is None


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_what_a_model_generates_has_the_score_that_it_gives_the_whole_sentence(norm):
    model = make_model(norm)
    model.build()
    randomize(model)
    found = search(model, beam_size=3)
    for source, ids, log_prob in zip(IDS, found.ids[:, 0], found.log_probs[:, 0], strict=True):
        target = np.concatenate([[1], ids[:-1]]).astype("int32")
        logits = model({"source": source[None], "target": target[None]})
        of_tokens = np.array(ops.log_softmax(logits))[0, np.arange(len(ids)), ids]
        assert of_tokens[ids != 0].sum() == pytest.approx(log_prob, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "jit_compile"), [("float32", False), ("mixed_bfloat16", True)])
def test_a_model_trains(policy, jit_compile):
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(0.01), kt.TokenCrossEntropy(), jit_compile=jit_compile)
    inputs = {"source": IDS, "target": IDS}
    losses = model.fit(inputs, IDS, epochs=9, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_xla_finds_the_same_and_so_do_slots_that_are_refilled():
    model = make_model()
    model.build()
    randomize(model)
    eager, compiled = search(model), search(model, jit_compile=True)
    np.testing.assert_array_equal(compiled.ids, eager.ids)
    np.testing.assert_allclose(compiled.scores, eager.scores, atol=1e-5)

    def in_slots(*arguments, **options):
        return kt.generate_all(*arguments, slots=2, **options)[0]

    refilled = search(model, jit_compile=True, search=in_slots)
    np.testing.assert_array_equal(refilled.ids, eager.ids)


@pytest.mark.slow
def test_a_model_comes_back_from_a_file_with_its_cells(tmp_path):
    model = make_model()
    model.build()
    randomize(model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.encoder.blocks[0].cell) is keras.layers.GRUCell
    inputs = {"source": IDS, "target": IDS}
    np.testing.assert_array_equal(again(inputs), model(inputs))


def shared_cell():
    cell = keras.layers.LSTMCell(D)
    EncoderStack([RecurrentBlock(cell), RecurrentBlock(cell)])(INPUTS)


def assigned_late():
    make_block().cell = keras.layers.GRUCell(D)


REFUSED = {
    "a dense mask": (
        lambda: make_block()(INPUTS, attention_mask=np.ones((B, T, T), bool)),
        r"Pass `AttentionMask\(.*\(2, 11, 11\)",
    ),
    "segments without positions": (
        lambda: make_block()(INPUTS, attention_mask=AttentionMask(None, SEGMENTS, SEGMENTS)),
        "pass `positions`, which restart at 0",
    ),
    "a cell of another width": (
        lambda: RecurrentBlock(keras.layers.GRUCell(D + 1))(INPUTS),
        "create the GRUCell with 6 units. Received: a cell with 7 units",
    ),
    "stacked cells of another width": (
        lambda: RecurrentBlock(stacked(D + 1))(INPUTS),
        "create the StackedRNNCells with 6 units",
    ),
    "a cell with dropout": (
        lambda: RecurrentBlock(keras.layers.LSTMCell(D, dropout=0.1))(INPUTS),
        "create the LSTMCell with dropout=0 .*`dropout_rate`. Received: dropout=0.1",
    ),
    "a stacked cell with dropout of its state": (
        lambda: RecurrentBlock(stacked(D, dropout=0.2))(INPUTS),
        "Received: .*recurrent_dropout=0.2",
    ),
    "no cell": (
        lambda: RecurrentBlock(keras.layers.LSTM(D))(INPUTS),
        "`cell` must be a Keras RNN cell, such as",
    ),
    "a missing source": (
        lambda: make_block(attends=True)(INPUTS),
        "This RecurrentBlock attends to an encoder.*`cross_attention=None`",
    ),
    "a source too many": (
        lambda: make_block()(INPUTS, SOURCE),
        r"This RecurrentBlock has no cross-attention.*\(2, 7, 6\)",
    ),
    "a cell in two places": (shared_cell, "one place only.*LSTMCell"),
    "a cell of another policy": (
        lambda: RecurrentBlock(keras.layers.LSTMCell(D), dtype="mixed_bfloat16")(INPUTS),
        "create the LSTMCell with dtype='mixed_bfloat16'",
    ),
    "a cell after the block is built": (assigned_late, "`cell` of .* before the first call"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case):
    function, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        function()
