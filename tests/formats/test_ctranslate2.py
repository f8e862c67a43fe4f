"""CTranslate2 computes what our model computes."""

import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_transformer import Tokenizer, Transformer, Translator, generate
from keras_transformer.formats import export_ctranslate2
from keras_transformer.layers import (
    DotProductAttention,
    LinearBias,
    LocalAttention,
    MemoryCompressedAttention,
    MultiHeadAttention,
    RelativeAttention,
    RotaryEmbedding,
)
from keras_transformer.models import create_model
from keras_transformer.text import TokenizerAdapter
from tests.translation.conftest import sentences
from tests.weights import randomize

ctranslate2 = pytest.importorskip("ctranslate2")

SIZES = {"num_layers": 2, "num_decoder_layers": 3, "d_model": 14, "num_heads": 7, "d_ff": 17}
KINDS = {
    "post": {},
    "pre": {"norm": "pre"},
    "pre t2t": {"norm": "pre", "positions": "t2t"},
    "learned": {"positions": "learned", "max_length": 67},
    "no positions": {"positions": None},
    "two vocabularies": {"target_vocabulary_size": 293, "positions": "learned", "max_length": 67},
    "ids to spare": {"vocabulary_size": 311},
    "rotary": {"architecture": "rotary", "d_model": 28},
    "relative": {"architecture": "relative", "options": {"max_distance": 3}, "norm": "pre"},
    "multi-query": {"architecture": "multi_query"},
    "grouped-query": {"architecture": "grouped_query", "num_heads": 14, "use_bias": True},
    "many parts": {"architecture": "many_parts"},
}


def many_parts(**sizes):
    """Self-attentions that differ from layer to layer, with fewer heads here and there."""
    model = Transformer(**{**sizes, "d_model": 24, "num_heads": 6, "positions": None})
    attentions = [
        {"position_encoder": RotaryEmbedding(100, "half"), "num_key_value_heads": 2},
        {"attention": RelativeAttention(2, values=False), "num_key_value_heads": 1},
        {"attention": RelativeAttention(1), "position_encoder": RotaryEmbedding()},
    ]
    for block, parts in zip(model.decoder.blocks, attentions, strict=True):
        block.self_attention = MultiHeadAttention(24, 6, **parts)
    model.decoder.blocks[1].cross_attention = MultiHeadAttention(24, 6, num_key_value_heads=3)
    for block in model.encoder.blocks:
        block.self_attention = MultiHeadAttention(
            24, 6, num_key_value_heads=1, position_encoder=RotaryEmbedding()
        )
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(sentences(211, seed=1), 307, model_type="bpe")


@pytest.fixture(scope="module")
def target_tokenizer():
    return Tokenizer.train(["uno due tre", "rosso gatto"], 293, model_type="bpe")


@pytest.fixture(scope="module")
def make_translator(tokenizer, target_tokenizer):
    def make(architecture="transformer", options=None, **changes):
        sizes = {"vocabulary_size": 307, **SIZES, **changes}
        of_parts = architecture == "many_parts"
        model = many_parts(**sizes) if of_parts else create_model(architecture, options, **sizes)
        model.build()
        two = "target_vocabulary_size" in changes
        target = target_tokenizer if two else None
        return Translator(randomize(model), tokenizer, target, max_source_length=16)

    return make


@pytest.fixture(params=KINDS)
def translator(request, make_translator):
    return make_translator(**KINDS[request.param])


def load(folder):
    return ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)


def random_ids(size, lengths, seed):
    """Rows of tokens that are not special."""
    generator = np.random.default_rng(seed)
    return [generator.integers(4, size, length).tolist() for length in lengths]


def tokens_of(tokenizer, rows):
    return [[tokenizer.id_to_token(id) for id in row] for row in rows]


