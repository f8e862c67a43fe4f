"""The experts of each token: as in the model itself, and on the page."""

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.illustrate import experts_figure, page
from keras_transformer.illustrate.extraction import gates_of
from tests.conftest import searches_without_xla
from tests.weights import randomize

SIZES = {"num_layers": 2, "d_model": 12, "num_heads": 2, "d_ff": 17, "norm": "pre"}
OPTIONS = {"num_experts": 5, "k": 2}


@pytest.fixture(scope="module")
def model():
    model = kt.create_model("experts", OPTIONS, vocabulary_size=277, **SIZES)
    model.build()
    return randomize(model)


def test_the_shares_are_those_of_the_model(model, monkeypatch):
    seen, call = [], kt.MixtureOfExperts.call

    def spy(self, inputs, **options):
        logits = ops.convert_to_numpy(inputs)[0] @ ops.convert_to_numpy(self.gate_kernel)
        logits[logits < np.sort(logits, axis=-1)[:, -2:-1]] = -np.inf
        seen.append(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))
        return call(self, inputs, **options)

    monkeypatch.setattr(kt.MixtureOfExperts, "call", spy)
    gates = gates_of(model, [4, 9, 7, 2], [1, 5, 8])
    assert list(gates) == ["encoder, layer 1", "decoder, layer 1"]
    for rows, wanted in zip(gates.values(), seen, strict=True):
        np.testing.assert_allclose(rows, wanted, atol=1e-5)
        assert ((rows > 0).sum(axis=-1) == 2).all()


@pytest.mark.parametrize("body", ["attention", "convolutions"])
def test_a_multi_model_shows_its_experts_in_the_middle(body):
    """Each token of source and target has k of them, the command included."""
    options = {"body": body, "num_experts": 3, "k": 1, "num_commands": 2}
    sizes = {name: size for name, size in SIZES.items() if name != "norm"}
    model = kt.create_model("multimodel", options, vocabulary_size=23, **sizes)
    gates = gates_of(model, [4, 9, 7, 2], [1, 5, 8])
    assert [name.split(",")[0] for name in gates] == ["encoder", "decoder"]
    for rows, length in zip(gates.values(), (4, 3), strict=True):
        np.testing.assert_array_equal(rows.max(axis=-1), np.ones(length))


def test_other_models_have_none():
    model = kt.Transformer(23, 1, d_model=8, num_heads=2, d_ff=12)
    assert gates_of(model, [4, 2], [1, 5]) == {}
    sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 12}
    decoder_only = kt.DecoderOnly.from_sizes(vocabulary_size=23, **sizes)
    assert gates_of(decoder_only, [4, 2], [1, 5]) == {}


def test_a_row_for_each_token_a_column_for_each_expert():
    rows = np.array([[0.25, 0.75, 0], [0, 0.5, 0.5]])
    figure = experts_figure({"encoder, layer 1": rows}, {"encoder, layer 1": ["<b>", "▁it"]})
    assert "&lt;b&gt;" in figure.body
    assert figure.body.count('<td style="--p:') == 4
    assert "<h3>Encoder, layer 1</h3>" in figure.body
    np.testing.assert_array_equal(figure.data["encoder, layer 1"], rows)


@pytest.mark.parametrize("rows", [np.ones((3, 2)), np.ones(2)])
def test_rows_must_be_those_of_the_tokens(rows):
    with pytest.raises(ValueError, match=r"a row for each of the 2 tokens of a. Received: shape"):
        experts_figure({"a": rows}, {"a": ["x", "y"]})
    with pytest.raises(ValueError, match="There is nothing to draw"):
        experts_figure({}, {})


@pytest.mark.slow
def test_the_page_shows_them(model, translator):
    with searches_without_xla():
        ours = kt.Translator(model, translator.tokenizer, max_source_length=16, about={"seed": 5})
    drawn = page(ours, "six two")
    assert set(drawn.data["experts"]) == {"encoder, layer 1", "decoder, layer 1"}
    assert "<h3>Experts</h3>" in drawn.body
    assert "experts" not in page(translator, "six two").data
