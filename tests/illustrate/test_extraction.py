import random

import numpy as np
import pytest

from keras_transformer import Transformer, Translator
from keras_transformer.illustrate import attention_steps_figure, extraction, six_steps
from keras_transformer.layers import (
    DistanceBias,
    LinearBias,
    MultiHeadAttention,
    RelativeAttention,
    RotaryEmbedding,
)
from tests.models.conftest import SIZES, SOURCE, TARGET, V, make_model
from tests.trainers.conftest import TINY, toy_pairs
from tests.translation.conftest import next_log_probs
from tests.weights import array, randomize

H = SIZES["num_heads"]


@pytest.fixture(scope="module")
def ids(translator):
    return extraction.ids_of(translator, "six two", "two six one")


def test_the_models_attention_is_that_of_its_call():
    model = make_model(num_decoder_layers=3)
    scores = model.attention(SOURCE, TARGET)
    _, expected = model({"source": SOURCE, "target": TARGET}, return_attention_scores=True)
    assert set(scores) == set(expected)
    for name, shape in (("encoder", (3, 2, H, 7, 7)), ("decoder", (3, 3, H, 5, 5))):
        assert scores[name].shape == shape
    assert scores["cross"].shape == (3, 3, H, 5, 7)
    for name, arrays in scores.items():
        assert isinstance(arrays, np.ndarray)
        assert arrays.dtype == "float32"
        for layer, block in enumerate(expected[name]):
            np.testing.assert_array_equal(arrays[:, layer], block)


def test_without_queries_every_word_is_looked_at_alike():
    model = make_model()
    for block in model.encoder.blocks:
        kernel = block.self_attention.query_projection.kernel
        kernel.assign(np.zeros(kernel.shape))
    scores = model.attention(SOURCE[:1], TARGET[:1])["encoder"]
    np.testing.assert_allclose(scores, 1 / 7, atol=1e-6)


def test_a_head_that_copies_looks_at_the_word_itself():
    """Orthogonal vectors as words, queries and keys that keep them, and large ones."""
    model = make_model(num_layers=1, d_model=7, num_heads=1, positions=None, vocabulary_size=7)
    model.source_embedding.tokens.embeddings.assign(np.eye(7))
    attention = model.encoder.blocks[0].self_attention
    for projection in (attention.query_projection, attention.key_projection):
        projection.kernel.assign(5 * np.eye(7))
    source = np.array([[3, 5, 4, 6, 2]])
    scores = model.attention(source, np.array([[1, 4]]))["encoder"]
    np.testing.assert_allclose(scores[0, 0, 0], np.eye(5), atol=1e-6)


def test_tokens_and_scores_are_of_one_sentence_and_its_translation(translator, ids):
    attention = extraction.attention_of(translator, *ids)
    source, target = ids
    pieces = translator.tokenizer.id_to_token
    assert attention.source == [pieces(id) for id in source]
    assert attention.written == [pieces(id) for id in target]
    assert attention.read == ["<s>", *attention.written[:-1]]
    assert attention.source[-1] == attention.written[-1] == "</s>"
    expected = translator.model.attention(np.array([source]), np.array([[1, *target[:-1]]]))
    np.testing.assert_array_equal(attention.cross, expected["cross"][0])


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize(("layer", "head"), [(0, 1), (1, 6)])
def test_the_steps_begin_with_what_the_heads_scores_are_made_from(norm, layer, head):
    model = make_model(norm=norm)

    class Translates:
        pass

    Translates.model = model
    source = SOURCE[0].tolist()
    parts = extraction.self_attention_of(Translates, source, layer, head)
    scores = model.attention(SOURCE[:1], TARGET[:1])["encoder"][0, layer, head]
    for place in (0, 4):
        steps = six_steps(parts["query"][place], parts["key"], parts["value"])
        np.testing.assert_allclose(steps["softmax"], scores[place], atol=1e-5)
    kernel = array(model.encoder.blocks[layer].self_attention.value_projection.kernel)
    values = parts["inputs"] @ kernel[:, 2 * head : 2 * head + 2]
    np.testing.assert_allclose(parts["value"], values, atol=1e-5)


@pytest.mark.parametrize(
    "parts",
    [
        {"position_encoder": RotaryEmbedding},
        {"attention": RelativeAttention, "num_key_value_heads": 1},
        {"attention": LinearBias, "num_key_value_heads": 2},
        {"attention": DistanceBias},
    ],
    ids=["rotary", "relative", "linear", "ranges"],
)
def test_the_steps_are_the_models_with_other_attentions_too(parts):
    model = Transformer(V, **{**SIZES, "d_model": 16, "num_heads": 4}, positions=None)
    parts = {name: part() if callable(part) else part for name, part in parts.items()}
    layer = MultiHeadAttention(16, 4, **parts)
    model.encoder.blocks[1].self_attention = layer
    model.build()
    randomize(model)

    class Translates:
        pass

    Translates.model = model
    scores = model.attention(SOURCE[:1], TARGET[:1])["encoder"][0, 1]
    outputs = []
    for head in range(4):
        parts = extraction.self_attention_of(Translates, SOURCE[0].tolist(), 1, head)
        figure = attention_steps_figure(list("abcdefg"), token=3, **parts)
        np.testing.assert_allclose(figure.data["weights"], scores[head], atol=1e-5)
        np.testing.assert_allclose(figure.data["softmax"], scores[head, 3], atol=1e-5)
        outputs.append(figure.data["Z"])
    projected = np.concatenate(outputs, axis=-1) @ array(layer.output_projection.kernel)
    np.testing.assert_allclose(layer(parts["inputs"][None])[0], projected, atol=1e-4)


def test_probabilities_are_the_models(translator, ids):
    source, target = ids
    found = extraction.probabilities_of(translator, source, target)
    expected = np.exp(next_log_probs(translator.model, source, target[:-1]))
    assert found.shape == (len(target), 277)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_initial_weights_are_made_again_and_disturb_no_one(translator):
    random.seed(11)
    expected = random.random()
    random.seed(11)
    one, other = extraction.initial_model(translator), extraction.initial_model(translator)
    assert random.random() == expected
    for weights, others in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, others)
    shapes = [weight.shape for weight in translator.model.get_weights()]
    assert [weight.shape for weight in one.get_weights()] == shapes
    assert np.abs(one.get_weights()[0] - translator.model.get_weights()[0]).max() > 0.1
    translator.about["seed"] = 6
    third = extraction.initial_model(translator)
    translator.about["seed"] = 5
    assert (third.get_weights()[0] != one.get_weights()[0]).any()


@pytest.mark.slow
def test_they_are_those_that_the_trainer_began_with(tmp_path):
    """A run of one step that goes hardly anywhere."""
    from trainers.translation import main

    for side, language in enumerate(("en", "fr")):
        lines = "".join(f"{pair[side]}\n" for pair in toy_pairs(97))
        (tmp_path / f"train.{language}").write_text(lines)
    options = ["--train-source", f"{tmp_path}/train.en", "--train-target", f"{tmp_path}/train.fr"]
    options += [*TINY, "--epochs", "1", "--steps-per-epoch", "1", "--tensorboard", "false"]
    options += ["--learning-rate-scale", "1e-9", "--seed", "17", "--compile-with-xla", "false"]
    assert main([*options, "--output", str(tmp_path / "run")]) == 0
    translator = Translator.load(tmp_path / "run")
    assert translator.about["seed"] == 17
    initial = extraction.initial_model(translator)
    for weights, trained in zip(initial.get_weights(), translator.model.get_weights(), strict=True):
        np.testing.assert_allclose(weights, trained, atol=1e-6)