def score_targets(translator, source, target):
    """Log-probabilities of each token of a known target, EOS among them, by our model."""
    bos, eos = translator.target_tokenizer.bos_id, translator.target_tokenizer.eos_id
    logits = translator.model(
        {
            "source": np.array([[*source, translator.tokenizer.eos_id]]),
            "target": np.array([[bos, *target]]),
        }
    )
    log_probs = np.asarray(keras.ops.log_softmax(logits))[0]
    return log_probs[np.arange(len(target) + 1), [*target, eos]]


def test_every_token_has_the_probability_that_our_model_gives_it(translator, tmp_path):
    export_ctranslate2(translator, tmp_path / "new" / "ct2")
    sources = random_ids(307, (1, 5, 11, 15), seed=2)
    targets = random_ids(293, (7, 13, 2, 31), seed=3)
    results = load(tmp_path / "new" / "ct2").score_batch(
        tokens_of(translator.tokenizer, sources), tokens_of(translator.target_tokenizer, targets)
    )
    for source, target, result in zip(sources, targets, results, strict=True):
        expected = score_targets(translator, source, target)
        np.testing.assert_allclose(result.log_probs, expected, atol=1e-4)


@pytest.mark.slow
def test_sinusoids_reach_far(make_translator, tmp_path):
    translator = make_translator()
    export_ctranslate2(translator, tmp_path / "ct2")
    (source,), (target,) = random_ids(307, (2047,), seed=5), random_ids(307, (1301,), seed=7)
    (result,) = load(tmp_path / "ct2").score_batch(
        tokens_of(translator.tokenizer, [source]),
        tokens_of(translator.tokenizer, [target]),
        max_input_length=0,
    )
    expected = score_targets(translator, source, target)
    np.testing.assert_allclose(result.log_probs, expected, atol=1e-3)


@pytest.mark.slow
def test_it_writes_what_we_write(make_translator, tmp_path):
    translator = make_translator()
    export_ctranslate2(translator, tmp_path / "ct2")
    sources = random_ids(307, (11, 11, 11, 11, 11), seed=11)
    found = generate(
        translator.model,
        np.array([[*source, 2] for source in sources], "int32"),
        np.full(5, 23),
        length=23,
        beam_size=1,
        bos_id=1,
        eos_id=2,
    )
    ours = [[id for id in row if id not in (0, 2)] for row in np.asarray(found.ids)[:, 0].tolist()]
    theirs = load(tmp_path / "ct2").translate_batch(
        tokens_of(translator.tokenizer, sources), beam_size=1, max_decoding_length=23
    )
    assert [result.hypotheses[0] for result in theirs] == tokens_of(translator.tokenizer, ours)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rotary", "relative", "multi-query", "many parts"])
def test_it_finds_what_we_find_with_any_attention(kind, make_translator, tmp_path):
    translator = make_translator(**KINDS[kind])
    export_ctranslate2(translator, tmp_path / "ct2")
    sources = random_ids(307, (11, 11, 11), seed=11)
    found = generate(
        translator.model,
        np.array([[*source, 2] for source in sources], "int32"),
        np.full(3, 23),
        length=23,
        beam_size=3,
        length_penalty=0.0,
        bos_id=1,
        eos_id=2,
    )
    results = load(tmp_path / "ct2").translate_batch(
        tokens_of(translator.tokenizer, sources),
        beam_size=3,
        length_penalty=0,
        max_decoding_length=23,
        min_decoding_length=0,
        return_scores=True,
    )
    ours = [[id for id in row if id not in (0, 2)] for row in np.asarray(found.ids)[:, 0].tolist()]
    theirs = [result.hypotheses[0] for result in results]
    assert theirs == tokens_of(translator.tokenizer, ours)
    scores = [result.scores[0] for result in results]
    np.testing.assert_allclose(scores, found.log_probs[:, 0], atol=1e-4)


