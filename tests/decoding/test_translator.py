import json

import keras
import keras_hub
import numpy as np
import pytest

from keras_transformer import RunError, TokenCrossEntropy, Tokenizer, Translator
from keras_transformer.text import ForeignTokenizer
from tests.decoding.conftest import LIMIT, WORDS, make_model, sentences


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        assert one.text == other.text
        assert one.finished == other.finished
        assert one.score == pytest.approx(other.score, abs=1e-3)


def test_translations_depend_on_the_text(translator, texts):
    translations = translator.translate(texts)
    assert len({translation.text for translation in translations}) > 5
    assert {translation.finished for translation in translations} == {True, False}


def test_results_come_in_order_and_do_not_depend_on_company(translator, texts):
    together = translator.translate(texts)
    alone = [translator.translate([text])[0] for text in texts]
    assert_same(together, alone)
    order = np.random.default_rng(4).permutation(len(texts))
    shuffled = translator.translate([texts[place] for place in order])
    assert_same(shuffled, [together[place] for place in order])
    assert_same(translator.translate(texts * 3)[19:38], together)


def test_a_translation_may_be_50_tokens_longer_than_its_text(translator, texts, monkeypatch):
    rows = []
    detokenize = translator.target_tokenizer.detokenize
    monkeypatch.setattr(
        translator.target_tokenizer, "detokenize", lambda ids: rows.extend(ids) or detokenize(ids)
    )
    unfinished = 0
    for text in texts[:7]:
        (translation,) = translator.translate([text])
        length = sum(id != 0 for id in rows[-1])
        most = len(translator.tokenizer.tokenize(text)) + 1 + 50
        assert length < most if translation.finished else length == most
        unfinished += not translation.finished
    assert unfinished


def test_an_empty_text_has_an_empty_translation(translator, texts):
    results = translator.translate(["", texts[0], " \t\n", "\u00a0"])
    assert [result.text for result in results[:1] + results[2:]] == ["", "", ""]
    assert results[0].score == 0
    assert results[0].finished
    assert_same(results[1:2], translator.translate(texts[:1]))
    assert translator.translate([]) == []


def test_a_long_text_is_translated_in_pieces(translator):
    sentence = "one two three four five six. "
    text = (sentence * 17).strip()
    pieces = translator.split(text)
    assert len(pieces) > 3
    assert all(len(translator.tokenizer.tokenize(piece)) < LIMIT for piece in pieces)
    assert " ".join(pieces) == text
    parts = translator.translate(pieces)
    (whole,) = translator.translate([text])
    assert whole.text == " ".join(part.text for part in parts)
    assert whole.score == pytest.approx(sum(part.score for part in parts), abs=1e-3)
    assert whole.finished == all(part.finished for part in parts)


def test_the_limit_counts_eos(translator):
    text = "one"
    while len(translator.tokenizer.tokenize(f"{text} two")) < LIMIT:
        text += " two"
    assert len(translator.split(text)) == 1
    assert len(translator.split(f"{text} two")) == 2


def test_progress_is_told(translator, texts):
    told = []
    translator.translate([*texts, ""], lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] >= 19
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_shape_is_compiled_once(tokenizer, texts):
    traces = []

    class Counting(type(make_model(5))):
        def encode(self, source):
            traces.append(tuple(source.shape))
            return super().encode(source)

    model = Counting.from_config(make_model(tokenizer.vocabulary_size()).get_config())
    translator = Translator(model, tokenizer, max_source_length=LIMIT)
    translator.translate(texts)
    first = list(traces)
    assert len(first) == len(set(first)) <= 2
    for seed in (5, 6):
        translator.translate(sentences(19, seed))
    assert len(traces) == len(set(traces)) <= 4


def test_new_weights_are_used(tokenizer, texts):
    model = make_model(tokenizer.vocabulary_size())
    translator = Translator(model, tokenizer, max_source_length=LIMIT)
    before = translator.translate(texts[:3])
    model.compile(keras.optimizers.SGD(3.0), loss=TokenCrossEntropy(), jit_compile=False)
    ids = np.random.default_rng(1).integers(4, 300, (3, 7)).astype("int32")
    model.fit({"source": ids, "target": ids}, ids, verbose=0)
    after = translator.translate(texts[:3])
    assert [t.score for t in after] != [t.score for t in before]
    assert_same(after, Translator(model, tokenizer, max_source_length=LIMIT).translate(texts[:3]))


@pytest.mark.parametrize("texts", ["one two", [b"one"], ["one", None]])
def test_texts_are_a_list_of_strings(translator, texts):
    with pytest.raises(TypeError, match="`texts` must be a list of strings, one text each"):
        translator.translate(texts)


def test_a_tokenizer_with_more_ids_than_the_model_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"source tokenizer has 307 ids, but .* has 293: use the"):
        Translator(make_model(293), tokenizer)
    model = make_model(307, target_vocabulary_size=293)
    with pytest.raises(ValueError, match=r"target tokenizer has 307 ids, but .* has 293: use the"):
        Translator(model, tokenizer)


def test_a_foreign_tokenizer_serves(texts):
    words = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS]
    hub = keras_hub.tokenizers.WordPieceTokenizer(vocabulary=words, oov_token="[UNK]")
    tokenizer = ForeignTokenizer(hub, pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    translator = Translator(make_model(len(words), seed=14), tokenizer, max_source_length=LIMIT)
    results = translator.translate([*texts, ""])
    assert results[-1].text == ""
    assert len({result.text for result in results}) > 5
    assert_same(results[:19], [translator.translate([text])[0] for text in texts])


def test_a_foreign_tokenizer_cannot_be_saved(tmp_path):
    words = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", *WORDS]
    hub = keras_hub.tokenizers.WordPieceTokenizer(vocabulary=words, oov_token="[UNK]")
    tokenizer = ForeignTokenizer(hub, pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    translator = Translator(make_model(len(words)), tokenizer)
    with pytest.raises(TypeError, match=r"Received: ForeignTokenizer\. Keep it in a file"):
        translator.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_saved_is_loaded(translator, texts, tmp_path):
    translator.about = {"source_language": "en", "seed": 5}
    translator.save(tmp_path / "a" / "run")
    loaded = Translator.load(tmp_path / "a" / "run")
    assert_same(translator.translate(texts), loaded.translate(texts))
    assert loaded.max_source_length == LIMIT
    assert loaded.about == {"source_language": "en", "seed": 5}
    names = sorted(path.name for path in (tmp_path / "a" / "run").iterdir())
    assert names == ["model.weights.h5", "run.json", "tokenizer.model"]


def test_two_vocabularies_are_saved_and_loaded(tokenizer, texts, tmp_path):
    target = Tokenizer.train(["un deux trois", "quatre cinq sept"], 277, model_type="bpe")
    model = make_model(307, target_vocabulary_size=277, num_decoder_layers=1)
    translator = Translator(model, tokenizer, target, max_source_length=LIMIT)
    translator.save(tmp_path)
    loaded = Translator.load(tmp_path)
    assert loaded.target_tokenizer.vocabulary_size() == 277
    assert_same(translator.translate(texts), loaded.translate(texts))


@pytest.mark.parametrize("changes", [
    {"norm": "pre", "positions": "learned"}, {"positions": "t2t", "dtype": "mixed_bfloat16"},
])  # fmt: skip
def test_every_kind_of_model_is_saved_and_loaded(changes, tokenizer, tmp_path):
    model = make_model(307, **changes)
    Translator(model, tokenizer).save(tmp_path)
    loaded = Translator.load(tmp_path).model
    assert loaded.get_config() | {"name": ""} == model.get_config() | {"name": ""}
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_run_json_tells_what_there_is(translator, tmp_path):
    translator.save(tmp_path)
    description = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert description["format_version"] == 1
    assert description["model"]["d_model"] == 12
    assert description["special_ids"] == {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    assert {"keras", "keras-transformer"} <= set(description["versions"])


def test_the_optimizer_is_not_in_the_run(tokenizer, tmp_path):
    model = make_model(307)
    Translator(model, tokenizer).save(tmp_path / "before")
    model.compile(keras.optimizers.Adam(), loss=TokenCrossEntropy(), jit_compile=False)
    ids = np.full((3, 7), 5, "int32")
    model.fit({"source": ids, "target": ids}, ids, verbose=0)
    optimizer = model.optimizer
    Translator(model, tokenizer).save(tmp_path / "after")
    before, after = (
        (tmp_path / name / "model.weights.h5").stat().st_size for name in ("before", "after")
    )
    assert after < 1.1 * before
    assert model.optimizer is optimizer


@pytest.mark.parametrize("kept", [0, 1, 600, 40_000])
def test_weights_that_were_cut_off_are_an_error(translator, tmp_path, kept):
    translator.save(tmp_path)
    path = tmp_path / "model.weights.h5"
    assert path.stat().st_size > kept
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RunError, match=r"model\.weights\.h5 is damaged or belongs") as caught:
        Translator.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [
    {"model": [1, 2]}, {"model": {"vocabulary_size": 307, "norm": "middle"}}, {"model": None},
    {"dtype": "float3"}, {"dtype": None, "model": {"vocabulary_size": -3}},
    {"max_source_length": "long"}, {"shared_vocabulary": None, "model": {"vocabulary_size": [3]}},
])  # fmt: skip
def test_odd_values_in_run_json_are_an_error(translator, tmp_path, changes):
    translator.save(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(RunError, match=r"run\.json does not describe a model"):
        Translator.load(tmp_path)


def test_a_run_of_two_vocabularies_needs_both(tokenizer, tmp_path):
    target = Tokenizer.train(["un deux trois", "quatre cinq sept"], 277, model_type="bpe")
    Translator(make_model(307, target_vocabulary_size=277), tokenizer, target).save(tmp_path)
    (tmp_path / "target_tokenizer.model").unlink()
    with pytest.raises(RunError, match=r"tokenizer cannot be read: .*target_tokenizer\.model"):
        Translator.load(tmp_path)


def test_a_text_of_which_no_token_is_left_has_an_empty_translation(translator):
    assert [result.text for result in translator.translate(["\u200b", "\x08"])] == ["", ""]


def test_model_and_tokenizer_pad_alike(tokenizer):
    with pytest.raises(ValueError, match=r"must pad with the same id.*model 3, source 0, target 0"):
        Translator(make_model(tokenizer.vocabulary_size(), pad_id=3), tokenizer)


@pytest.mark.parametrize(("limit", "possible"), [(14, True), (16, True), (17, False)])
def test_learned_positions_must_reach(tokenizer, limit, possible):
    """16 source positions have results of up to 66 tokens, 17 are padded to 32."""
    model = make_model(tokenizer.vocabulary_size(), positions="learned", max_length=67)
    if possible:
        assert Translator(model, tokenizer, max_source_length=limit)
        return
    with pytest.raises(ValueError, match="has learnt 67 positions, but sources of up to 17"):
        Translator(model, tokenizer, max_source_length=limit)


def test_a_source_has_room_for_a_token_and_the_end(tokenizer):
    with pytest.raises(ValueError, match=r"`max_source_length` must be at least 2.*Received: 1"):
        Translator(make_model(tokenizer.vocabulary_size()), tokenizer, max_source_length=1)
