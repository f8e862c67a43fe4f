"""The latents of a translation: as in the model itself, and on the page."""

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.decoding.latent_search import END
from keras_transformer.illustrate import LatentChange, latents_figure, page
from keras_transformer.illustrate.extraction import latent_search_of
from keras_transformer.illustrate.latent_extraction import latents_of
from tests.conftest import searches_without_xla
from tests.weights import randomize

SIZES = {"num_layers": 2, "d_model": 12, "num_heads": 2, "d_ff": 17}
SOURCE = [7, 270, 266, 9, 2]


@pytest.fixture(scope="module")
def ours(translator):
    """A translator that seldom ends its latents at once, and writes few bytes."""
    options = {"bits": 4, "halvings": 1}
    model = kt.create_model("latent", options, vocabulary_size=277, **SIZES)
    model.build()
    randomize(model, seed=8)
    for embedding, rows, factor in (
        (model.latent_embedding, slice(END, END + 1), 0.1),
        (model.target_embedding, slice(4, 260), 0.3),
    ):
        table = embedding.weights[0]
        values = np.array(table)
        values[rows] *= factor
        table.assign(values)
    with searches_without_xla():
        return kt.Translator(model, translator.tokenizer, max_source_length=16, about={"seed": 5})


def words(model, latents, source=SOURCE):
    """The words of one row of latents."""
    found = model.words(np.array([[latents]], "int32"), model.encode(np.array([source], "int32")))
    return ops.convert_to_numpy(found)[0, 0].tolist()


@pytest.mark.slow
def test_the_search_is_for_latents_and_ends_in_the_words_of_the_translation(ours):
    text = "six seven two"
    source = [*ours.tokenizer.tokenize([text])[0], 2]
    steps, hypotheses, written = latent_search_of(ours, source, 3, 0.6)
    codes = [id for id in hypotheses[0]["ids"] if id > END]
    assert len(codes) > 1
    assert steps[0].next_log_probs.shape == (1, 2**4 + END + 1)
    row = words(ours.model, codes, source)
    assert written == (row[: row.index(2) + 1] if 2 in row else row)[: len(written)]
    (found,) = ours.translate([text], beam_size=3, max_length=len(source) + 4)
    assert found.text == ours.target_tokenizer.detokenize(written)


@pytest.mark.slow
def test_another_latent_at_each_place(ours):
    latents = [9, 6, 12, END]
    found = latents_of(ours, SOURCE, latents, alternatives=2)
    assert found["codes"] == [6, 3, 9]
    memory = ours.model.encode(np.array([SOURCE], "int32"))
    tokenizer = ours.target_tokenizer
    for place in range(3):
        before = np.array([latents[:place]], "int32").reshape(1, place)
        logits = ours.model.latent_logits(before, memory.encoder_output, memory.mask)
        wanted = ops.convert_to_numpy(ops.softmax(logits))[0, place]
        np.testing.assert_allclose(found["probabilities"][place], wanted[latents[place]], atol=1e-5)
        likeliest = [id for id in np.argsort(-wanted) if id > END and id != latents[place]][:2]
        changes = [one for one in found["changes"] if one.place == place]
        assert [one.code + END + 1 for one in changes] == likeliest
        for one, id in zip(changes, likeliest, strict=True):
            np.testing.assert_allclose(one.probability, wanted[id], atol=1e-5)
            ids = words(ours.model, [*latents[:place], id, *latents[place + 1 : 3]])
            ids = ids[: ids.index(2) + 1] if 2 in ids else ids
            tokens = [tokenizer.id_to_token(id) for id in ids]
            assert one.words == [tokens[:2], tokens[2:4], tokens[4:]]


def test_what_changes_is_marked():
    changes = [LatentChange(1, 8, 0.25, [["▁a", "<b>"], ["▁d"]])]
    figure = latents_figure([5, 7], [0.9, 0.6], [["▁a", "b"], ["▁d", "e"]], changes)
    assert figure.body.count("<mark>") == 1
    assert "<mark><bdi>&lt;b&gt;</bdi></mark>" in figure.body
    assert '<th scope="row">2: 7</th><td class="number">8</td>' in figure.body
    assert figure.data["changes"] == changes


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="There is nothing to draw: `codes` is empty"):
        latents_figure([], [], [], [])
    with pytest.raises(ValueError, match=r"probabilities for each of the 2 latents. Received: 1"):
        latents_figure([5, 7], [0.9], [["a"], ["b"]], [])
    with pytest.raises(ValueError, match=r"words of a change for each of the 2 .* Received: 1"):
        latents_figure([5, 7], [0.9, 0.1], [["a"], ["b"]], [LatentChange(0, 1, 0.1, [["a"]])])


@pytest.mark.slow
def test_the_page_shows_them(ours, translator):
    drawn = page(ours, "six two", reference="five", beam_size=3)
    assert set(drawn.data) == {"positions", "steps", "attention", "search", "latents"}
    assert "<h2>6. All words at once</h2>" in drawn.body
    assert "The most probable next latents" in drawn.body
    assert "Reference: <bdi>five</bdi>" in drawn.body
    length = len(ours.tokenizer.tokenize(["six two"])[0]) + 5
    text = ours.translate(["six two"], beam_size=3, max_length=length)[0].text
    assert f"→ <bdi>{text}</bdi>" in drawn.body
    assert "next words" in page(translator, "six two").body
