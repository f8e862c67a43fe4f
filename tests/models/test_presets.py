import pytest

from keras_transformer.models import PRESETS, Transformer

V = 37000


def count(vocabulary_size, d_model, num_layers, d_ff):
    """Parameters by hand: one table, and per layer 1 or 2 attentions without biases, a
    feed-forward network with biases, 2 or 3 normalisations."""
    attention = 4 * d_model**2
    feed_forward = 2 * d_model * d_ff + d_ff + d_model
    normalization = 2 * d_model
    encoder = attention + feed_forward + 2 * normalization
    decoder = 2 * attention + feed_forward + 3 * normalization
    return vocabulary_size * d_model + num_layers * (encoder + decoder)


def built(name, vocabulary_size=V):
    model = Transformer.from_preset(name, vocabulary_size)
    model.build()
    return model


@pytest.mark.slow
def test_base_has_exactly_the_papers_parameters():
    model = built("base")
    assert model.count_params() == 63_045_632
    assert {block.count_params() for block in model.encoder.blocks} == {3_150_336}
    assert {block.count_params() for block in model.decoder.blocks} == {4_199_936}
    assert model.source_embedding.count_params() == 18_944_000
    # Another vocabulary changes the table and nothing else.
    assert model.count_params() - (V - 32768) * 512 == 60_878_848


@pytest.mark.slow
def test_big_has_exactly_the_papers_parameters():
    assert built("big").count_params() == 214_171_648


def test_tiny_is_four_layers_of_width_128():
    model = built("tiny", 9716)
    assert model.count_params() == count(9716, 128, 4, 256)
    assert len(model.encoder.blocks) == len(model.decoder.blocks) == 4


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_count_follows_from_its_sizes(name):
    known = {"base": 63_045_632, "big": 214_171_648, "tiny": count(V, 128, 4, 256)}
    sizes = PRESETS[name]
    assert count(V, sizes["d_model"], sizes["num_layers"], sizes["d_ff"]) == known[name]


def test_dropout_is_the_papers():
    assert PRESETS["base"]["dropout_rate"] == 0.1
    assert PRESETS["big"]["dropout_rate"] == 0.3


def test_the_constructors_defaults_are_base():
    default, base = Transformer(11), Transformer.from_preset("base", 11)
    for name in (*PRESETS["base"], "norm", "positions"):
        assert getattr(default, name) == getattr(base, name)
    assert (default.norm, default.positions) == ("post", "paper")


def test_a_preset_can_be_changed():
    model = Transformer.from_preset("tiny", 11, norm="pre", num_layers=2)
    assert (model.norm, model.num_layers, model.d_model) == ("pre", 2, 128)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    message = "`name` must be a preset, one of base, big, tiny. Received: 'huge'"
    with pytest.raises(ValueError, match=message):
        Transformer.from_preset("huge", 11)
