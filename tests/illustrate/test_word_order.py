"""Figures of the order of words, for attentions of all kinds."""

import types

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.illustrate import attention_steps_figure, extraction, page, word_order
from keras_transformer.illustrate.word_order import COUNT, word_order_of
from tests.illustrate.conftest import LINES
from tests.weights import randomize

D, H, V = 16, 4, 277
SOURCE = [5, 9, 7, 7, 11, 8, 2]
BAG = "a sentence is a bag of words"
VECTORS = {"vectors", "added"}


def make(*parts, decoder=None, positions=None, dtype="float32"):
    """A model with an encoder block for each of the parts, functions of nothing."""
    keras.config.set_dtype_policy(dtype)
    try:
        return _make(parts, decoder, positions)
    finally:
        keras.config.set_dtype_policy("float32")


def _make(parts, decoder, positions):
    sizes = {"d_model": D, "num_heads": H, "d_ff": 17, "max_length": 90}
    model = kt.Transformer(V, num_layers=len(parts), positions=positions, **sizes)
    for block, part in zip(model.encoder.blocks, parts, strict=True):
        block.self_attention = part()
    if decoder is not None:
        model.decoder.blocks[-1].self_attention = decoder()
    model.build()
    return randomize(model)


def attention(**parts):
    return lambda: kt.MultiHeadAttention(
        D, H, **{name: part() if callable(part) else part for name, part in parts.items()}
    )


PLAIN = attention()
ROTARY = attention(position_encoder=kt.RotaryEmbedding)
RELATIVE = attention(attention=lambda: kt.RelativeAttention(3), num_key_value_heads=1)
KEYS_ALONE = attention(attention=lambda: kt.RelativeAttention(2, values=False))
LINEAR = attention(attention=kt.LinearBias)
RANGES = attention(attention=lambda: kt.DistanceBias(8, 9), num_key_value_heads=2)
LOCAL = attention(attention=lambda: kt.LocalAttention(1))


def compressed():
    return kt.MemoryCompressedAttention(D, H, compression=3)


@pytest.mark.parametrize(
    ("model", "expected", "figures"),
    [
        ((PLAIN,), (None, "", "", ""), set()),
        ((ROTARY, PLAIN), (None, "RotaryEmbedding", "", ""), {"angles"}),
        ((RELATIVE, LOCAL), (None, "", "RelativeAttention", "LocalAttention"), VECTORS),
        ((KEYS_ALONE,), (None, "", "RelativeAttention", ""), VECTORS),
        ((LINEAR, RANGES), (None, "", "DistanceBias, LinearBias", ""), {"biases"}),
        ((LOCAL,), (None, "", "", "LocalAttention"), set()),
    ],
)
def test_it_is_that_of_the_embedding_and_of_the_parts(model, expected, figures):
    model = make(*model)
    assert word_order_of(model) == expected
    assert set(word_order.word_order_figure(model, SOURCE).data) == figures


@pytest.mark.parametrize("positions", ["paper", "t2t", "learned"])
def test_what_the_embedding_adds_is_drawn(positions):
    model = make(PLAIN, positions=positions)
    assert word_order_of(model) == (positions, "", "", "")
    data = word_order.word_order_figure(model, SOURCE).data
    ids = ops.convert_to_tensor(np.zeros((1, COUNT), "int32"))
    embedding = model.source_embedding
    without = ops.convert_to_numpy(embedding.tokens(ids)) * D**0.5
    np.testing.assert_allclose(data[positions], (embedding(ids) - without)[0], atol=1e-5)


