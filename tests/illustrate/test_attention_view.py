import base64
import dataclasses
import json
import re

import numpy as np
import pytest

from keras_transformer.illustrate.attention_view import KINDS, attention_figure, in_levels
from tests.illustrate.conftest import random_attention

S, T, H = 7, 4, 5


def embedded(figure):
    """The data that the page's script reads."""
    found = re.search(r'<script type="application/json">(.*?)</script>', figure.body, re.DOTALL)
    return json.loads(found[1])


def levels(text, *shape):
    return np.frombuffer(base64.b64decode(text), "uint8").reshape(shape)


def test_it_is_the_dict_of_tensor2tensor(attention):
    view = json.loads(json.dumps(attention.as_tensor2tensor()))
    assert set(view) == set(KINDS)
    for kind, layers, keys, queries in (
        ("inp_inp", 2, S, S),
        ("inp_out", 3, S, T),
        ("out_out", 3, T, T),
        ("all", 3, S + T, S + T),
    ):
        assert np.shape(view[kind]["att"]) == (layers, H, queries, keys)
        assert (len(view[kind]["top_text"]), len(view[kind]["bot_text"])) == (keys, queries)
    assert view["inp_out"]["top_text"] == list(attention.source)
    assert view["inp_out"]["bot_text"] == ["Le", "chat", "veille", "</s>"]
    assert view["out_out"]["top_text"] == ["<s>", "Le", "chat", "veille"]


def test_rows_add_up_to_one_and_those_of_the_target_to_two_where_all_is_shown(attention):
    view = attention.as_tensor2tensor()
    for kind in ("inp_inp", "inp_out", "out_out"):
        np.testing.assert_allclose(np.sum(view[kind]["att"], axis=-1), 1, atol=1e-6)
    sums = np.sum(view["all"]["att"], axis=-1)
    np.testing.assert_allclose(sums[:2, :, :S], 1, atol=1e-6)
    assert (sums[2, :, :S] == 0).all()  # there is no third encoder layer
    np.testing.assert_allclose(sums[:, :, S:], 2, atol=1e-6)


def test_the_source_never_looks_at_the_target_nor_the_target_ahead(attention):
    everything = np.array(attention.as_tensor2tensor()["all"]["att"])
    assert (everything[:, :, :S, S:] == 0).all()
    assert (np.triu(everything[:, :, S:, S:], 1) == 0).all()
    np.testing.assert_array_equal(everything[:2, :, :S, :S], attention.encoder)
    np.testing.assert_array_equal(everything[:, :, S:, :S], attention.cross)


def test_without_names_for_what_is_read_both_columns_have_the_same(attention):
    assert dataclasses.replace(attention, read=None).read == list(attention.written)


@pytest.mark.parametrize("keys", [1, 2, 60, 101, 300])
def test_in_levels_every_row_still_adds_up_to_one(keys):
    scores = np.random.default_rng(keys).dirichlet([0.2] * keys, size=(3, 11))
    rounded = in_levels(scores)
    assert (rounded.sum(axis=-1, dtype=int) == 255).all()
    assert np.abs(rounded / 255 - scores).max() < 1 / 255
    assert (in_levels(np.full((2, keys), 1 / keys)).sum(axis=-1, dtype=int) == 255).all()


def test_in_levels_what_is_nothing_stays_nothing_and_all_stays_all():
    rows = np.array([[0.0, 0, 0], [0, 1, 0], [0.5, 0, 0.5]])
    rounded = in_levels(rows)
    assert rounded[:2].tolist() == [[0, 0, 0], [0, 255, 0]]
    assert rounded[2, 1] == 0


def test_the_page_holds_all_scores_in_a_byte_each(attention):
    data = embedded(attention_figure(attention))
    assert (data["source"], data["read"]) == (list(attention.source), list(attention.read))
    encoder, cross = levels(data["encoder"], 2, H, S, S), levels(data["cross"], 3, H, T, S)
    np.testing.assert_array_equal(encoder, in_levels(attention.encoder))
    np.testing.assert_array_equal(cross, in_levels(attention.cross))
    lower = levels(data["decoder"], 3, H, T * (T + 1) // 2)
    np.testing.assert_array_equal(lower, in_levels(attention.decoder)[..., *np.tril_indices(T)])


def test_a_decoder_that_looks_ahead_is_held_whole(attention):
    ahead = np.full((3, H, T, T), 0.25)
    data = embedded(attention_figure(dataclasses.replace(attention, decoder=ahead)))
    assert (
        levels(data["decoder"], 3, H, T, T).sum(axis=-1).tolist()
        == np.full((3, H, T), 255).tolist()
    )


def test_layers_are_counted_from_0_and_the_view_begins_at_the_top():
    """Six layers of eight heads: the article's "Layer: 5, Attention: Input - Input"."""
    attention = random_attention(6, 8, ["The", "animal"], ["L'", "animal", "</s>"])
    data = embedded(attention_figure(attention))
    assert data["start"] == {"layer": 5, "kind": "inp_inp", "token": None}
    assert data["layers"] == {"encoder": 6, "decoder": 6, "cross": 6}
    assert data["heads"] == 8
    assert KINDS["inp_inp"] == "Input - Input"


def test_it_stays_below_a_megabyte():
    """Six layers, eight heads, 60 tokens on either side: 430,000 scores."""
    tokens = [f"word{i}" for i in range(60)]
    figure = attention_figure(random_attention(6, 8, tokens, tokens))
    assert len(figure.document().encode()) < 650_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cross": np.zeros((3, H, S, T))}, r"`cross` must have the shape \(layers, heads, 4, 7\)"),
        ({"decoder": np.zeros((3, 2, T, T))}, "`decoder` must have the shape"),
        ({"encoder": np.full((2, H, S, S), 1.5)}, "after the softmax, between 0 and 1"),
        ({"encoder": np.full((2, H, S, S), np.nan)}, "after the softmax"),
        ({"read": ["<s>"]}, "as many tokens as `written`, 4. Received: 1"),
    ],
)
def test_scores_that_cannot_be_are_refused(attention, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(attention, **change)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "in_in"}, "`kind` must be one of inp_inp.* Received: 'in_in'"),
        ({"layer": 2}, "`layer` must be at least 0 and less than 2. Received: 2"),
        ({"token": 7}, "`token` must be at least 0 and less than 7. Received: 7"),
    ],
)
def test_a_view_that_does_not_exist_is_refused(attention, options, message):
    with pytest.raises(ValueError, match=message):
        attention_figure(attention, **options)
