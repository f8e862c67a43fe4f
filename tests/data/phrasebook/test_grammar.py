"""French and English rules, read off the finished sentences."""

import re
import shutil
import subprocess
from random import Random

import pytest

from keras_transformer.data.phrasebook import coreference, french
from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.lexicon import nouns, verbs
from keras_transformer.data.phrasebook.patterns import EVERYDAY
from keras_transformer.data.phrasebook.words import Noun

NOT_FRENCH = {
    "no elision": r"\b(?i:je|ne|de|le|la|que|me|se) (?!huit|haut|y\w)[aâàeéèêiîoôuhyœ]",
    "no elision of si": r"\bsi il",
    "no contraction": r"\b(?i:de|à) les? ",
    "de des": r"\bde des\b",
    "no space before a mark": r"[^ ][?!]",
    "a space before a comma or a full stop": r" [,.]",
    "hiatus after a determiner": r"\b(?:ce|ma|sa) [aâàeéèêiîoôuœ](?!st |tait )",
    "doubled word": r"\b(\w+) \1\b",
    "typographic apostrophe": "’",
}
NOT_ENGLISH = {
    "a before a vowel": r"\b[Aa] [aeiou]",
    "an before a consonant": r"\b[Aa]n [^aeiou]",
    "he with a base form": r"^(He|She|Paul|Marie) (eat|drink|buy|write|watch|take|have|go)\b",
    "doubled word": r"\b(\w+) \1\b",
    "typographic apostrophe": "’",
    "no capital": r"^[a-z]",
}
FEMININE_PLURAL = r"\b(?:femmes|filles|sœurs|tantes|grands-mères) (?:ne )?sont (?:pas )?"


@pytest.mark.parametrize("rule", NOT_FRENCH)
def test_no_french_sentence_breaks(rule, every_pair):
    assert [t for _, t in every_pair if re.search(NOT_FRENCH[rule], t)] == []


@pytest.mark.parametrize("rule", NOT_ENGLISH)
def test_no_english_sentence_breaks(rule, every_pair):
    assert [s for s, _ in every_pair if re.search(NOT_ENGLISH[rule], s)] == []


def test_every_french_word_is_in_the_dictionary(every_pair):
    if shutil.which("hunspell") is None:
        pytest.skip("the hunspell command is missing (packages hunspell and hunspell-fr)")
    text = "\n".join(sorted({word for _, target in every_pair for word in target.split()}))
    command = ["hunspell", "-d", "fr", "-i", "utf-8", "-l"]
    out = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert out.stdout.split() == []


def test_the_dictionary_would_report_a_wrong_form():
    if shutil.which("hunspell") is None:
        pytest.skip("the hunspell command is missing (packages hunspell and hunspell-fr)")
    command = ["hunspell", "-d", "fr", "-i", "utf-8", "-l"]
    out = subprocess.run(command, input="nageont", capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["nageont"]


def of_one_gender():
    """Every noun of the lexicon whose spelling has one gender, with that gender."""
    entries = [entry for value in vars(nouns).values() if isinstance(value, tuple)
               for entry in value if isinstance(entry, Noun)]  # fmt: skip
    genders = {}
    for noun in entries:
        genders.setdefault(noun.fr, set()).add(noun.gender)
    return {word: found.pop() for word, found in genders.items() if len(found) == 1}


def test_articles_agree_with_their_nouns(every_pair):
    gender_of = of_one_gender()
    pattern = re.compile(r"\b(le|la|un|une|du|au|cette|ma|ta|sa) ([\wœ-]+)")
    feminine = {"la", "une", "cette", "ma", "sa"}
    for _, target in every_pair:
        for article, noun in pattern.findall(target.lower()):
            if noun in gender_of:
                assert (article in feminine) == (gender_of[noun] == "f"), target


def test_participles_with_etre_agree(every_pair):
    plural = re.compile(FEMININE_PLURAL + r"(allé|arrivé|resté|retourné|revenu)(\w*)")
    single = re.compile(r"\b[Ee]lle (?:ne |n')?est (?:pas )?(allé|arrivé|resté|revenu)(\w*)")
    for pattern, ending in ((plural, "es"), (single, "e")):
        found = [match for _, target in every_pair for match in pattern.findall(target)]
        assert len(found) >= 20
        assert {match[1] for match in found} == {ending}


@pytest.mark.parametrize("count_word", ["de", "combien de", "pas de", "beaucoup de"])
def test_de_is_contracted_with_the_article_only(count_word):
    assert french.polish(f"{count_word} le pain") == f"{count_word[:-2]}du pain".capitalize()
    assert french.polish(f"{count_word} pain") == f"{count_word} pain".capitalize()


@pytest.mark.parametrize("pattern", [*EVERYDAY, *coreference.PATTERNS])
def test_every_pattern_draws_by_seed_and_has_a_name_of_its_own(pattern):
    first, second = Draw(Random(7)), Draw(Random(7))
    assert [pattern(first) for _ in range(3)] == [pattern(second) for _ in range(3)]
    names = [p.__name__ for p in (*EVERYDAY, *coreference.PATTERNS)]
    assert names.count(pattern.__name__) == 1
    assert pattern.__doc__


@pytest.mark.parametrize(
    ("verb", "present", "participle", "imperfect"),
    [
        (verbs.BUY, "achète achète achetons achetez achètent", "acheté", "achetait"),
        (verbs.DRINK, "bois boit buvons buvez boivent", "bu", "buvait"),
        (verbs.EAT, "mange mange mangeons mangez mangent", "mangé", "mangeait"),
        (verbs.PAINT, "peins peint peignons peignez peignent", "peint", "peignait"),
        (verbs.SEE, "vois voit voyons voyez voient", "vu", "voyait"),
    ],
)
def test_verbs_are_conjugated(verb, present, participle, imperfect):
    assert (" ".join(verb.present), verb.participle, verb.imperfect) == (
        present,
        participle,
        imperfect,
    )
