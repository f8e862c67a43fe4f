"""Systems compared as sacreBLEU compares them."""

import pytest
import sacrebleu
from sacrebleu.significance import PairedTest

from keras_transformer.training.bleu import make_bleu
from keras_transformer.training.comparison import Measure, compare

REFERENCES = [f"Le chat numéro {n} dort sur le tapis de la maison {n % 5}." for n in range(40)]
FIRST = [line.replace("dort", "court") if n % 3 == 0 else line for n, line in enumerate(REFERENCES)]
SECOND = [line[:20] if n % 4 else line for n, line in enumerate(REFERENCES)]
THIRD = [line.replace("chat", "chien") if n % 3 == 1 else line for n, line in enumerate(REFERENCES)]
CHINESE = ["我是一个学生。", "他今天不在家里。"]


def paired(kind, systems):
    """The results of sacreBLEU when it is called directly."""
    metrics = {"BLEU": sacrebleu.BLEU(), "chrF": sacrebleu.CHRF(), "TER": sacrebleu.TER()}
    named = [(f"system {n}", lines) for n, lines in enumerate(systems)]
    return PairedTest(named, metrics, [REFERENCES], kind)()[1]


@pytest.mark.slow
def test_scores_intervals_and_p_values_are_those_of_sacrebleu():
    systems = [FIRST, SECOND, THIRD]
    found = compare(systems, REFERENCES)
    bootstrap, randomization = paired("bs", systems), paired("ar", systems)
    assert [*found[0]] == ["BLEU", "chrF2", "TER"]
    for name, metric in (
        ("BLEU", sacrebleu.BLEU()), ("chrF2", sacrebleu.CHRF()), ("TER", sacrebleu.TER())
    ):  # fmt: skip
        for number, lines in enumerate(systems):
            measure, one = found[number][name], bootstrap[name][number]
            score = metric.corpus_score(lines, [REFERENCES])
            expected = Measure(
                one.score, str(metric.get_signature()), one.mean, one.ci, one.p_value,
                randomization[name][number].p_value,
            )  # fmt: skip
            assert measure == expected
            assert measure.score == score.score
    assert found[0]["BLEU"].bootstrap_p is found[0]["BLEU"].randomization_p is None
    assert found[1]["BLEU"].bootstrap_p < 0.01 < 0.05 < found[2]["TER"].randomization_p


@pytest.mark.slow
def test_the_seed_is_fixed_whatever_the_environment_says(monkeypatch):
    expected = compare([FIRST, SECOND], REFERENCES)
    monkeypatch.setenv("SACREBLEU_SEED", "77")
    assert compare([FIRST, SECOND], REFERENCES) == expected
    assert paired("bs", [FIRST, SECOND])["BLEU"][1].mean != expected[1]["BLEU"].mean


@pytest.mark.slow
def test_the_same_translations_are_not_significantly_different():
    """sacreBLEU would return its lowest p-value."""
    assert paired("bs", [FIRST, FIRST])["BLEU"][1].p_value < 0.001
    first, second = compare([FIRST, [*FIRST]], REFERENCES)
    for name in first:
        assert (second[name].bootstrap_p, second[name].randomization_p) == (1.0, 1.0)
        assert second[name].score == first[name].score


def test_scripts_without_spaces_are_split_for_ter():
    wrong = ["我是一个老师。", CHINESE[1]]
    (measures,) = compare([wrong], CHINESE, make_bleu("auto", "zh"))
    assert "|tok:zh|" in measures["BLEU"].signature
    assert "|asian:yes|" in measures["TER"].signature
    assert 0 < measures["TER"].score < 25  # 2 of 15 characters, not 1 of 2 sentences
    (measures,) = compare([FIRST], REFERENCES)
    assert "|asian:no|" in measures["TER"].signature


@pytest.mark.parametrize(
    ("systems", "references", "message"),
    [
        ([["a"], ["a", "b"]], ["a"], "Received: 2 translations for 1 references"),
        ([[]], [], "Received: 0 translations for 0 references"),
    ],
)
def test_unequal_numbers_of_lines_are_refused(systems, references, message):
    with pytest.raises(ValueError, match=message):
        compare(systems, references)
