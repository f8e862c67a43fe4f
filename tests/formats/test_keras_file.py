"""A `.keras` file holds the model and no code."""

import keras
import numpy as np
import pytest

from keras_transformer import LanguageModel, TextGenerator, Tokenizer, Transformer, Translator
from keras_transformer.formats import export_keras
from keras_transformer.formats.keras_file import copy_model
from keras_transformer.layers import (
    DecoderBlock,
    DistanceBias,
    LinearBias,
    LocalAttention,
    LocalAttention2D,
    MemoryCompressedAttention,
    MultiHeadAttention,
    PositionalEmbedding,
    RelativeAttention,
    RotaryEmbedding,
)
from keras_transformer.models import DecoderStack, create_model
from keras_transformer.text import TokenizerAdapter
from tests.translation.conftest import sentences
from tests.weights import randomize

SIZES = {"num_layers": 1, "d_model": 14, "num_heads": 7, "d_ff": 17}
IDS = {"source": np.array([[5, 11, 7, 2], [3, 2, 0, 0]]), "target": np.array([[1, 9], [1, 13]])}


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")


def make_model(**changes):
    model = Transformer(**{"vocabulary_size": 307, **SIZES, **changes})
    model.build()
    return randomize(model)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [
    {}, {"norm": "pre", "positions": "t2t", "num_decoder_layers": 2},
    {"target_vocabulary_size": 311, "positions": "learned", "dtype": "mixed_bfloat16"},
], ids=["paper", "other", "two vocabularies"])  # fmt: skip
def test_it_loads_in_safe_mode_with_equal_logits(tokenizer, tmp_path, changes):
    model = make_model(**changes)
    export_keras(Translator(model, tokenizer), tmp_path / "new" / "mine")
    loaded = keras.saving.load_model(tmp_path / "new" / "mine" / "model.keras", safe_mode=True)
    assert type(loaded) is Transformer
    np.testing.assert_array_equal(loaded(IDS), model(IDS))
    beside = Tokenizer.load(tmp_path / "new" / "mine" / "tokenizer.model")
    assert beside.fingerprint == tokenizer.fingerprint
    assert Translator(loaded, beside).tokenizer is beside


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"norm": "pre", "dtype": "mixed_bfloat16"}])
def test_a_recurrent_model_has_equal_logits(tokenizer, tmp_path, changes):
    """From its `.keras` file, and from its run folder."""
    model = create_model("recurrent", vocabulary_size=307, **SIZES, **changes)
    model.build()
    translator = Translator(randomize(model), tokenizer)
    export_keras(translator, tmp_path / "file")
    loaded = keras.saving.load_model(tmp_path / "file" / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(IDS), model(IDS))
    translator.save(tmp_path / "run")
    np.testing.assert_array_equal(Translator.load(tmp_path / "run").model(IDS), model(IDS))


def language_model(make_attention):
    block = DecoderBlock(12, 3, 17, cross_attention=False)
    block.self_attention = make_attention()
    model = LanguageModel(PositionalEmbedding(307, 12, positions=None), DecoderStack([block]))
    model.build()
    return randomize(model)


@pytest.mark.parametrize("make_attention", [
    lambda: MultiHeadAttention(12, 3, position_encoder=RotaryEmbedding(500, "half")),
    lambda: MultiHeadAttention(12, 3, attention=RelativeAttention(3, values=False)),
    lambda: MultiHeadAttention(12, 3, attention=DistanceBias(8, 16, bidirectional=False)),
    lambda: MultiHeadAttention(12, 3, attention=LinearBias(), num_key_value_heads=1),
    lambda: MultiHeadAttention(12, 3, attention=LocalAttention(2)),
    lambda: MultiHeadAttention(12, 3, attention=LocalAttention2D((3, 4), (1, 2), (1, 1))),
    lambda: MemoryCompressedAttention(12, 3, compression=2),
], ids=["rotary", "relative", "bias", "one head", "local", "local 2-D", "compressed"])  # fmt: skip
def test_a_language_model_of_any_attention_has_equal_logits(tokenizer, tmp_path, make_attention):
    """From its `.keras` file, and from its run folder."""
    generator = TextGenerator(language_model(make_attention), tokenizer, 11)
    ids = {"target": np.random.default_rng(3).integers(1, 307, (2, 11))}
    export_keras(generator, tmp_path / "file")
    loaded = keras.saving.load_model(tmp_path / "file" / "model.keras", safe_mode=True)
    assert type(loaded) is LanguageModel
    np.testing.assert_array_equal(loaded(ids), generator.model(ids))
    generator.save(tmp_path / "run")
    loaded = TextGenerator.load(tmp_path / "run").model
    np.testing.assert_array_equal(loaded(ids), generator.model(ids))


def test_what_training_needs_is_left_out(tokenizer, tmp_path):
    model = make_model()
    export_keras(Translator(model, tokenizer), tmp_path / "plain")
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    export_keras(Translator(model, tokenizer), tmp_path / "compiled")
    sizes = [(tmp_path / name / "model.keras").stat().st_size for name in ("plain", "compiled")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)
    assert not keras.saving.load_model(tmp_path / "compiled" / "model.keras").compiled
    assert model.optimizer is not None


def test_two_tokenizers_are_two_files(tokenizer, tmp_path):
    target = Tokenizer.train(["uno due tre", "rosso gatto"], 293, model_type="bpe")
    model = make_model(target_vocabulary_size=293)
    export_keras(Translator(model, tokenizer, target), tmp_path / "mine")
    names = ["model.keras", "target_tokenizer.model", "tokenizer.model", "translator.json"]
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == names
    saved = Tokenizer.load(tmp_path / "mine" / "target_tokenizer.model")
    assert saved.fingerprint == target.fingerprint


def test_code_in_a_file_is_refused_in_safe_mode(tmp_path):
    """Keras runs a lambda that somebody else wrote only if it is told to."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="Lambda"):
        keras.saving.load_model(tmp_path / "model.keras")


def test_a_copy_is_a_model_of_its_own():
    model = make_model(dtype="mixed_bfloat16", name="mine")
    copy = copy_model(model)
    assert (copy.name, copy.dtype_policy.name) == ("mine", "mixed_bfloat16")
    np.testing.assert_array_equal(copy(IDS), model(IDS))
    before = model.get_weights()
    copy.set_weights([0 * weight for weight in before])
    assert all(map(np.array_equal, model.get_weights(), before))


def test_a_folder_of_ours_is_written_anew_and_no_other(tokenizer, tmp_path):
    target = Tokenizer.train(["uno due tre", "rosso gatto"], 293, model_type="bpe")
    two = Translator(make_model(target_vocabulary_size=293), tokenizer, target)
    export_keras(two, tmp_path / "mine")
    export_keras(Translator(make_model(), tokenizer), tmp_path / "mine")
    assert not (tmp_path / "mine" / "target_tokenizer.model").exists()
    (tmp_path / "mine" / "translator.json").write_text("{}")
    with pytest.raises(FileExistsError, match="mine already exists and holds something else"):
        export_keras(two, tmp_path / "mine")


def test_a_tokenizer_without_a_file_is_refused(tmp_path):
    class Words:
        def vocabulary_size(self):
            return 5

    foreign = TokenizerAdapter(Words(), pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    with pytest.raises(ValueError, match=r"TokenizerAdapter\. Call `translator.model.save`"):
        export_keras(Translator(make_model(vocabulary_size=5), foreign), tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []
