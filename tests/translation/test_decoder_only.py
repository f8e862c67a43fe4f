"""Decoder-only translators do what all translators do: search, scores, files and views."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.decoding import generate_all
from keras_transformer.formats import export_ctranslate2, export_keras, export_saved_model
from keras_transformer.formats.saved_model import graph_search
from keras_transformer.illustrate import attention_figure, extraction
from keras_transformer.models import DecoderOnly, Transformer, create_model
from tests.conftest import searches_without_xla
from tests.translation.conftest import sentences
from tests.weights import randomize

SIZES = {"num_layers": 3, "d_model": 12, "num_heads": 3, "d_ff": 17, "dropout_rate": 0.0}
OPTIONS = {"block_length": 5, "compression": 2}
LIMIT = 13
BOS, EOS = 1, 2
SOURCES = np.array(
    [
        [9, 4, 13, 22, 7, 3, 2],
        [5, 2, 0, 0, 0, 0, 0],
        [11, 8, 19, 2, 0, 0, 0],
        [6, 15, 2, 0, 0, 0, 0],
    ],
    "int32",
)


def make_model(vocabulary_size, **changes):
    model = create_model("memory_compressed", OPTIONS, vocabulary_size=vocabulary_size, **SIZES)
    model.build()
    randomize(model)
    model.set_weights([2 * weight for weight in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def translator(tokenizer):
    with searches_without_xla():
        yield kt.Translator(
            make_model(tokenizer.vocabulary_size()), tokenizer, max_source_length=LIMIT
        )


def written_one_by_one(model, source, length):
    """Greedily, by reading source and target anew for each token."""
    target = [BOS]
    while len(target) <= length and target[-1] != EOS:
        logits = model({"source": source[None], "target": np.array([target])})
        target.append(int(np.argmax(ops.convert_to_numpy(logits)[0, -1])))
    return target[1:]


@pytest.mark.slow
def test_search_in_two_slots_writes_what_reading_all_anew_writes():
    """Sources of different lengths follow each other in the slots; see `generate_all`."""
    model = make_model(23)
    found, complete = generate_all(
        model, SOURCES, np.full(4, 5), length=5, slots=2, beam_size=1, bos_id=BOS, eos_id=EOS
    )
    assert np.all(complete)
    written = [row[row > 0].tolist() for row in ops.convert_to_numpy(found.ids)[:, 0]]
    assert written == [written_one_by_one(model, row[row > 0], 5) for row in SOURCES]
    assert len(set(map(tuple, written))) > 1


def test_beams_share_what_is_kept_of_a_source():
    model = make_model(23)
    memory = model.encode(ops.convert_to_tensor(SOURCES))
    assert {part.shape[0] for part in keras.tree.flatten(memory)} == {4}
    assert ops.convert_to_numpy(memory.lengths).tolist() == [7, 2, 4, 3]


@pytest.mark.slow
def test_scores_are_those_of_the_model(translator):
    texts, other = sentences(3, seed=2, longest=5), sentences(3, seed=5, longest=7)
    tokenizer, model = translator.tokenizer, translator.model
    for one, source, target in zip(translator.score(texts, other), texts, other, strict=True):
        source, target = (np.array([[*tokenizer.tokenize(x), EOS]]) for x in (source, target))
        read = np.concatenate([[[BOS]], target[:, :-1]], axis=1)
        log_probs = ops.log_softmax(model({"source": source, "target": read}))[0]
        wanted = np.take_along_axis(ops.convert_to_numpy(log_probs), target[0][:, None], 1)[:, 0]
        np.testing.assert_allclose(one.token_log_probs, wanted, atol=1e-4)


@pytest.mark.slow
def test_a_search_scores_its_hypotheses_as_the_model_does(translator):
    texts = sentences(5, seed=7, longest=6)
    found = translator.translate(texts, beam_size=3, max_length=7, return_attention=True)
    for text, one in zip(texts, found, strict=True):
        ids = [*translator.tokenizer.tokenize(text), EOS]
        assert one.hypotheses[0].attention.shape[-1] == len(ids)
        assert np.all(one.hypotheses[0].attention.sum(-1) <= 1 + 1e-5)
    streamed = list(translator.stream(texts, beam_size=3, max_length=7))
    assert [one.text for one in streamed] == [one.text for one in found]


def answers(translator):
    texts = sentences(3, seed=2, longest=5)
    return [one.token_log_probs for one in translator.score(texts, texts)]


def assert_same(translator, other):
    assert type(other.model) is DecoderOnly
    for one, same in zip(answers(translator), answers(other), strict=True):
        np.testing.assert_allclose(same, one, atol=1e-6)


@pytest.mark.slow
def test_it_comes_back_from_a_run_and_from_a_keras_file(translator, tmp_path):
    translator.save(tmp_path / "run")
    assert_same(translator, kt.Translator.load(tmp_path / "run"))
    export_keras(translator, tmp_path / "keras")
    model = keras.saving.load_model(tmp_path / "keras" / "model.keras", safe_mode=True)
    assert_same(translator, kt.Translator(model, translator.tokenizer, max_source_length=LIMIT))


@pytest.mark.slow
def test_runs_of_such_attentions_behind_an_encoder_are_read(translator, tmp_path):
    """As the architecture made them for translation before it left out the encoder."""
    sizes = {**SIZES, "num_layers": 2}
    size = translator.tokenizer.vocabulary_size()
    model = create_model("memory_compressed", OPTIONS, Transformer, vocabulary_size=size, **sizes)
    about = {"architecture": "memory_compressed", "architecture_options": OPTIONS}
    kt.Translator(model, translator.tokenizer, max_source_length=LIMIT, about=about).save(tmp_path)
    loaded = kt.Translator.load(tmp_path).model
    assert type(loaded) is Transformer
    assert loaded.decoder.blocks[1].self_attention.compression == 2
    for one, same in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(same, one)


def test_attention_is_drawn(translator):
    text = "two cat six"
    source, target = extraction.ids_of(translator, text, "one dog")
    attention = extraction.attention_of(translator, source, target)
    assert attention.cross.shape == (3, 3, len(target), len(source))
    assert attention_figure(attention).data["encoder"] is attention.encoder


def test_ctranslate2_is_refused_by_name(translator, tmp_path):
    with pytest.raises(ValueError, match=r"no other parts. Received: a DecoderOnly at"):
        export_ctranslate2(translator, tmp_path / "ct2")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_it_is_quantized(translator, tmp_path):
    other = kt.Translator(
        make_model(translator.tokenizer.vocabulary_size()),
        translator.tokenizer,
        max_source_length=LIMIT,
    )
    other.model.quantize("int8")
    other.save(tmp_path)
    assert_same(other, kt.Translator.load(tmp_path))
    exact, rounded = (np.concatenate(answers(one)) for one in (translator, other))
    assert 0 < np.abs(exact - rounded).max() < 0.2 * np.abs(exact).max()


@pytest.mark.slow
def test_a_saved_model_translates_as_it_does(translator, tmp_path):
    import tensorflow as tf

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", (5,))
        export_saved_model(translator, tmp_path / "1", beam_size=2, top_beams=1, max_length=7)
    texts = sentences(3, seed=2, longest=5)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    found = served(tf.constant(texts))
    wanted = translator.translate(texts, beam_size=2, max_length=7)
    assert [one.decode() for one in found["translation"].numpy().ravel()] == [
        one.text for one in wanted
    ]
