"""Runs on CTranslate2: the results, limits and errors of our own engine."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest

from keras_transformer import Sampling, Translator
from keras_transformer.serving import CTranslate2Translator, conversion
from tests.conftest import ROOT
from tests.translation.conftest import BYTES, LIMIT, forced, make_model, sentences

pytest.importorskip("ctranslate2")
TEXTS = [*sentences(29, seed=2, longest=11), "", " "]


@pytest.fixture(scope="module")
def run(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    model = make_model(tokenizer.vocabulary_size(), seed=20, like_eos=285, seldom=BYTES)
    Translator(model, tokenizer, max_source_length=LIMIT, about={"seed": 3}).save(folder)
    return folder


@pytest.fixture(scope="module")
def ours(run):
    return Translator.load(run)


@pytest.fixture(scope="module")
def engine(run):
    return Translator.load(run, engine="ctranslate2")


def test_a_run_is_loaded_with_what_it_says(engine, ours):
    assert isinstance(engine, CTranslate2Translator)
    assert (engine.about, engine.max_source_length) == (ours.about, LIMIT)
    assert engine.split(" ".join(TEXTS)) == ours.split(" ".join(TEXTS))


@pytest.mark.slow
def test_greedy_translations_are_ours(engine, ours, without_xla):
    """With the same pieces, limits and scores; a beam search misses some ends with such weights."""
    ours = copy.copy(ours)
    ours.model = ours.model  # without XLA from now on
    found = engine.translate(TEXTS, 1)
    for one, other in zip(found, ours.translate(TEXTS, 1), strict=True):
        assert (one.text, one.finished, one.parts) == (other.text, other.finished, other.parts)
        assert one.source_tokens == other.source_tokens
        assert one.hypotheses[0].tokens == other.hypotheses[0].tokens
        assert one.score == pytest.approx(other.score, abs=1e-3)
    assert max(one.parts for one in found) > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"length_penalty": 0.0},
        {"length_penalty": 1.7, "beam_size": 3, "top_beams": 3},
        {"max_length": 1},
        {"max_length": 7},
        {"min_length": 13},
        {"min_length": 9, "max_length": 9},
        {"no_repeat_ngram_size": 1},
        {"prefixes": ["red cat", "two", ""] * 2 + [""]},
        {"prefixes": ["red cat", "two", ""] * 2 + [""], "min_length": 7, "max_length": 9},
    ],
    ids=str,
)
def test_hypotheses_have_our_scores_and_keep_our_limits(engine, ours, options):
    tokenizer, texts = ours.tokenizer, [*TEXTS[:6], ""]
    found = engine.translate(texts, **{"top_beams": 3, **options})
    assert sum(translation.parts == 1 for translation in found) > 3
    prefixes = options.get("prefixes", [""] * len(texts))
    for text, prefix, translation in zip(texts, prefixes, found, strict=True):
        if not text.strip():
            assert (translation.text, translation.score, translation.parts) == ("", 0.0, 1)
        if translation.parts > 1 or not text.strip():
            continue
        source = [*tokenizer.tokenize(text), 2]
        most = options.get("max_length", len(source) + 50)
        scores = [one.score for one in translation.hypotheses]
        assert scores == sorted(scores, reverse=True)
        for one in translation.hypotheses:
            ids = [tokenizer.token_to_id(token) for token in one.tokens]
            log_prob = sum(forced(ours.model, source, ids))
            normalizer = ((5 + len(ids)) / 6) ** options.get("length_penalty", 0.6)
            assert one.log_prob == pytest.approx(log_prob, abs=1e-3)
            assert one.score == pytest.approx(one.log_prob / normalizer)
            assert options.get("min_length", 0) <= len(ids) <= most
            assert one.finished == (ids[-1] == 2)
            assert one.finished or len(ids) == most
            assert 0 not in ids
            assert one.text.startswith(prefix)


def test_scores_are_ours(engine, ours):
    sources, targets = [*TEXTS[:6], "", "one"], ["two", "", *TEXTS[6:12]]
    for source, target, one in zip(sources, targets, engine.score(sources, targets), strict=True):
        ids = [*ours.tokenizer.tokenize(target), 2]
        expected = forced(ours.model, [*ours.tokenizer.tokenize(source), 2], ids)
        np.testing.assert_allclose(one.token_log_probs, expected, atol=1e-3)
        assert one.log_prob == pytest.approx(sum(one.token_log_probs))
        assert one.tokens == tuple(map(ours.tokenizer.id_to_token, ids))
    assert engine.translate([]) == engine.score([], []) == []


def test_a_translation_does_not_depend_on_its_batch(engine):
    together = engine.translate(TEXTS, top_beams=4)
    for text, expected in zip(TEXTS[:9], together, strict=False):
        (alone,) = engine.translate([text], top_beams=4)
        assert alone.text == expected.text
        assert alone.score == pytest.approx(expected.score, abs=1e-4)


def test_int8_and_copies_and_progress(run, engine):
    calls = []
    small = Translator.load(run, engine="ctranslate2", compute_type="int8")
    found = small.translate(TEXTS, progress=lambda *numbers: calls.append(numbers))
    assert len(found) == len(TEXTS)
    assert calls[-1][0] == calls[-1][1] >= len(TEXTS) - 2
    duplicate = copy.deepcopy(engine)
    assert duplicate.translate(TEXTS[:3]) == engine.translate(TEXTS[:3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": Sampling()}, r"engine ctranslate2 has no `sampling` \(--sample\)"),
        ({"return_attention": True}, "engine ctranslate2 has no `return_attention`"),
        ({"beam_size": 0}, "`beam_size` must be at least 1. Received: 0"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(engine, options, message):
    with pytest.raises(ValueError, match=message):
        engine.translate(["one"], **options)
    with pytest.raises(AttributeError, match=r"has no Keras model\. Load the run without"):
        _ = engine.model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "fast"}, "`engine` must be one of keras, ctranslate2. Received: 'fast'"),
        ({"compute_type": "int8"}, "`compute_type` is an option of the engine ctranslate2"),
        ({"engine": "ctranslate2", "compute_type": "int3"}, "float32, .*Received: 'int3'"),
    ],
)
def test_engines_and_types_are_known_ones(run, options, message):
    with pytest.raises(ValueError, match=message):
        Translator.load(run, **options)


def test_without_the_package_it_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ImportError, match=r"`pip install ctranslate2`.*extra `ctranslate2`"):
        Translator.load(run, engine="ctranslate2")


def save(tokenizer, run, seed):
    model = make_model(tokenizer.vocabulary_size(), seed=seed)
    Translator(model, tokenizer, max_source_length=LIMIT).save(run)
    return run


def folders(run):
    return sorted(path.name for path in (run / "ctranslate2").iterdir())


@pytest.mark.slow
def test_a_run_is_converted_once_and_again_when_it_changes(tokenizer, tmp_path):
    run = tmp_path / "run"
    Translator(make_model(tokenizer.vocabulary_size()), tokenizer, max_source_length=LIMIT).save(
        run
    )
    first = conversion.converted(run)
    time = (first / "model.bin").stat().st_mtime_ns
    assert conversion.converted(run) == first
    assert (first / "model.bin").stat().st_mtime_ns == time
    save(tokenizer, run, seed=7)
    second = conversion.converted(run)
    assert {first.name, second.name} == set(folders(run))
    assert (first / "model.bin").read_bytes() != (second / "model.bin").read_bytes()


def test_a_run_that_cannot_be_written_is_converted_in_the_cache_folder(
    tokenizer, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    Translator(make_model(tokenizer.vocabulary_size()), tokenizer, max_source_length=LIMIT).save(
        run
    )
    (run / "ctranslate2").write_text("a file, so that there can be no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = conversion.converted(run)
    assert place.parent == tmp_path / "cache" / "keras_transformer" / "ctranslate2"
    assert conversion.converted(run) == place
    (place / "model.bin").write_bytes((place / "model.bin").read_bytes()[:99])
    with pytest.raises(OSError, match="Delete this folder, and the run is converted again"):
        Translator.load(run, engine="ctranslate2").translate(["one"])


def test_a_run_at_a_url_is_converted_in_the_cache_folder(run, engine, tmp_path, monkeypatch):
    """Its copy is gone as soon as it is loaded."""
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    files.put([str(path) for path in run.iterdir() if path.is_file()], "/at_a_url/")
    found = Translator.load("memory://at_a_url", engine="ctranslate2")
    assert found.prepare(2, beam_size=1) == 0
    assert found.translate(TEXTS[:3], 1)[2].text == engine.translate(TEXTS[:3], 1)[2].text
    assert len(list((tmp_path / "cache" / "keras_transformer" / "ctranslate2").iterdir())) == 1


@pytest.mark.slow
def test_two_processes_at_once_convert_it_once(tokenizer, tmp_path):
    run = tmp_path / "run"
    Translator(make_model(tokenizer.vocabulary_size()), tokenizer, max_source_length=LIMIT).save(
        run
    )
    command = [sys.executable, "-m", "keras_transformer", "translate", "--run", str(run)]
    command += ["--engine", "ctranslate2", "one two three"]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in started]
    assert outputs[0] == outputs[1] != ""
    assert [process.returncode for process in started] == [0, 0]
    (name,) = folders(run)
    config = json.loads((run / "ctranslate2" / name / "config.json").read_text())
    assert config["max_positions"] is None
