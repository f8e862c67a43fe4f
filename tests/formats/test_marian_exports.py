"""An imported Marian model goes where our own go: SavedModel, `.keras`, the service."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.formats import export_keras, export_saved_model
from keras_transformer.formats.marian import import_marian
from keras_transformer.formats.saved_model import graph_search
from keras_transformer.text import load_tokenizer
from tests.conftest import searches_without_xla
from tests.formats import marian_reference as reference
from tests.formats.test_saved_model import ask, assert_same

pytest.importorskip("tensorflow_text")

LIMIT = 13
BEAMS = {"beam_size": 2, "top_beams": 2}
TEXTS = [
    "the red cat sees a dog",
    ">>fra<< A dog ran.",
    ">>fra<<",
    ">> a quotation << of a dog",
    "a >>deu<< dog",
    "ñandú 😀 猫",
    "b\udcffad >>",
    "",
    " \t\u3000",
    "</s> <pad>",
]
LONG = [
    ">>fra<< a red dog. the cat. a dog. the red cat. a dog. the street.",
    ">>fra<< dog dog\udcff dog. dog dog dog. dog dog dog dog. dog dog dog dog",
    "dog dog. the cat! street. dog dog dog dog dog dog dog dog dog dog. dog. cat cat",
    "the end. the street sees a red cat and a dog in eleven streets. a dog.",
]


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    """Its searches run without XLA, and in one shape."""
    folder = tmp_path_factory.mktemp("marian") / "checkpoint"
    config = {**reference.CONFIG, "max_position_embeddings": LIMIT}
    reference.write_checkpoint(folder, config)
    with searches_without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_transformer.translation.batch_shapes.BATCHES", (32,))
        yield import_marian(folder)


@pytest.fixture(scope="module")
def served(translator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", (5,))
        export_saved_model(translator, folder, **BEAMS)
    return tf.saved_model.load(str(folder))


@pytest.mark.slow
def test_a_saved_model_translates_as_the_translator_does(served, translator):
    """Pieces of long texts too, whose words and ends of sentences may have no id."""
    texts = [*TEXTS, *LONG]
    wanted = translator.translate(texts, **BEAMS)
    assert min(one.parts for one in wanted[len(TEXTS) :]) > 1
    answer = ask(served, texts)
    assert_same({name: answer[name] for name in ("translation", "score")}, wanted)


@pytest.mark.slow
def test_its_tokens_are_those_of_the_translator(served, translator):
    texts = TEXTS[1:6]
    answer = ask(served, texts, "translate_with_attention")
    wanted = translator.translate(texts, return_attention=True, **BEAMS)
    for n, one in enumerate(wanted):
        tokens = {
            side: tuple(token.decode() for token in answer[f"{side}_tokens"][n] if token)
            for side in ("source", "target")
        }
        assert tokens == {"source": one.source_tokens, "target": one.hypotheses[0].tokens}
    assert "<unk>" in wanted[-1].source_tokens


@pytest.mark.slow
def test_a_language_that_the_model_lacks_is_refused(served, translator):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"It has >>fra<<.*>>deu<<"):
        ask(served, ["a dog", ">>deu<< a dog"])
    message = "starts with >>deu<<, a language code that the model does not have. It has >>fra<<."
    for use in (
        lambda: translator.translate(["a dog", ">>deu<< a dog"]),
        lambda: list(translator.stream(["a dog", ">>deu<< a dog"])),
    ):
        with pytest.raises(ValueError, match=f"^(Input 2: )?Text 2 {message}$"):
            use()
    with pytest.raises(ValueError, match=f"^Source 1 {message}$"):
        translator.score([">>deu<< a"], ["a"])


@pytest.mark.slow
def test_a_service_refuses_that_language_and_answers_the_rest(translator):
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(module, reason="needs the extra `serve`")
    from tests.serving.http_service import running
    from tests.serving.test_service import OPTIONS, SETTINGS

    with running(SETTINGS, opus=translator) as service:
        status, _, found = service.translate([">>fra<< a dog", "the red cat"])
        wanted = translator.translate([">>fra<< a dog", "the red cat"], **OPTIONS)
        assert status == 200
        assert [one["text"] for one in found["translations"]] == [one.text for one in wanted]
        status, _, found = service.translate([">>deu<< a dog"])
        assert status == 422
        assert "A text starts with >>deu<<, a language code" in str(found)


def test_a_keras_file_has_its_tokenizers_beside_it(translator, tmp_path):
    export_keras(translator, tmp_path / "keras")
    model = keras.saving.load_model(tmp_path / "keras" / "model.keras")
    for side in ("tokenizer", "target_tokenizer"):
        loaded = load_tokenizer(tmp_path / "keras" / f"{side}.model")
        assert loaded.fingerprint == getattr(translator, side).fingerprint
    ids = {"source": np.array([[2, 7, 11, 0]]), "target": np.array([[96, 31, 5]])}
    np.testing.assert_array_equal(model(ids), translator.model(ids))
