"""Another translator chooses among the translations that one found."""

import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer import Hypothesis, Translation, Translator
from keras_transformer.__main__ import main
from keras_transformer.translation.results import make_translation
from tests.conftest import searches_without_xla
from tests.translation.conftest import BYTES, LIMIT, forced, make_model

COUNT = 5


@pytest.fixture(scope="module")
def scorer(tokenizer):
    model = make_model(tokenizer.vocabulary_size(), seed=23, like_eos=271, seldom=BYTES)
    with searches_without_xla():
        return Translator(model, tokenizer, max_source_length=29)


@pytest.fixture(scope="module")
def short(tokenizer, texts):
    """Texts that are translated in one part."""
    tokens = zip(texts, tokenizer.tokenize(texts), strict=True)
    return [text for text, ids in tokens if len(ids) < LIMIT][:COUNT]


@pytest.fixture(scope="module")
def found(translator, short):
    return translator.translate([*short, " "], beam_size=4, top_beams=4)


def expected_scores(scorer, text, hypotheses, penalty):
    """By forward passes of one sentence each."""
    tokenizer, scores = scorer.tokenizer, []
    source = [*tokenizer.tokenize([text])[0], 2]
    for one in hypotheses:
        tokens = [*tokenizer.tokenize([one.text])[0], 2]
        total = sum(forced(scorer.model, source, tokens))
        scores.append(total / ((5 + len(tokens)) / 6) ** penalty)
    return scores


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [0.0, 0.6])
def test_the_best_comes_first_by_the_scores_of_the_other(scorer, short, found, penalty):
    changed = 0
    ranked = kt.rescore(scorer, [*short, " "], found, penalty)
    for text, before, after in zip(short, found, ranked, strict=False):
        scores = expected_scores(scorer, text, before.hypotheses, penalty)
        order = np.argsort(np.negative(scores), kind="stable")
        assert [one.text for one in after.hypotheses] == [before.hypotheses[n].text for n in order]
        np.testing.assert_allclose([one.score for one in after.hypotheses],
                                   np.take(scores, order), atol=1e-4)  # fmt: skip
        assert (after.text, after.score) == (after.hypotheses[0].text, after.hypotheses[0].score)
        assert (after.source_tokens, after.parts) == (before.source_tokens, before.parts)
        changed += after.text != before.text
    assert changed
    assert ranked[COUNT] == found[COUNT]  # an empty text


def test_equal_texts_keep_their_order_and_are_read_once(scorer, monkeypatch):
    several = [Hypothesis(text, score, 0.0) for text, score in (("one", -3), ("two", -2))]
    asked = []
    monkeypatch.setattr(
        scorer, "score", lambda *sides: asked.append(sides) or Translator.score(scorer, *sides)
    )
    (ranked,) = kt.rescore(scorer, ["red"], [make_translation([*several, *several])])
    assert asked == [(("red", "red"), ("one", "two"))]
    assert sorted(one.text for one in several) == sorted({one.text for one in ranked.hypotheses})
    assert ranked.hypotheses[0] == ranked.hypotheses[1]


def test_a_text_of_several_parts_stays_as_it_is(scorer):
    several = [Hypothesis(text, score, 0.0) for text, score in (("one", -3), ("two", -2))]
    long = make_translation(several, parts=2)
    assert kt.rescore(scorer, ["red " * 1000], [long]) == [long]


def test_nothing_found_stays_nothing(scorer):
    assert kt.rescore(scorer, [], []) == []
    (nothing,) = kt.rescore(scorer, ["red"], [make_translation([])])
    assert (nothing.text, nothing.score) == ("", -float("inf"))


@pytest.mark.parametrize(
    ("texts", "penalty", "message"),
    [
        (["one", "two"], 0.6, "Received: 1 translations for 2 texts"),
        (["one"], -1.0, "`length_penalty` must be at least 0 and finite. Received: -1.0"),
        (["one"], float("inf"), "Received: inf"),
    ],
)
def test_what_does_not_fit_is_refused(scorer, texts, penalty, message):
    with pytest.raises(ValueError, match=message):
        kt.rescore(scorer, texts, [Translation("", 0.0)], penalty)


@pytest.fixture(scope="module")
def runs(translator, scorer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, one in (("first", translator), ("other", scorer)):
        one.save(folder / name)
    return folder


@pytest.fixture
def in_the_folder(runs, translator, scorer, monkeypatch):
    """Runs are loaded as what was saved, whose searches are compiled."""
    loaded = {"first": translator, "other": scorer}
    monkeypatch.setattr(Translator, "load", lambda path, *_, **engine: loaded[str(path)])
    monkeypatch.chdir(runs)


@pytest.mark.slow
def test_the_command_prints_what_the_other_chose(in_the_folder, scorer, short, found, capsys):
    command = ["translate", "--run", "first", "--rescore", "other"]
    ranked = kt.rescore(scorer, short, found[:COUNT])
    assert main([*command, *short]) == 0
    assert capsys.readouterr().out.splitlines() == [" ".join(t.text.splitlines()) for t in ranked]
    assert main([*command, "--top-beams", "2", short[0]]) == 0
    best = [f"1\t{one.score:.4f}\t{one.text}" for one in ranked[0].hypotheses[:2]]
    assert capsys.readouterr().out.splitlines() == best


@pytest.mark.slow
def test_a_file_knows_which_run_chose(in_the_folder, tmp_path, capsys):
    (tmp_path / "text").write_text("red cat\n")
    command = ["translate", "--run", "first", "--input", str(tmp_path / "text")]
    command += ["--output", str(tmp_path / "out"), "--rescore"]
    assert main([*command, "other"]) == 0
    assert main([*command, "first", "--resume"]) == 1
    assert "rescore" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_compares_what_the_other_chose(
    in_the_folder, scorer, short, found, tmp_path, capsys
):
    ranked = kt.rescore(scorer, short, found[:COUNT])
    for name, lines in (("s", short), ("r", [one.text for one in ranked])):
        (tmp_path / name).write_text("".join(f"{' '.join(line.splitlines())}\n" for line in lines))
    command = ["evaluate", "--run", "first", "--source", str(tmp_path / "s")]
    command += ["--reference", str(tmp_path / "r")]
    assert main([*command, "--rescore", "other"]) == 0
    assert "exact match  100.00 %" in capsys.readouterr().out
    assert main(command) == 0
    assert "exact match  100.00 %" not in capsys.readouterr().out
