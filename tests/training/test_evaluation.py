import gzip
import os
import re
from pathlib import Path

import pytest
import sacrebleu

from keras_transformer.training.bleu import make_bleu
from keras_transformer.training.evaluation import (
    exact_match,
    moses_bleu,
    moses_tokens,
    report,
    word_agreement,
)

MULTI30K = os.environ.get("KERAS_TRANSFORMER_MULTI30K", "")
REFERENCES = ["Il dort.", "Elle mange une pomme.", "Nous partons demain matin."]
TRANSLATIONS = ["Il dort.", "Il mange une pomme.", "Nous partons demain matin."]


def test_exact_match_is_a_share_in_percent():
    assert exact_match(TRANSLATIONS, REFERENCES) == pytest.approx(200 / 3)
    assert exact_match(REFERENCES, REFERENCES) == 100
    assert exact_match(["a "], ["a"]) == 0
    with pytest.raises(ValueError, match=r"at least one translation\. Received none\.$"):
        exact_match([], [])


def test_words_agree_where_both_sides_use_the_same():
    assert word_agreement(TRANSLATIONS, REFERENCES, ["il", "elle"]) == (50.0, 2)
    assert word_agreement(TRANSLATIONS, REFERENCES, ["nous"]) == (100.0, 1)
    assert word_agreement(TRANSLATIONS, REFERENCES, ["vous"]) == (0.0, 0)


@pytest.mark.parametrize(
    ("translation", "reference", "agrees"),
    [
        ("parce qu'il dort", "Parce qu\u2019il dort", True),
        ("ils dorment", "il", False),
        ("elle, puis il", "il, puis elle", False),
        ("il il", "il", False),
        ("IL", "il", True),
        ("", "elle", False),
        ("ile\u0301 il", "il", True),  # an accent as a mark of its own is a part of its word
    ],
)
def test_whole_words_in_their_order_count(translation, reference, agrees):
    share = word_agreement([translation], [reference], ["il", "elle"])
    assert share == (100.0 if agrees else 0.0, 1)


@pytest.mark.parametrize(
    ("translation", "reference", "agrees"),
    [
        ("因为它太累了", "它太累了", True),
        ("因为他太累了", "它太累了", False),
        ("他和它", "它和他", False),
        ("它們", "它", False),  # the longest word counts
        ("Keras的它", "它 Keras", True),
    ],
)
def test_words_without_spaces_are_found(translation, reference, agrees):
    share = word_agreement([translation], [reference], ["它", "他", "它們"])
    assert share == (100.0 if agrees else 0.0, 1)


@pytest.mark.parametrize(
    "word", ["\u00e9t\u00e9", "e\u0301te\u0301", "\u092e\u0947\u0930\u093e", "snake_case", "3"]
)
def test_words_have_letters_marks_and_digits(word):
    assert word_agreement([f"a {word}."], [f"({word})"], [word]) == (100.0, 1)


@pytest.mark.parametrize("word", ["qu'il", "two words", "-", ""])
def test_what_is_not_one_word_is_refused(word):
    with pytest.raises(ValueError, match=r"^Expected single words to look for"):
        word_agreement(["a"], ["a"], [word])


def test_always_one_pronoun_is_right_half_the_time():
    references = ["il est là", "elle est là"] * 17
    assert word_agreement(["il est là"] * 34, references, ["il", "elle"]) == (50.0, 34)


def test_the_report_has_the_scores_of_sacrebleu():
    lines = report(TRANSLATIONS, REFERENCES, ["il", "elle"])
    bleu = sacrebleu.corpus_bleu(TRANSLATIONS, [REFERENCES]).score
    chrf = sacrebleu.corpus_chrf(TRANSLATIONS, [REFERENCES]).score
    assert lines[0] == "sentences    3"
    assert lines[1] == "exact match  66.67 %"
    assert lines[2].startswith(f"BLEU         {bleu:.2f}  (nrefs:1|case:mixed|")
    assert lines[3].startswith(f"chrF2        {chrf:.2f}  (nrefs:1|")
    assert lines[4:] == ["il, elle     50.00 % of 2 sentences that have one"]
    assert len(report(TRANSLATIONS, REFERENCES)) == 4


def test_the_report_suits_texts_without_spaces():
    references = ["我是一个学生。", "那只动物没有过马路。"]
    lines = report(references, references)
    assert lines[1] == "exact match  100.00 %"
    assert re.match(r"BLEU         100\.00  \(.*\|tok:zh\|", lines[2])
    chosen = report(references, references, bleu=make_bleu("char"))[2]
    assert re.match(r"BLEU         100\.00  \(.*\|tok:char\|", chosen)


def test_the_report_says_where_references_are_too_short():
    lines = report(["Ja!", "Wasser"], ["Ja!", "Wasser"])
    assert lines[2].startswith("BLEU         0.00")
    assert lines[4] == "Hardly a reference has the four tokens that BLEU needs: look at chrF2."


@pytest.mark.slow
def test_moses_tokens_are_lower_cased_normalised_and_not_escaped():
    assert moses_tokens(["„Er sagt: 'Ja' & geht.“", ""], "de") == [
        "\" er sagt : ' ja ' & geht . \"",
        "",
    ]


def test_bleu_of_moses_tokens_knows_no_case_and_counts_the_tokens_of_the_references():
    score = moses_bleu([text.upper() for text in REFERENCES], REFERENCES, "fr")
    assert (score.score, score.ref_len, score.ratio) == (pytest.approx(100), 3 + 5 + 5, 1)
    *_, line = report(TRANSLATIONS, REFERENCES, moses="fr")
    bleu = moses_bleu(TRANSLATIONS, REFERENCES, "fr").score
    assert line.startswith(f"BLEU         {bleu:.2f}  (lower-cased, Moses tokens for fr, 13 in the")


@pytest.mark.parametrize("language", ["FR", "french", "fr-FR", ""])
def test_moses_is_given_a_code_since_it_would_cut_by_other_rules_without_a_word(language):
    with pytest.raises(ValueError, match=f"^Expected a language code.* Received: '{language}'$"):
        moses_tokens(["l'homme"], language)
    assert moses_tokens(["l'homme"], "fr") == ["l' homme"] != moses_tokens(["l'homme"], "da")
    assert (
        "Moses tokens for da with English abbreviations, 1 in" in report(["a"], ["a"], [], "da")[-1]
    )


@pytest.mark.skipif(not MULTI30K, reason="KERAS_TRANSFORMER_MULTI30K names no folder")
def test_the_references_of_multi30k_have_the_published_number_of_tokens():
    content = Path(MULTI30K, "test_2016_flickr.de.gz").read_bytes()
    references = gzip.decompress(content).decode()
    tokens = moses_tokens(references.splitlines(), "de")
    assert sum(len(text.split()) for text in tokens) == 12_103


def test_unequal_numbers_of_sentences_are_refused():
    with pytest.raises(ValueError, match=r"(shorter|longer) than"):
        exact_match(TRANSLATIONS[:2], REFERENCES)
    with pytest.raises(ValueError, match=r"(shorter|longer) than"):
        word_agreement(TRANSLATIONS[:2], REFERENCES, ["il"])


def test_words_that_no_reference_has_are_named():
    assert report(["oui"], ["oui"], ["il", "elle"])[-1] == "il, elle     in no reference"
