"""A release in Marian's own form computes what other readers of it compute."""

import itertools
import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import fsspec
import keras
import numpy as np
import pytest
import yaml
from sentencepiece import SentencePieceProcessor

from keras_transformer import Translator
from keras_transformer.__main__ import main
from keras_transformer.formats.marian import import_marian
from tests.formats import marian_release as release
from tests.formats.marian_release import OPTIONS, PRE, SEPARATE, model_of, write_model

TRANSFORMERS = os.environ.get("KERAS_TRANSFORMER_MARIAN_PYTHON", "")
PAD = 96
KINDS = {
    "swish, all tied": {},
    "relu, two vocabularies": {**SEPARATE, "transformer-ffn-activation": "relu"},
    "gelu, normalized first, two sizes": {
        **SEPARATE,
        **PRE,
        "transformer-ffn-activation": "gelu",
        "dim-vocabs": [96, 101],
    },
}
CONVERTED = ("swish, all tied", "relu, two vocabularies")  # the others it refuses
TEXTS = [
    *("the red cat sees a dog", ">>fra<< A dog ran in the street.", ">>deu<< eleven cats"),
    *("one street", "a red cat ran", "the ñandú costs ½ €", "null = 1.0", 'it is "one"', "cats"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    for number, kind in enumerate(KINDS):
        release.write_release(root / str(number), **KINDS[kind])
    return {kind: root / str(number) for number, kind in enumerate(KINDS)}


@pytest.fixture(scope="module")
def translators(folders):
    return {kind: import_marian(folder) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def others(folders, tmp_path_factory):
    """The releases after CTranslate2's own converter."""
    converters = pytest.importorskip("ctranslate2.converters")
    ctranslate2 = pytest.importorskip("ctranslate2")
    found = {}
    for kind, folder in folders.items():
        output = tmp_path_factory.mktemp("ct2") / "model"
        converters.OpusMTConverter(str(folder)).convert(str(output))
        options = {"compute_type": "float32", "intra_threads": 1}
        found[kind] = ctranslate2.Translator(str(output), **options)
    return found


def tokens(tokenizer, texts):
    return [[tokenizer.id_to_token(id) for id in row] for row in tokenizer.tokenize(texts)]


@pytest.mark.parametrize("kind", KINDS)
def test_ctranslate2_converts_a_release_to_the_same(kind, translators, others):
    translator, targets = translators[kind], TEXTS[::-1]
    sides = (translator.tokenizer, TEXTS), (translator.target_tokenizer, targets)
    theirs = others[kind].score_batch(*(tokens(*side) for side in sides))
    sources, targets = (side.tokenize(texts) for side, texts in sides)
    pad, end = translator.model.pad_id, translator.tokenizer.eos_id
    inputs = {
        "source": padded([[*row, end] for row in sources], pad),
        "target": padded([[pad, *row] for row in targets], pad),
    }
    log_probs = np.asarray(keras.ops.log_softmax(translator.model(inputs)))
    for table, result, target in zip(log_probs, theirs, targets, strict=True):
        ours = table[np.arange(len(target) + 1), [*target, end]]
        np.testing.assert_allclose(ours, result.log_probs, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ctranslate2_translates_to_the_same(kind, translators, others):
    translator = translators[kind]
    asked = [text for text in TEXTS if not text.startswith(">>deu<<")]  # a language it lacks
    asked += [f"{a} {b}" for a in ("red", "cats", "one") for b in ("street", "dog", "the", "in")]
    found = others[kind].translate_batch(
        tokens(translator.tokenizer, asked),
        beam_size=1,
        length_penalty=0,
        max_decoding_length=13,
        min_decoding_length=0,
        return_scores=True,
    )
    ours = translator.translate(asked, 1, length_penalty=0.0, max_length=13)
    texts = [_text(translator.target_tokenizer, result.hypotheses[0]) for result in found]
    assert [one.text for one in ours] == texts
    assert len(set(texts)) > 2
    theirs = [result.scores[0] for result in found]  # sums over up to 13 tokens
    np.testing.assert_allclose([one.score for one in ours], theirs, rtol=1e-5, atol=1e-4)


def _text(tokenizer, tokens):
    return tokenizer.detokenize([tokenizer.token_to_id(token) for token in tokens])


def random_rows(seed, first=(), last=()):
    generator = np.random.default_rng(seed)
    rows = [generator.integers(2, PAD, generator.integers(1, 11)).tolist() for _ in range(31)]
    return [[*first, *row, *last] for row in rows]


def padded(rows, pad=PAD):
    array = np.full((len(rows), max(map(len, rows))), pad, "int32")
    for place, row in enumerate(rows):
        array[place, : len(row)] = row
    return array


@pytest.fixture(scope="module")
def converted(folders, tmp_path_factory):
    """Logits after Transformers' own converter, in a process of its own."""
    if not Path(TRANSFORMERS).is_file():
        pytest.skip("KERAS_TRANSFORMER_MARIAN_PYTHON names no Python that has transformers 4.46")
    folder = tmp_path_factory.mktemp("converted")
    copies = {kind: folder / str(number) for number, kind in enumerate(CONVERTED)}
    for kind, copy in copies.items():  # it writes into them
        shutil.copytree(folders[kind], copy)
    facts = {
        "folders": [str(copy) for copy in copies.values()],
        "source": padded(random_rows(1, last=[0])).tolist(),
        "target": padded(random_rows(2, first=[PAD])).tolist(),
        "texts": TEXTS,
    }
    (folder / "request.json").write_text(json.dumps(facts))
    script = Path(__file__).with_name("marian_release_in_transformers.py")
    command = [TRANSFORMERS, script, folder / "request.json", folder / "answer.json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if result.returncode == 3:
        pytest.skip(f"Another version of transformers is needed, such as 4.46: {result.stdout}")
    assert result.returncode == 0, result.stderr[-3000:]
    answers = json.loads((folder / "answer.json").read_text())
    return {kind: answers[str(copy)] for kind, copy in copies.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONVERTED)
def test_transformers_converts_a_release_to_the_same(kind, translators, converted):
    targets, theirs = random_rows(2, first=[PAD]), np.array(converted[kind]["logits"])
    inputs = {"source": padded(random_rows(1, last=[0])), "target": padded(targets)}
    ours = np.asarray(translators[kind].model(inputs))
    assert theirs.std() > 1
    for row, expected, target in zip(ours, theirs, targets, strict=True):
        np.testing.assert_allclose(
            row[: len(target), :PAD], expected[: len(target), :PAD], atol=1e-4
        )
    ids = translators[kind].tokenizer.tokenize(TEXTS)
    assert ids == [row[:-1] for row in converted[kind]["ids"]]


@pytest.mark.slow
def test_an_imported_release_is_a_run(folders, translators, tmp_path):
    command = ["import", "--from", str(folders["relu, two vocabularies"])]
    assert main([*command, "--output", str(tmp_path / "run")]) == 0
    loaded = Translator.load(tmp_path / "run")
    assert loaded.about == {"imported_from": "Marian checkpoint 1"}
    for ours, theirs in zip(
        loaded.model.weights, translators["relu, two vocabularies"].model.weights, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_release_at_a_url_is_imported(copy):
    memory = fsspec.filesystem("memory")
    for path in copy.iterdir():
        memory.pipe_file(f"/release/{path.name}", path.read_bytes())
    assert import_marian("memory://release").about == {"imported_from": "Marian checkpoint release"}
    memory.rm("/release/target.spm")
    with pytest.raises(FileNotFoundError, match=r"There is no memory://release/target\.spm"):
        import_marian("memory://release")


def test_ids_that_fill_a_vocabulary_have_no_probability(translators):
    model = translators["gelu, normalized first, two sizes"].model
    bias = np.asarray(model.target_embedding.bias)
    assert np.flatnonzero(bias < -500).tolist() == [101]
    assert model.source_embedding.vocabulary_size == 102
    assert (translators["gelu, normalized first, two sizes"].tokenizer.tokens[96:]) == [
        *(f"<no piece {id}>" for id in range(96, 101)),
        "<pad>",
    ]


def test_every_string_of_a_vocabulary_stays_a_string(folders, translators):
    tokens = translators["swish, all tied"].tokenizer.tokens
    assert {"null", "1.0", "1", "=", "~", "'", '"'} <= set(tokens)
    assert len(tokens) == PAD + 1


@pytest.mark.parametrize("precision", ["float16", "float64"])
def test_other_precisions_are_read(precision, copy, translators):
    found = release.tensors(OPTIONS)
    write_model(copy, OPTIONS, {name: found[name].astype(precision) for name in found})
    ours, expected = import_marian(copy).model.weights, translators["swish, all tied"].model.weights
    for weight, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(weight, other, atol=2e-3)


def test_sentencepiece_models_are_vocabularies_too(folders, translators, tmp_path):
    shutil.copytree(folders["swish, all tied"], tmp_path / "copy")
    size = SentencePieceProcessor(model_file=str(tmp_path / "copy" / "source.spm")).vocab_size()
    change_decoder(vocabs=["/elsewhere/source.spm", "./source.spm"])(tmp_path / "copy")
    options = {**OPTIONS, "dim-vocabs": [size, size]}
    write_model(tmp_path / "copy", options, release.tensors(options))
    translator = import_marian(tmp_path / "copy")
    processor = SentencePieceProcessor(model_file=str(tmp_path / "copy" / "source.spm"))
    assert translator.tokenizer.tokenize(TEXTS[3:]) == processor.encode(TEXTS[3:])
    assert translator.tokenizer.special_ids == {
        "pad_id": size,
        "bos_id": size,
        "eos_id": processor.eos_id(),
        "unk_id": processor.unk_id(),
    }


@pytest.fixture
def copy(folders, tmp_path):
    """A release to damage."""
    shutil.copytree(folders["swish, all tied"], tmp_path / "copy")
    return tmp_path / "copy"


VOCABULARY = "opus.spm32k-spm32k.vocab.yml"


def change_decoder(**changes):
    def change(folder):
        facts = yaml.safe_load((folder / "decoder.yml").read_text())
        (folder / "decoder.yml").write_text(yaml.safe_dump({**facts, **changes}))

    return change


def change_options(**changes):
    changes = {name.replace("_", "-"): value for name, value in changes.items()}
    return lambda folder: write_model(folder, {**OPTIONS, **changes}, release.tensors(OPTIONS))


def change_tensors(**changes):
    def change(folder):
        found = {**release.tensors(OPTIONS), **changes}
        found = {name: tensor for name, tensor in found.items() if tensor is not None}
        write_model(folder, OPTIONS, found)

    return change


def change_model(function):
    return lambda folder: model_of(folder).write_bytes(function(model_of(folder).read_bytes()))


def change_text(name, old, new):
    def change(folder):
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def replace(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def remove(name):
    return lambda folder: (folder / name).unlink()


class Executed:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


def with_pickled_object(folder):
    name = model_of(folder)
    np.savez(name, Wemb=np.array([{"an": "object"}], dtype=object))


def one_array(folder):
    with model_of(folder).open("wb") as file:
        np.save(file, np.ones(3))


ALIASES = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n"
    for last, name in itertools.pairwise("abcdefg")
)
ALIASES += "models: *g\n"
ENTRY = "decoder_l2_context_Wk"
OWN = np.ones((96, 26), "float32")
LAYOUT = "A `Transformer` can be the paper's"
DAMAGES = {
    "no decoder.yml": (remove("decoder.yml"), "no .*config.json.* and there is no decoder.yml"),
    "a list": (replace("decoder.yml", b"- a\n"), "decoder.yml must hold a YAML mapping.*: list"),
    "not YAML": (replace("decoder.yml", b"a: [b\nc: d"), "decoder.yml is not YAML .*Copy it again"),
    "not text": (replace("decoder.yml", b"\xff\xfe\xfd"), "decoder.yml is not YAML"),
    "a tag": (
        replace("decoder.yml", b"models: !!python/object/apply:os.system [false]"),
        "decoder.yml is not YAML .*could not determine a constructor",
    ),
    "aliases of aliases": (
        replace("decoder.yml", ALIASES.encode()),
        r"`models`: \[\[\[...\], \[...\]",
    ),
    "two models": (
        change_decoder(models=["a.npz", "b.npz"]),
        "must name one .npz file as `models`",
    ),
    "a model that is no name": (change_decoder(models=[7]), r"must name one.*`models`: \[7\]"),
    "one vocabulary": (change_decoder(vocabs=["a.yml"]), r"Received `vocabs`: \['a.yml'\]"),
    "no model": (lambda folder: model_of(folder).unlink(), "There is no .*npz, the model that"),
    "half a model": (change_model(lambda b: b[:40_000]), "is not a complete .npz file"),
    "an empty model": (change_model(lambda b: b""), "is not a complete .npz file"),
    "a flipped bit": (
        change_model(lambda b: b[:9_000] + bytes([b[9_000] ^ 1]) + b[9_001:]),
        "is not a complete .npz file.*CRC",
    ),
    "a pickle": (
        change_model(lambda b: pickle.dumps(Executed())),
        r"is not a complete .npz file of numbers \(it holds pickled objects\)",
    ),
    "pickled objects": (with_pickled_object, r"\(it holds pickled objects\): it is truncated"),
    "one array": (
        one_array,
        "is not a complete .npz file",
    ),
    "no options": (
        lambda folder: np.savez(model_of(folder), Wemb=OWN),
        "has no special:model.yml, so it is not a model that Marian wrote",
    ),
    "options that are no mapping": (
        lambda folder: write_model(folder, "text", {}),
        "special:model.yml.* must hold a YAML mapping. Received: str",
    ),
    "a quantized model": (
        change_tensors(Wemb=np.ones((96, 26), "int8")),
        "holds Wemb as int8. Only floating-point",
    ),
    "a missing name": (change_tensors(**{ENTRY: None}), f"has no tensor {ENTRY}, so it is not a"),
    "no embedding": (change_tensors(Wemb=None), "has no tensor Wemb"),
    "another shape": (
        change_tensors(decoder_l1_ffn_W1=np.ones((17, 26), "float32")),
        r"special:model.yml: decoder_l1_ffn_W1 should have the shape \(26, 17\).*: \(17, 26\)",
    ),
    "another shape of a bias": (
        change_tensors(encoder_l1_self_bq=np.ones(26, "float32")),
        r"encoder_l1_self_bq should have the shape \(1, 26\). Received: \(26,\)",
    ),
    "another name": (
        change_tensors(Wtype=OWN),
        "has tensors that a Marian model does not have, such as Wtype",
    ),
    "trained positions": (change_tensors(Wpos=OWN), "such as Wpos"),
    "an output layer of its own": (
        change_tensors(decoder_ff_logit_out_Wt=OWN),
        "different tensors Wemb and decoder_ff_logit_out_Wt",
    ),
    "an unknown option": (
        change_options(transformer_sparse_heads=True),
        "has the option transformer-sparse-heads: True, which is unknown here",
    ),
    "trained positions by option": (
        change_options(transformer_train_position_embeddings=True),
        "has the option transformer-train-position-embeddings: True",
    ),
    "from right to left": (change_options(right_left=True), "has the option right-left: True"),
    "tied layers": (change_options(transformer_tied_layers=[1, 1]), r"tied-layers: \[1, 1\]"),
    "not tied": (change_options(tied_embeddings_all=False), "has neither tied-embeddings nor"),
    "an RNN": (change_options(type="s2s"), "has type: 's2s'. Only a model with type: transformer"),
    "SSRU": (change_options(transformer_decoder_autoreg="rnn"), "autoreg: 'rnn'. Only a model"),
    "deep filters": (change_options(transformer_ffn_depth=3), "transformer-ffn-depth: 3. Only"),
    "an activation": (
        change_options(transformer_ffn_activation="tanh"),
        "must set transformer-ffn-activation to one of relu, swish, gelu. Received: 'tanh'",
    ),
    "highway": (change_options(transformer_postprocess="dhn"), f"'dhn'.*{LAYOUT}"),
    "normalized embeddings": (
        change_options(transformer_postprocess_emb="nd"),
        f"transformer-postprocess-emb: 'nd'.*{LAYOUT}",
    ),
    "a layout that is no text": (
        change_options(transformer_preprocess=["n"]),
        rf"transformer-preprocess: \['n'\].*{LAYOUT}",
    ),
    "no top": (
        change_options(transformer_preprocess="n", transformer_postprocess="da"),
        f"transformer-postprocess-top: ''.*{LAYOUT}",
    ),
    "no size": (change_options(dim_emb="26"), "must set dim-emb to an integer.*: '26'"),
    "one size": (change_options(dim_vocabs=[96]), r"dim-vocabs to two sizes. Received: \[96\]"),
    "sizes that differ": (change_options(dim_vocabs=[96, 95]), "vocabularies of different sizes"),
    "no vocabulary": (remove(VOCABULARY), f"There is no .*{VOCABULARY}: copy the whole release"),
    "no pieces": (remove("target.spm"), "There is no .*target.spm: copy the whole release"),
    "BPE": (
        lambda folder: (folder / "source.spm").rename(folder / "source.bpe"),
        "There is no .*source.spm.*source.bpe, of subword-nmt, cannot be used",
    ),
    "no end": (change_text(VOCABULARY, '"</s>"', '"</t>"'), "lacks the token </s>"),
    "no unknown": (change_text(VOCABULARY, '"<unk>"', '"<none>"'), "lacks the token <unk>"),
    "a vocabulary with holes": (change_text(VOCABULARY, ": 95\n", ": 99\n"), "ids 0 to 95, but do"),
    "a vocabulary of words": (change_text(VOCABULARY, ": 95\n", ": b\n"), "ids 0 to 95, but does"),
    "a vocabulary that is a list": (
        replace(VOCABULARY, b"- </s>\n- <unk>\n"),
        f"{VOCABULARY} must hold a YAML mapping. Received: list",
    ),
    "a smaller vocabulary": (
        change_text(VOCABULARY, "▁spare95: 95\n", ""),
        "it has 95 tokens, and the model's dim-vocabs 96",
    ),
    "half the pieces": (
        lambda folder: replace("source.spm", (folder / "source.spm").read_bytes()[:700])(folder),
        f"source.spm and {VOCABULARY} are not a tokenizer. Expected a complete SentencePiece",
    ),
    "a vocabulary that is no model": (
        lambda folder: (
            replace("v.spm", b"?")(folder),
            change_decoder(vocabs=["v.spm", "v.spm"])(folder),
        ),
        "v.spm is not a vocabulary. Expected a complete SentencePiece model",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_cannot_be_imported_is_refused_in_one_line(name, copy):
    damage, message = DAMAGES[name]
    damage(copy)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        import_marian(copy)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_nothing_half_written_is_left(copy, tmp_path, capsys):
    model_of(copy).write_bytes(model_of(copy).read_bytes()[:40_000])
    assert main(["import", "--from", str(copy), "--output", str(tmp_path / "run")]) != 0
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "is not a complete .npz file" in line