@pytest.mark.slow
def test_a_folder_of_ours_is_written_anew(make_translator, tmp_path):
    (tmp_path / "ct2").mkdir()
    export_ctranslate2(make_translator(positions=None), tmp_path / "ct2")
    first = (tmp_path / "ct2" / "model.bin").read_bytes()
    export_ctranslate2(make_translator(target_vocabulary_size=293), tmp_path / "ct2")
    assert (tmp_path / "ct2" / "model.bin").read_bytes() != first
    assert not (tmp_path / "ct2" / "shared_vocabulary.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["ct2"]
    load(tmp_path / "ct2")


@pytest.mark.parametrize(("name", "content"), [("config.json", "{}"), ("thesis.txt", "all of it")])
def test_what_is_not_ours_is_never_overwritten(make_translator, tmp_path, name, content):
    export_ctranslate2(make_translator(), tmp_path / "ct2")
    (tmp_path / "ct2" / name).write_text(content)
    with pytest.raises(FileExistsError, match="ct2 already exists and holds something else"):
        export_ctranslate2(make_translator(), tmp_path / "ct2")
    assert (tmp_path / "ct2" / name).read_text() == content
    with pytest.raises(FileExistsError, match=f"{name} already exists"):
        export_ctranslate2(make_translator(), tmp_path / "ct2" / name)


def fill_the_disk(spec, folder):
    (Path(folder) / "model.bin").write_text("half")
    raise OSError("No space left on device")


def fail_to_rename(source, destination, replace=os.replace):
    if Path(source).name == "new":
        raise OSError("No space left on device")
    replace(source, destination)


@pytest.mark.parametrize(
    ("owner", "name", "failing"),
    [(ctranslate2.specs.TransformerSpec, "save", fill_the_disk), (os, "replace", fail_to_rename)],
    ids=["writing", "renaming"],
)
def test_a_folder_appears_whole_or_not_at_all(
    make_translator, tmp_path, monkeypatch, owner, name, failing
):
    translator = make_translator()
    export_ctranslate2(translator, tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    monkeypatch.setattr(owner, name, failing)
    for folder in ("old", "new"):
        with pytest.raises(OSError, match="No space left"):
            export_ctranslate2(translator, tmp_path / folder)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before


def test_without_ctranslate2_it_says_what_to_install(make_translator, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2.specs", None)
    with pytest.raises(ImportError, match=r"`pip install ctranslate2`.*extra `ctranslate2`"):
        export_ctranslate2(make_translator(), tmp_path / "ct2")


class Words:
    """A tokenizer of any tokens that a test wants."""

    def __init__(self, *words):
        self.words = ["<pad>", "<s>", "</s>", "<unk>", *words]

    def vocabulary_size(self):
        return len(self.words)

    def id_to_token(self, id):
        return self.words[id]


def foreign(*words, **ids):
    special = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, **ids}
    return TokenizerAdapter(Words(*words), **special)


def test_tokens_must_differ(tmp_path):
    model = Transformer(vocabulary_size=7, **SIZES)
    translator = Translator(model, foreign("a", "b", "a"))
    with pytest.raises(ValueError, match="Received: 'a' with the ids 4 and 6"):
        export_ctranslate2(translator, tmp_path / "ct2")


def test_special_tokens_must_not_differ(tmp_path):
    model = Transformer(vocabulary_size=5, target_vocabulary_size=5, **SIZES)
    translator = Translator(model, foreign("[END]"), foreign("[END]", eos_id=4))
    with pytest.raises(ValueError, match=r"Received: <s>, </s>, <unk> and <s>, \[END\], <unk>"):
        export_ctranslate2(translator, tmp_path / "ct2")


@pytest.mark.slow
def test_quantised_weights_are_refused(make_translator, tmp_path):
    translator = make_translator()
    translator.model.decoder.blocks[1].feed_forward.hidden.quantize("int8")
    with pytest.raises(ValueError, match="Received: weights of type int8"):
        export_ctranslate2(translator, tmp_path / "ct2")


def test_other_models_are_refused(tokenizer, tmp_path):
    class Other(keras.Model):
        vocabulary_size, target_vocabulary_size, pad_id, max_positions = 307, None, 0, None

    other = Other()
    other.built = True
    with pytest.raises(
        ValueError, match=r"computes the paper's Transformer, .*and no other parts.*an? Other at"
    ):
        export_ctranslate2(Translator(other, tokenizer), tmp_path / "ct2")


@keras.saving.register_keras_serializable(package="tests.ctranslate2")
class Louder(DotProductAttention):
    def logits(self, query, key, distances):
        return 2 * super().logits(query, key, distances)


@keras.saving.register_keras_serializable(package="tests.ctranslate2")
class Subclass(Transformer):
    """A model of another class, which may compute anything."""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda model: setattr(
                model.decoder.blocks[1].self_attention, "attention", Louder(name="loud")
            ),
            r"Received: a Louder at '.*decoder.*loud'",
        ),
        (
            lambda model: setattr(
                model.encoder.blocks[1].self_attention, "attention", LinearBias(name="alibi")
            ),
            r"and no other parts\. Received: a LinearBias at '.*encoder.*alibi'",
        ),
        (
            lambda model: setattr(
                model.encoder.blocks[0].self_attention, "attention", LocalAttention(3, name="near")
            ),
            r"Received: a LocalAttention at '.*encoder.*near'",
        ),
        (
            lambda model: setattr(
                model.decoder.blocks[0], "self_attention", MemoryCompressedAttention(14, 7)
            ),
            r"Received: a MemoryCompressedAttention at '.*decoder",
        ),
        (
            lambda model: setattr(
                model.encoder.blocks[0], "feed_forward", keras.layers.Dense(14, name="narrow")
            ),
            "model whose encoder has other sizes",
        ),
        (
            lambda model: setattr(
                model.encoder.blocks[0], "self_attention", MultiHeadAttention(14, 2)
            ),
            "model whose encoder has other sizes",
        ),
        (
            lambda model: setattr(
                model.encoder.blocks[1].self_attention, "attention", RelativeAttention(name="far")
            ),
            "if a self-attention has its own. Received: a RelativeAttention at .*far.*'paper'",
        ),
        (
            lambda model: setattr(
                model.decoder.blocks[1].cross_attention, "attention", RelativeAttention(name="far")
            ),
            "in self-attention only. Received: a RelativeAttention at .*far.* in a cross-att",
        ),
    ],
    ids=[
        "a hook",
        "a bias",
        "blocks",
        "a compressed memory",
        "a part of Keras",
        "other heads",
        "positions twice",
        "in cross",
    ],
)
def test_a_foreign_part_is_refused_by_its_name(change, message, tokenizer, tmp_path):
    model = Transformer(307, **SIZES)
    change(model)
    with pytest.raises(ValueError, match=message):
        export_ctranslate2(Translator(model, tokenizer, max_source_length=16), tmp_path / "ct2")
    assert not (tmp_path / "ct2").exists()


