"""An imported Marian model computes what Marian computes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_transformer import RunError, TokenCrossEntropy, Translator, generate
from keras_transformer.data import InMemoryCorpus, TokenBatches, TokenCache
from keras_transformer.formats import export_ctranslate2
from keras_transformer.formats.marian import import_marian
from keras_transformer.text import MarianTokenizer
from tests.formats import marian_reference as reference
from tests.formats.marian_reference import CONFIG, EOS, PAD

ROOM, SHORTEST = 20, 7  # as in `marian_in_transformers.py`
TRANSFORMERS = os.environ.get("KERAS_TRANSFORMER_PEERS_PYTHON", "")
KINDS = {
    "swish": {},
    "relu, nothing scaled, an odd width": {
        "activation_function": "relu",
        "scale_embedding": False,
        "d_model": 21,
        "encoder_attention_heads": 7,
        "decoder_attention_heads": 7,
    },
    "gelu, two vocabularies": {
        "activation_function": "gelu",
        "share_encoder_decoder_embeddings": False,
        "decoder_vocab_size": 101,
        "max_position_embeddings": 61,
    },
}
TEXTS = [
    "the red cat sees a dog",
    ">>fra<< A dog ran in the street.",
    ">>deu<< eleven cats",
    ">>not a code",
    "the ñandú costs ½ €",
    "  runs   of spaces\tand tabs ",
    "naïve «dogs» 😀 e\u0301",
    "A << b >>fra<<",
    "猫 and dog",
    "",
]


def config_of(kind):
    return {**CONFIG, **KINDS[kind]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of every kind."""
    root = tmp_path_factory.mktemp("marian")
    for number, kind in enumerate(KINDS):
        reference.write_checkpoint(root / str(number), config_of(kind))
    return {kind: root / str(number) for number, kind in enumerate(KINDS)}


@pytest.fixture(scope="module")
def translators(folders):
    return {kind: import_marian(folder) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def translator(translators):
    return translators["swish"]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def random_rows(count, longest, seed, first=(), last=()):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest, count)
    return [[*first, *generator.integers(2, PAD, length).tolist(), *last] for length in lengths]


def padded(rows):
    array = np.full((len(rows), max(map(len, rows))), PAD, "int32")
    for place, row in enumerate(rows):
        array[place, : len(row)] = row
    return array


SOURCES = random_rows(61, 11, seed=1, last=[EOS])
TARGETS = random_rows(61, 13, seed=2, first=[PAD])


def logits_of(model, sources=SOURCES, targets=TARGETS):
    inputs = {"source": padded(sources), "target": padded(targets)}
    return keras.ops.convert_to_numpy(model(inputs))


def without_padding(logits):
    return np.delete(logits, PAD, axis=-1)


def test_logits_are_those_of_the_reference(kind, folders, translators):
    config, tensors = config_of(kind), reference.tensors(config_of(kind))
    logits = logits_of(translators[kind].model, SOURCES[:11], TARGETS[:11])
    for row, source, target in zip(logits, SOURCES, TARGETS, strict=False):
        expected = reference.logits(config, tensors, source, target)
        np.testing.assert_allclose(
            without_padding(row[: len(target)]), without_padding(expected), atol=1e-4
        )


def test_padding_has_no_probability(translator):
    logits = logits_of(translator.model, SOURCES[:3], TARGETS[:3])
    log_probs = keras.ops.convert_to_numpy(keras.ops.log_softmax(logits))
    assert np.exp(log_probs[..., PAD]).max() == 0
    expected = reference.logits(CONFIG, reference.tensors(CONFIG), SOURCES[0], TARGETS[0])
    np.testing.assert_allclose(
        without_padding(log_probs[0, : len(TARGETS[0])]),
        without_padding(reference.log_probs(expected)),
        atol=1e-4,
    )


