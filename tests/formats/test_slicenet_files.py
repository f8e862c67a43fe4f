"""A convolutional translator in all kinds of files, and in figures."""

import keras
import numpy as np
import pytest

from keras_transformer import Translator
from keras_transformer.formats import export_ctranslate2, export_keras, export_saved_model
from keras_transformer.formats.saved_model import graph_search
from keras_transformer.illustrate.explanation import Explainer
from keras_transformer.models import create_model
from tests.conftest import searches_without_xla
from tests.translation.conftest import sentences, tokenizer  # noqa: F401
from tests.weights import randomize

IDS = {"source": np.array([[5, 11, 7, 2], [3, 2, 0, 0]]), "target": np.array([[1, 9], [1, 13]])}
OPTIONS = {"kernels": "3-5", "dilations": "1-2"}


@pytest.fixture
def translator(tokenizer, request):  # noqa: F811
    sizes = {"vocabulary_size": 307, "num_layers": 1, "d_model": 12}
    model = create_model("slicenet", OPTIONS, **sizes, **getattr(request, "param", {}))
    model.build()
    with searches_without_xla():
        return Translator(randomize(model), tokenizer, max_source_length=13)


@pytest.mark.slow
@pytest.mark.parametrize("translator", [{}, {"dtype": "mixed_bfloat16"}], indirect=True)
def test_its_logits_are_equal_from_a_keras_file_and_from_a_run_folder(translator, tmp_path):
    export_keras(translator, tmp_path / "file")
    loaded = keras.saving.load_model(tmp_path / "file" / "model.keras", safe_mode=True)
    expected = np.array(translator.model(IDS))
    np.testing.assert_array_equal(loaded(IDS), expected)
    translator.save(tmp_path / "run")
    np.testing.assert_array_equal(Translator.load(tmp_path / "run").model(IDS), expected)


def test_ctranslate2_does_not_compute_it(translator, tmp_path):
    pytest.importorskip("ctranslate2")
    with pytest.raises(ValueError, match=r"computes the paper's .*Received: an? EncoderDecoder at"):
        export_ctranslate2(translator, tmp_path / "ct2")
    assert not (tmp_path / "ct2").exists()


def test_its_search_is_illustrated(translator):
    with searches_without_xla():
        explainer = Explainer(translator, 13, max_length=5, beam_size=2)
        explainer.prepare()
        found = explainer.explain("six two")
    assert found.steps


@pytest.mark.slow  # a graph of its own
def test_a_saved_model_translates_as_it_does_with_its_attention(translator, tmp_path):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_search, "SIZES", (5,))
        export_saved_model(translator, tmp_path / "1", beam_size=2, top_beams=2, max_length=11)
    served = tf.saved_model.load(str(tmp_path / "1"))
    texts = sentences(7, seed=2, longest=5)
    options = {"beam_size": 2, "top_beams": 2, "max_length": 11, "return_attention": True}
    wanted = translator.translate(texts, **options)
    answer = served.signatures["serving_default"](text=tf.constant(texts))
    attending = served.signatures["translate_with_attention"](text=tf.constant(texts))
    attention = attending["attention"].numpy()
    assert attention.shape[1:3] == (2, 1)
    for n, one in enumerate(wanted):
        best = one.hypotheses[0]
        assert answer["translation"].numpy()[n, 0].decode() == best.text
        assert answer["score"].numpy()[n, 0] == pytest.approx(best.score, abs=1e-4)
        _, _, T, S = best.attention.shape
        np.testing.assert_allclose(attention[n][:, :, :T, :S], best.attention, atol=1e-5)
