"""OPUS-MT models on every way out: live, a SavedModel elsewhere, `.keras`, CTranslate2.

Tokenizers and configurations are released ones, weights are random; `tests/formats/opus_mt.py` says
which environment variables name them. With KERAS_TRANSFORMER_OPUS_MT_RELEASES=en-mg,fr-en both
releases are tried, with KERAS_TRANSFORMER_OPUS_MT_TEXTS=500 so many texts.
"""

import json
import os
import sys

import keras
import pytest

import keras_transformer as kt
from keras_transformer.text import load_tokenizer
from tests.formats import opus_mt
from tests.formats.opus_mt import LANGUAGES, NAMES
from tests.system.test_served import BEAMS, ask, client, compare, export, run

pytestmark = pytest.mark.slow
__all__ = ["client"]

COUNT = int(os.environ.get("KERAS_TRANSFORMER_OPUS_MT_TEXTS", "37"))
RELEASES = os.environ.get("KERAS_TRANSFORMER_OPUS_MT_RELEASES", NAMES[0]).split(",")
ROOM = 50  # tokens that a translation may have more than its text
SEARCH = {"beam_size": BEAMS, "top_beams": BEAMS}


@pytest.fixture(scope="module")
def texts():
    """Lines of several languages, odd ones, and some that are translated in pieces."""
    some = opus_mt.lines(99)
    # A word without end is cut elsewhere in a graph, and the last two have an unknown language.
    odd = [text for text in opus_mt.ODD[:-2] if len(text) < 1000]
    long = [" ".join([LANGUAGES[0], *some[n : n + 60]]) for n in range(2)]
    some = some[: COUNT - len(odd) - len(long)]
    tagged = [f"{LANGUAGES[n % 2]} {text}" if n % 3 else text for n, text in enumerate(some)]
    return tagged + odd + long


@pytest.fixture(scope="module", params=RELEASES)
def checkpoint(request, tmp_path_factory):
    return opus_mt.write_checkpoint(
        tmp_path_factory.mktemp("opus") / request.param, request.param, *sizes()
    )


def sizes():
    """Reduction of the widths, number of layers, bias of the end; "1,6,6" is the release."""
    return map(int, os.environ.get("KERAS_TRANSFORMER_OPUS_MT_SIZES", "8,2,52").split(","))


@pytest.fixture(scope="module")
def imported(checkpoint):
    """By the command line."""
    of, folder = checkpoint, checkpoint.with_name("run")
    run(sys.executable, "-m", "keras_transformer", "import", "--from", of, "--output", folder)
    return folder


@pytest.fixture(scope="module")
def translator(imported):
    return kt.Translator.load(imported)


@pytest.fixture(scope="module")
def translations(translator, texts):
    """They end, and differ, as those of a trained model."""
    found = translator.translate(texts, **SEARCH)
    assert sum(one.finished for one in found) > 0.9 * len(texts)
    assert len({one.text for one in found}) > 0.5 * len(texts)
    return found


def test_a_client_without_the_package_is_served_the_same(
    client, imported, texts, translations, capsys
):
    folder = export(imported, imported.with_name("served") / "1")
    compare(ask(client, folder, texts, {1: 3, 64: len(texts)}), translations, capsys)


def test_a_keras_file_translates_the_same(imported, texts, translations):
    of, folder = imported, imported.with_name("keras")
    command = (sys.executable, "-m", "keras_transformer", "export", "--run", of)
    run(*command, "--format", "keras", "--output", folder)
    model = keras.saving.load_model(folder / "model.keras")
    sides = [load_tokenizer(folder / f"{side}.model") for side in ("tokenizer", "target_tokenizer")]
    longest = json.loads((folder / "translator.json").read_text())["max_source_length"]
    loaded = kt.Translator(model, *sides, max_source_length=longest)
    found = loaded.translate(texts, **SEARCH)
    assert [one.text for one in found] == [one.text for one in translations]
    scores = [one.score for one in translations]
    assert [one.score for one in found] == pytest.approx(scores, abs=1e-4)


def test_ctranslate2_finds_the_same(imported, translator, texts, capsys):
    """Greedily all; with beams, what differs is less probable there, or a tie.

    Its search lets fewer candidates compete (`docs/migrating.md`). To a random model many are
    about equally probable, so more differ than with a trained one.
    """
    pytest.importorskip("ctranslate2")
    other, ties, worse, far = kt.Translator.load(imported, "ctranslate2"), 0, 0, 0.0
    for beam_size in (1, BEAMS):
        options = {"beam_size": beam_size, "length_penalty": 0.6}
        found, wanted = (one.translate(texts, **options) for one in (other, translator))
        for one, expected in zip(found, wanted, strict=True):
            if one.text == expected.text:
                far = max(far, abs(one.score - expected.score))
            elif abs(one.score - expected.score) < 1e-4:
                ties += 1
            else:
                assert beam_size > 1
                worse += one.score < expected.score
                assert one.score < expected.score
    with capsys.disabled():
        print(f"\nCTranslate2: greedy and {BEAMS} beams of {len(texts)} texts: {ties} ties, "
              f"{worse} less probable ones, other scores at most {far:.1e} apart")  # fmt: skip
    assert far < 1e-4
    assert ties < len(texts) / 50
    assert worse < len(texts) / 4


def test_transformers_finds_the_same_greedily(checkpoint, translator, texts, tmp_path, capsys):
    whole = [text for text in texts if len(translator.split(text)) == 1]
    answer = opus_mt.ask_transformers(checkpoint, tmp_path, translate=whole, room=ROOM)
    found, ended = translator.translate(whole, beam_size=1), 0
    tokens = translator.target_tokenizer.tokens
    for one, ids, text in zip(found, answer["ids"], answer["translations"], strict=True):
        ours = one.hypotheses[0].tokens
        assert tuple(tokens[id] for id in ids[: len(ours)]) == ours
        if one.finished:
            ended += 1
            assert text == one.text
    assert ended > 0.5 * len(whole)
    with capsys.disabled():
        print(f"\nTransformers: {len(whole)} greedy translations have the same tokens, and the "
              f"{ended} that end are the same strings")  # fmt: skip
