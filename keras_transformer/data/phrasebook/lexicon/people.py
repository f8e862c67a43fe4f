"""Pronouns, names, relatives and professions, and the cities and countries people live in."""

from typing import NamedTuple

from keras_transformer.data.phrasebook.words import Group, Noun, Person, nouns

# French needs choices that English leaves open: I, you and they are masculine, and `you` is one
# person addressed as `vous`.
PRONOUNS = (
    Group("I", "je", person=Person.I),
    Group("he", "il"),
    Group("she", "elle", "f"),
    Group("we", "nous", plural=True, person=Person.WE),
    Group("you", "vous", person=Person.YOU),
    Group("they", "ils", plural=True, person=Person.THEY),
)

OWNERS = tuple(pronoun for pronoun in PRONOUNS if pronoun.en in ("I", "you", "we"))

NAMES = (
    Group("Paul", "Paul"),
    Group("Thomas", "Thomas"),
    Group("Nicolas", "Nicolas"),
    Group("Marie", "Marie", "f"),
    Group("Julie", "Julie", "f"),
    Group("Sophie", "Sophie", "f"),
)

PEOPLE = nouns("""
    man/men        homme  m
    woman/women    femme  f
    boy            garçon m
    girl           fille  f
    child/children enfant m
    neighbor       voisin m
""")

FAMILY = nouns("""
    father      père       m
    mother      mère       f
    brother     frère      m
    sister      sœur       f
    uncle       oncle      m
    aunt        tante      f
    cousin      cousin     m
    grandfather grand-père/grands-pères m
    grandmother grand-mère/grands-mères f
""")

# Professions have a masculine and a feminine noun; `the baker` uses the masculine.
_PROFESSIONS = """
    student    étudiant   étudiante
    teacher    professeur professeure
    doctor     médecin    médecin
    engineer   ingénieur  ingénieure
    baker      boulanger  boulangère
    farmer     fermier    fermière
    lawyer     avocat     avocate
    cook       cuisinier  cuisinière
    singer     chanteur   chanteuse
    dentist    dentiste   dentiste
    artist     artiste    artiste
    writer     écrivain   écrivaine
    nurse      infirmier  infirmière
    journalist journaliste journaliste
    musician   musicien   musicienne
"""

PROFESSIONS: tuple[tuple[Noun, Noun], ...] = tuple(
    (nouns(f"{en} {masculine} m")[0], nouns(f"{en} {feminine} f")[0])
    for en, masculine, feminine in map(str.split, _PROFESSIONS.strip().splitlines())
)


class Town(NamedTuple):
    """A city or a country, with the French for *in* it (`at`) and *from* it (`from_`)."""

    en: str
    at: str
    from_: str


TOWNS = (
    Town("Paris", "à Paris", "de Paris"),
    Town("London", "à Londres", "de Londres"),
    Town("Rome", "à Rome", "de Rome"),
    Town("Berlin", "à Berlin", "de Berlin"),
    Town("Madrid", "à Madrid", "de Madrid"),
    Town("Vienna", "à Vienne", "de Vienne"),
    Town("France", "en France", "de France"),
    Town("Italy", "en Italie", "de Italie"),
    Town("Spain", "en Espagne", "de Espagne"),
    Town("Germany", "en Allemagne", "de Allemagne"),
    Town("Japan", "à le Japon", "de le Japon"),
    Town("Canada", "à le Canada", "de le Canada"),
)