@pytest.mark.parametrize("layout", ["interleaved", "half"])
def test_angles_are_those_by_which_queries_are_turned(layout):
    encoder = kt.RotaryEmbedding(50, layout)
    model = make(PLAIN, attention(position_encoder=lambda: encoder))
    angles = word_order.word_order_figure(model, SOURCE).data["angles"]
    assert angles.shape == (COUNT, D // H // 2)
    first, second = ([0, 2], [1, 3]) if layout == "interleaved" else ([0, 1], [2, 3])
    x = np.zeros((1, 1, COUNT, D // H), "float32")
    x[..., first] = 1.0
    turned = ops.convert_to_numpy(encoder(x, np.arange(COUNT)[None]))[0, 0]
    np.testing.assert_allclose(np.cos(angles), turned[:, first], atol=1e-5)
    np.testing.assert_allclose(np.sin(angles), turned[:, second], atol=1e-5)


def steps_of(model, layer, head):
    translator = types.SimpleNamespace(model=model)
    return extraction.self_attention_of(translator, SOURCE, layer, head)


@pytest.mark.parametrize("part", [LINEAR, RANGES])
def test_biases_are_those_of_the_scores(part):
    model = make(PLAIN, part)
    rows = word_order.word_order_figure(model, SOURCE).data["biases"]["Layer 1"]
    places = np.arange(len(SOURCE))
    for head in range(H):
        expected = rows[head][places - places[:, None] + COUNT]
        np.testing.assert_allclose(steps_of(model, 1, head)["biases"], expected, atol=1e-5)


@pytest.mark.parametrize("part", [ROTARY, RELATIVE, LINEAR, RANGES, LOCAL])
def test_steps_of_a_bfloat16_model_are_its_scores(part):
    model = make(part, dtype="mixed_bfloat16")
    scores = model.attention(np.array([SOURCE]), np.array([[1, 5]]))["encoder"][0, 0]
    assert word_order.word_order_figure(model, SOURCE).data or part is LOCAL
    for head in range(H):
        steps = attention_steps_figure(list("abcdefg"), token=3, **steps_of(model, 0, head))
        np.testing.assert_allclose(steps.data["weights"], scores[head], atol=0.03)


@pytest.mark.slow
def test_fixed_biases_are_drawn_once_for_all_layers():
    data = word_order.word_order_figure(make(LINEAR, LINEAR, LINEAR), SOURCE).data
    assert list(data["biases"]) == ["Every layer"]
    data = word_order.word_order_figure(make(RANGES, RANGES, RANGES), SOURCE).data
    assert list(data["biases"]) == ["Layer 0", "Layer 2"]


def test_vectors_add_to_scores_what_they_do_in_the_attention():
    model = make(PLAIN, RELATIVE)
    added = word_order.word_order_figure(model, SOURCE).data["added"]["Layer 1: added to scores"]
    assert added.shape == (H, 7)
    table = ops.convert_to_numpy(model.encoder.blocks[1].self_attention.attention.key_table)
    for head in range(H):
        steps = steps_of(model, 1, head)
        by_row = steps["query"] @ table.T / 2  # what each row adds to the scores of each word
        np.testing.assert_allclose(steps["biases"][3:, 0], by_row[3:, 0], atol=1e-5)
        np.testing.assert_allclose(steps["biases"][2, :6], by_row[2, 1:], atol=1e-5)
        np.testing.assert_allclose(added[head], by_row.mean(axis=0), atol=1e-5)


# The whole page


@pytest.fixture(scope="module")
def tokenizer():
    return kt.Tokenizer.train(LINES, V, model_type="bpe")


@pytest.fixture
def page_of(tokenizer, monkeypatch):
    """Function that makes the page of a model, with a translation of two tokens."""

    def shown(model):
        translator = kt.Translator(model, tokenizer, max_source_length=16, about={"seed": 5})
        source, _ = extraction.ids_of(translator, "six seven", "")
        monkeypatch.setattr(extraction, "EXTRA_LENGTH", 2 - len(source))
        return page(translator, "six seven", "one two", beam_size=1)

    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "decoder", "says", "says_not"),
    [
        (PLAIN, compressed, BAG, "apart two words are"),
        (ROTARY, ROTARY, "apart two words are (RotaryEmbedding)", BAG),
        (LOCAL, LOCAL, "all its encoder knows of their order", BAG),
    ],
    ids=["nothing", "rotary", "local"],
)
def test_the_page_says_what_the_model_knows(part, decoder, says, says_not, page_of):
    figure = page_of(make(part, decoder=decoder))
    assert says in figure.body
    assert says_not not in figure.body
    assert "that contains its position" not in figure.body
    assert ("shown with their positions" in figure.body) == (part is ROTARY)
    assert (">hidden<" in figure.body) == (part is LOCAL)
    assert ("score is shown in equal parts" in figure.body) == (decoder is compressed)
    for scores in map(figure.data["attention"].get, ("encoder", "decoder", "cross")):
        np.testing.assert_allclose(np.array(scores).sum(-1), 1, atol=1e-5)


def test_scores_of_compressed_memory_are_divided_among_its_tokens(tokenizer):
    model = make(LINEAR, decoder=compressed)
    source, target = np.array([SOURCE]), np.array([[1, 5, 6, 7, 8, 9, 10, 11]])
    translator = types.SimpleNamespace(model=model, tokenizer=tokenizer, target_tokenizer=tokenizer)
    divided = extraction.attention_of(translator, SOURCE, [*target[0, 1:], 2]).decoder[-1]
    _, blocks = model(
        {"source": source, "target": target}, training=False, return_attention_scores=True
    )
    groups = ops.convert_to_numpy(blocks["decoder"][-1])[0]  # the first token, two groups
    np.testing.assert_allclose(divided[..., 3:6].sum(-1), groups[..., 2], atol=1e-5)
    np.testing.assert_allclose(divided[..., 1], groups[..., 1] / 3, atol=1e-5)
    np.testing.assert_allclose(divided[..., 0], groups[..., 0] + groups[..., 1] / 3, atol=1e-5)
    assert (divided[..., 6:] == 0).all()


def test_compressed_memory_in_the_encoder_is_not_shown_step_by_step():
    with pytest.raises(ValueError, match=r"Layer 1 cannot be shown step by step"):
        steps_of(make(PLAIN, compressed), 1, 0)