def test_a_subclass_is_refused_by_its_name(tokenizer, tmp_path):
    model = Subclass(307, **SIZES)
    with pytest.raises(ValueError, match="Received: a Subclass at"):
        export_ctranslate2(Translator(model, tokenizer, max_source_length=16), tmp_path / "ct2")


@pytest.mark.parametrize(
    ("architecture", "named"),
    [
        ("recurrent", "EncoderDecoder"),
        ("experts", "MixtureOfExperts"),
        ("multimodel", "MultiModel"),
    ],
)
def test_another_architecture_is_refused_by_its_name(architecture, named, tokenizer, tmp_path):
    model = create_model(architecture, vocabulary_size=307, **SIZES)
    with pytest.raises(ValueError, match=rf"computes the paper's .*Received: an? {named} at"):
        export_ctranslate2(Translator(model, tokenizer, max_source_length=16), tmp_path / "ct2")
    assert not (tmp_path / "ct2").exists()


def test_the_configuration_names_how_sentences_start_and_end(make_translator, tmp_path):
    export_ctranslate2(make_translator(), tmp_path / "ct2")
    config = json.loads((tmp_path / "ct2" / "config.json").read_text())
    assert (
        config.items()
        >= {
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "decoder_start_token": "<s>",
            "add_source_bos": False,
            "add_source_eos": True,
            "layer_norm_epsilon": 1e-6,
        }.items()
    )
