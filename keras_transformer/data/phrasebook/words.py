"""Types of lexical entries, and functions that read them from tables."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from keras_transformer.data.phrasebook import english, french


class Person(IntEnum):
    """The grammatical person of a verb: the index of its form in a conjugation."""

    I = 0  # noqa: E741
    HE = 1
    WE = 2
    YOU = 3
    THEY = 4


class Group(NamedTuple):
    """A noun phrase or a pronoun in both languages, with the features that others agree with."""

    en: str
    fr: str
    gender: str = "m"
    plural: bool = False
    person: Person = Person.HE


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun in both languages; mass nouns have empty plurals."""

    en: str
    en_plural: str
    fr: str
    fr_plural: str
    gender: str

    @property
    def counted(self) -> bool:
        """Boolean. `False` for a mass noun."""
        return bool(self.fr_plural)


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective with its four French forms."""

    en: str
    forms: tuple[str, str, str, str]  # m, f, m plural, f plural
    comparative: str = ""

    def agreeing(self, group: Group) -> str:
        """Returns the French form that agrees with `group`."""
        return self.forms[(group.gender == "f") + 2 * group.plural]


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb with the forms in use.

    `with_etre` selects *être* instead of *avoir* as the auxiliary of its passé composé.
    """

    en: str
    third: str
    past: str
    past_participle: str
    gerund: str
    infinitive: str
    present: tuple[str, ...]
    participle: str
    imperfect: str
    with_etre: bool = False

    def present_en(self, person: Person) -> str:
        """Returns the English present."""
        return self.third if person is Person.HE else self.en

    def compound(self, subject: Group) -> tuple[str, str]:
        """Returns the auxiliary and the participle of the passé composé.

        >>> go = verb("go went gone", "aller", participle="allé", with_etre=True)
        >>> go.compound(Group("she", "elle", "f"))
        ('est', 'allée')
        """
        if not self.with_etre:
            return french.AVOIR[subject.person], self.participle
        participle = french.agree(self.participle, subject.gender, subject.plural)
        return french.ETRE[subject.person], participle


def verb(
    en: str, infinitive: str, present: str = "", participle: str = "", with_etre: bool = False
) -> Verb:
    """Creates a verb: irregular English forms follow the base, regular forms are omitted.

    >>> drink = verb("drink drank drunk", "boire", "bois boit buvons buvez boivent", "bu")
    >>> drink.gerund, drink.third, drink.imperfect
    ('drinking', 'drinks', 'buvait')
    >>> verb("look_for", "chercher").past
    'looked for'
    """
    base, *irregular = (form.replace("_", " ") for form in en.split())
    en_past, en_participle = irregular or (english.past(base), english.past(base))
    conjugation = tuple(present.split()) or french.conjugate_er(infinitive)
    return Verb(
        en=base,
        third=english.third_person(base),
        past=en_past,
        past_participle=en_participle,
        gerund=english.gerund(base),
        infinitive=infinitive,
        present=conjugation,
        participle=participle or infinitive[:-2] + "é",
        imperfect=french.imperfect(conjugation),
        with_etre=with_etre,
    )


def nouns(table: str) -> tuple[Noun, ...]:
    """Reads nouns, one per line: English, French, gender; irregular plurals follow a slash.

    The plural `-` marks a mass noun.

    >>> [(n.en_plural, n.fr_plural) for n in nouns("man/men homme m\\n box boîte f")]
    [('men', 'hommes'), ('boxes', 'boîtes')]
    """
    return tuple(_make_noun(*line.split()) for line in table.strip().splitlines())


def named(options: tuple[Noun, ...], names: str) -> tuple[Noun, ...]:
    """Returns the nouns whose English singular is among `names`.

    >>> [noun.fr for noun in named(nouns("box boîte f"), "man box")]
    ['boîte']
    """
    return tuple(noun for noun in options if noun.en in names.split())


def _make_noun(en: str, fr: str, gender: str) -> Noun:
    en, _, en_plural = en.partition("/")
    fr, _, fr_plural = fr.partition("/")
    if en_plural == "-":
        return Noun(en, "", fr, "", gender)
    en_plural = en_plural or english.plural(en)
    return Noun(en, en_plural, fr, fr_plural or french.plural(fr), gender)


def adjectives(table: str) -> tuple[Adjective, ...]:
    """Reads adjectives, one per line: English, French; irregular forms follow a slash.

    >>> [a.forms for a in adjectives("old/older vieux/vieille\\n wide large")]
    [('vieux', 'vieille', 'vieux', 'vieilles'), ('large', 'large', 'larges', 'larges')]
    """
    return tuple(_make_adjective(*line.split()) for line in table.strip().splitlines())


def _make_adjective(en: str, fr: str) -> Adjective:
    en, _, comparative = en.partition("/")
    masculine, _, feminine = fr.partition("/")
    feminine = feminine or french.feminine(masculine)
    forms = (masculine, feminine, french.plural(masculine), french.plural(feminine))
    return Adjective(en, forms, comparative.replace("_", " "))