def found_by(translator, beam_size, sources=SOURCES, min_length=SHORTEST):
    """Ids without padding, log-probabilities and whether they ended, of what a search finds."""
    found = generate(
        translator.model,
        padded(sources),
        np.full(len(sources), ROOM),
        length=ROOM,
        min_lengths=np.full(len(sources), min_length),
        beam_size=beam_size,
        bos_id=PAD,
        eos_id=EOS,
        length_penalty=0.0,
    )
    ids, log_probs, _, finished = (np.asarray(part)[:, 0] for part in found)
    return [real(row) for row in ids.tolist()], log_probs, finished


def real(row):
    return [id for id in row if id != PAD]


@pytest.fixture(scope="module")
def transformers(folders, tmp_path_factory):
    """What the Transformers library answers, in a process of its own."""
    if not Path(TRANSFORMERS).is_file():
        pytest.skip("KERAS_TRANSFORMER_PEERS_PYTHON names no Python that has transformers")
    request = tmp_path_factory.mktemp("transformers") / "request.json"
    facts = {
        "folders": [str(folder) for folder in folders.values()],
        "source": padded(SOURCES).tolist(),
        "target": padded(TARGETS).tolist(),
        "texts": TEXTS,
    }
    reference.write_json(request, facts)
    script = Path(__file__).with_name("marian_in_transformers.py")
    answer = request.with_name("answer.json")
    command = [TRANSFORMERS, str(script), str(request), str(answer)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    answers = json.loads(answer.read_text())
    return {"found": answers["found"], **{kind: answers[str(folders[kind])] for kind in KINDS}}


def test_transformers_gives_the_same_logits(kind, translators, transformers):
    expected, logits = np.array(transformers[kind]["logits"]), logits_of(translators[kind].model)
    for row, theirs, target in zip(logits, expected, TARGETS, strict=True):
        T = len(target)
        np.testing.assert_allclose(without_padding(row[:T]), without_padding(theirs[:T]), atol=1e-4)


def test_transformers_finds_the_same_greedily(translator, transformers):
    ids, _, _ = found_by(translator, 1)
    assert ids == [real(row) for row in transformers["found"]["1"]["ids"]]
    assert len({tuple(row) for row in ids}) > 30


def test_transformers_finds_the_same_with_beams(translator, transformers):
    """Where the sentence ended in time: there it scores those that did not, and we do not.

    It also lets no end compete that is not among the best 4 of the 8 candidates; Tensor2Tensor and
    this package do, and so may find something better.
    """
    ids, log_probs, finished = found_by(translator, 4)
    found = transformers["found"]["4"]
    theirs, scores = [real(row) for row in found["ids"]], np.array(found["scores"])
    both = [n for n in range(len(ids)) if EOS in theirs[n] and finished[n]]
    same = [n for n in both if ids[n] == theirs[n]]
    assert len({tuple(ids[n]) for n in same}) > 5
    np.testing.assert_allclose(log_probs[same], scores[same], atol=1e-4)
    better = sorted(set(both) - set(same))
    assert len(same) > 7 * len(better)
    assert (log_probs[better] > scores[better]).all()


def test_transformers_gives_the_same_ids(kind, translators, transformers):
    answer, translator = transformers[kind], translators[kind]
    assert translator.tokenizer.tokenize(TEXTS) == [row[:-1] for row in answer["ids"]]
    assert translator.target_tokenizer.tokenize(TEXTS) == [row[:-1] for row in answer["target_ids"]]
    assert {row[-1] for row in answer["ids"]} == {EOS}
    unknown = translator.target_tokenizer.unk_id
    known = [n for n, row in enumerate(answer["target_ids"]) if unknown not in row]
    texts = translator.target_tokenizer.detokenize([answer["target_ids"][n] for n in known])
    assert len(known) > 1
    assert texts == [answer["decoded"][n] for n in known]


def test_what_transformers_saved_is_imported_too(kind, folders, translators, transformers):
    again = import_marian(folders[kind] / "saved")
    for ours, theirs in zip(again.model.weights, translators[kind].model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.tokenizer.fingerprint == translators[kind].tokenizer.fingerprint


@pytest.mark.slow
def test_an_imported_run_is_a_run(translator, tmp_path):
    translator.save(tmp_path / "run")
    loaded = Translator.load(tmp_path / "run")
    assert loaded.model.get_config()["epsilon"] == 1e-5
    assert loaded.about == {
        "imported_from": "Marian checkpoint 0",
        "source_language": "eng",
        "target_language": "fra",
    }
    assert loaded.max_source_length == CONFIG["max_position_embeddings"]
    for side in ("tokenizer", "target_tokenizer"):
        ours, theirs = getattr(loaded, side), getattr(translator, side)
        assert type(ours) is MarianTokenizer
        assert ours.fingerprint == theirs.fingerprint
        assert ours.special_ids == {"pad_id": PAD, "bos_id": PAD, "eos_id": EOS, "unk_id": 1}
    assert loaded.tokenizer.fingerprint != loaded.target_tokenizer.fingerprint
    assert_it_scores_as_the_reference_does(loaded)
    text = (tmp_path / "run" / "target_tokenizer.model").read_text()
    (tmp_path / "run" / "target_tokenizer.model").write_text(text[:1000])
    with pytest.raises(RunError, match=r"tokenizer cannot be read: .*cannot serve as a Marian"):
        Translator.load(tmp_path / "run")


def assert_it_scores_as_the_reference_does(translator):
    sources, targets = ["the red cat", "a dog ran in the street"], ["le chat", "une rue"]
    scores = translator.score(sources, targets)
    for source, target, score in zip(sources, targets, scores, strict=True):
        source = [*translator.tokenizer.tokenize(source), EOS]
        target = [*translator.target_tokenizer.tokenize(target), EOS]
        logits = reference.logits(CONFIG, reference.tensors(CONFIG), source, [PAD, *target[:-1]])
        expected = reference.log_probs(logits)[np.arange(len(target)), target]
        np.testing.assert_allclose(score.token_log_probs, expected, atol=1e-4)


@pytest.mark.slow
def test_it_translates_to_what_its_search_finds(translator):
    texts = [text for text in TEXTS if text and not text.startswith(">>deu<<")]  # is refused
    sources = [[*row, EOS] for row in translator.tokenizer.tokenize(texts)]
    ids, log_probs, finished = found_by(translator, 4, sources, min_length=0)
    translations = translator.translate(texts, 4, length_penalty=0.0, max_length=ROOM)
    assert [one.text for one in translations] == translator.target_tokenizer.detokenize(ids)
    assert [one.finished for one in translations] == finished.tolist()
    np.testing.assert_allclose([one.score for one in translations], log_probs, atol=1e-4)


def test_it_can_be_trained_on(translator, tmp_path):
    """Padding and the start are the same id: the one is not learnt, the other is seen."""
    pairs = [("the red cat", "le chat"), ("a dog ran in the street", "un chien court dans la rue")]
    sides = translator.tokenizer, translator.target_tokenizer
    cache = TokenCache.build(InMemoryCorpus(pairs), sides[0], tmp_path, target_tokenizer=sides[1])
    inputs, labels = next(iter(TokenBatches(cache, tokens_per_batch=64, max_shapes=1).dataset()))
    loss = TokenCrossEntropy(label_smoothing=0.0, pad_id=PAD)(labels, translator.model(inputs))
    expected = []
    for pair in pairs:
        source, target = (
            [*side.tokenize(text), EOS] for side, text in zip(sides, pair, strict=True)
        )
        table = reference.logits(CONFIG, reference.tensors(CONFIG), source, [PAD, *target[:-1]])
        expected.extend(reference.log_probs(table)[np.arange(len(target)), target])
    assert float(loss) == pytest.approx(-np.mean(expected), abs=1e-4)


def test_ctranslate2_computes_the_same(kind, translators, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2")
    translator = translators[kind]
    export_ctranslate2(translator, tmp_path / "ct2")
    other = ctranslate2.Translator(str(tmp_path / "ct2"), compute_type="float32", intra_threads=1)
    sides = (translator.tokenizer, SOURCES[:7]), (translator.target_tokenizer, TARGETS[:7])
    sources, targets = (
        [[side.id_to_token(id) for id in row if id not in (PAD, EOS)] for row in rows]
        for side, rows in sides
    )
    config, tensors = config_of(kind), reference.tensors(config_of(kind))
    results = other.score_batch(sources, targets)
    for result, source, target in zip(results, SOURCES, TARGETS, strict=False):
        table = reference.log_probs(reference.logits(config, tensors, source, target))
        expected = table[np.arange(len(target)), [*target[1:], EOS]]
        np.testing.assert_allclose(result.log_probs, expected, atol=1e-4)
    (found,) = other.translate_batch(sources[:1], beam_size=4)
    assert "<pad>" not in found.hypotheses[0]


@pytest.fixture
def copy(folders, tmp_path):
    """A checkpoint to damage."""
    shutil.copytree(folders["swish"], tmp_path / "copy")
    return tmp_path / "copy"


def change_config(name="config.json", **changes):
    def change(folder):
        facts = json.loads((folder / name).read_text(encoding="utf-8"))
        reference.write_json(folder / name, {**facts, **changes})

    return change


def change_tensors(function):
    def change(folder):
        tensors = reference.tensors(CONFIG)
        function(tensors)
        reference.write_safetensors(folder / "model.safetensors", tensors)

    return change


def remove(name):
    return lambda folder: (folder / name).unlink()


def replace(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def change_table(names):
    """Some tokens have other names."""

    def change(folder):
        table = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        changed = {names.get(token, token): id for token, id in table.items()}
        assert len(changed) == len(table)
        assert changed != table
        reference.write_json(folder / "vocab.json", changed)

    return change


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def leave_only(name):
    """The weights are there in another form."""

    def change(folder):
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(b"?")

    return change


TENSOR = "model.decoder.layers.1.fc1.weight"
POSITIONS = "model.encoder.embed_positions.weight"
DAMAGES = {
    "no folder": (shutil.rmtree, FileNotFoundError, r"no .*config.json, so .*copy is not a Marian"),
    "T5": (change_config(model_type="t5"), ValueError, "Expected model_type 'marian'.*'t5'"),
    "half a config": (
        cut("config.json", 20),
        ValueError,
        "config.json is not JSON .*Copy it again",
    ),
    "a list": (replace("config.json", b"[1]"), ValueError, "must hold a JSON object.*list"),
    "no size": (change_config(d_model=None), ValueError, "must set d_model to an integer.*None"),
    "no dropout": (change_config(dropout=None), ValueError, "must set dropout to a number.*None"),
    "activations": (change_config(activation_function=["relu"]), ValueError, "must set activation"),
    "target size": (
        change_config(share_encoder_decoder_embeddings=False, decoder_vocab_size="101"),
        ValueError,
        "set decoder_vocab_size to an integer.*'101'",
    ),
    "no layers": (
        change_config(encoder_layers=0),
        ValueError,
        "encoder_layers to .*at least 1.*: 0",
    ),
    "uneven": (
        change_config(decoder_ffn_dim=19),
        ValueError,
        "different values for encoder_ffn_dim and decoder_ffn_dim.*Received: 17 and 19",
    ),
    "activation": (
        change_config(activation_function="gelu_new"),
        ValueError,
        "relu, gelu, swish, silu. Received: 'gelu_new'",
    ),
    "start": (
        change_config("generation_config.json", decoder_start_token_id=EOS),
        ValueError,
        "vocab.json are not a tokenizer. The special ids must be different.*bos_id=0",
    ),
    "pickle": (
        leave_only("pytorch_model.bin"),
        FileNotFoundError,
        r"pytorch_model.bin is a pickle, .*MarianMTModel.from_pretrained\(d\).save_pretrained\(d",
    ),
    "parts": (
        leave_only("model.safetensors.index.json"),
        FileNotFoundError,
        "split into several files",
    ),
    "no weights": (remove("model.safetensors"), FileNotFoundError, "copy the whole checkpoint"),
    "half the weights": (
        cut("model.safetensors", 30_000),
        ValueError,
        "model.safetensors is not a complete safetensors file.*Copy it again",
    ),
    "missing tensor": (
        change_tensors(lambda tensors: tensors.pop(TENSOR)),
        ValueError,
        f"has no tensor {TENSOR}",
    ),
    "another shape": (
        change_tensors(lambda tensors: tensors.update({TENSOR: tensors[TENSOR].T})),
        ValueError,
        rf"{TENSOR} should have the shape \(17, 26\). Received: \(26, 17\)",
    ),
    "more tensors": (
        change_tensors(lambda tensors: tensors.update(adapter=np.ones(3))),
        ValueError,
        "has tensors that a `MarianMTModel` does not have, such as adapter",
    ),
    "untied": (
        change_tensors(lambda tensors: tensors.update({"lm_head.weight": np.ones((97, 26))})),
        ValueError,
        "different tensors model.shared.weight and lm_head.weight",
    ),
    "learnt positions": (
        change_tensors(lambda tensors: tensors.update({POSITIONS: np.ones((67, 26))})),
        ValueError,
        f"{POSITIONS} that are not Marian's sinusoids",
    ),
    "no pieces": (remove("target.spm"), FileNotFoundError, "There is no .*target.spm"),
    "half the pieces": (
        cut("source.spm", 700),
        ValueError,
        "source.spm and vocab.json are not a tokenizer. Expected a complete SentencePiece model",
    ),
    "no table": (remove("vocab.json"), FileNotFoundError, "There is no .*vocab.json"),
    "a table with holes": (
        change_config("vocab.json", cat=99),
        ValueError,
        "must give its 98 tokens, <unk> among them, the ids 0 to 97",
    ),
    "no end": (
        change_table({"</s>": "</S>"}),
        ValueError,
        "vocab.json must give </s> the id 0, the eos_token_id of config.json, but lacks it",
    ),
    "another end": (
        change_table({"</s>": "a", "a": "</s>"}),
        ValueError,
        "must give </s> the id 0, the eos_token_id of config.json, but gives it [1-9]",
    ),
    "a table of strings": (change_config("vocab.json", cat="97"), ValueError, "must give its 98"),
    "too many tokens": (
        change_config("vocab.json", cat=97),
        ValueError,
        "The source tokenizer has 98 ids, but the model's source vocabulary has 97",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_cannot_be_imported_is_refused(name, copy):
    damage, error, message = DAMAGES[name]
    damage(copy)
    with pytest.raises(error, match=message):
        import_marian(copy)


def test_what_is_also_in_the_file_must_be_the_same(copy, translator):
    """Older checkpoints hold positions, and one table under several names."""
    tensors = reference.tensors(CONFIG)
    tensors[POSITIONS] = reference.positions(67, 26)
    for name in ("lm_head.weight", "model.decoder.embed_tokens.weight"):
        tensors[name] = tensors["model.shared.weight"]
    del tensors["final_logits_bias"]
    reference.write_safetensors(copy / "model.safetensors", tensors)
    model = import_marian(copy).model
    bias = np.asarray(model.target_embedding.bias)
    assert np.flatnonzero(bias).tolist() == [PAD]
    np.testing.assert_array_equal(
        model.source_embedding.tokens.embeddings,
        translator.model.source_embedding.tokens.embeddings,
    )


def test_every_piece_of_a_long_text_names_its_language(translator):
    text = ">>fra<< a red dog. the cat. a dog. the red cat. a dog. the street."
    limited = Translator(translator.model, translator.tokenizer, max_source_length=13)
    pieces = limited.split(text)
    assert len(pieces) > 2
    for piece in pieces:
        ids = limited.tokenizer.tokenize(piece)
        assert ids[0] == limited.tokenizer.token_to_id(">>fra<<")
        assert 1 < len(ids) < 13
    assert " ".join(piece.removeprefix(">>fra<< ") for piece in pieces) == text[8:]
    assert limited.split(">>fra<<  a dog") == [">>fra<<  a dog"]
