"""The kinds of lexical entries, and the small readers that make them from tables."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from keras_transformer.data.phrasebook import english, french


class Person(IntEnum):
    """Who a verb agrees with: the position of its form in a conjugation."""

    I = 0  # noqa: E741
    HE = 1
    WE = 2
    YOU = 3
    THEY = 4


class Group(NamedTuple):
    """A noun group or a pronoun in both languages, with what must agree with it."""

    en: str
    fr: str
    gender: str = "m"
    plural: bool = False
    person: Person = Person.HE


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun; one without plurals names something that is not counted."""

    en: str
    en_plural: str
    fr: str
    fr_plural: str
    gender: str

    @property
    def counted(self) -> bool:
        """Whether the noun has a plural here."""
        return bool(self.fr_plural)


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective with its four French forms."""

    en: str
    forms: tuple[str, str, str, str]  # m, f, m plural, f plural
    comparative: str = ""

    def agreeing(self, group: Group) -> str:
        """Return the French form that agrees with `group`."""
        return self.forms[(group.gender == "f") + 2 * group.plural]


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb with the forms in use; `with_etre` says how its passé composé is made."""

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
        """Return the English present."""
        return self.third if person is Person.HE else self.en

    def compound(self, subject: Group) -> tuple[str, str]:
        """Return the auxiliary and the participle of the passé composé.

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
    """Make a verb: irregular English forms follow the base, regular French ones are left out.

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
    """Read nouns, one a line: English, French, gender; irregular plurals after a slash.

    A plural `-` means that the noun is not counted.

    >>> [(n.en_plural, n.fr_plural) for n in nouns("man/men homme m\\n box boîte f")]
    [('men', 'hommes'), ('boxes', 'boîtes')]
    """
    return tuple(_noun(*line.split()) for line in table.strip().splitlines())


def named(options: tuple[Noun, ...], names: str) -> tuple[Noun, ...]:
    """Return the nouns whose English singular is among `names`.

    >>> [noun.fr for noun in named(nouns("box boîte f"), "man box")]
    ['boîte']
    """
    return tuple(noun for noun in options if noun.en in names.split())


def _noun(en: str, fr: str, gender: str) -> Noun:
    en, _, en_plural = en.partition("/")
    fr, _, fr_plural = fr.partition("/")
    if en_plural == "-":
        return Noun(en, "", fr, "", gender)
    en_plural = en_plural or english.plural(en)
    return Noun(en, en_plural, fr, fr_plural or french.plural(fr), gender)


def adjectives(table: str) -> tuple[Adjective, ...]:
    """Read adjectives, one a line: English, French; what is irregular after a slash.

    >>> [a.forms for a in adjectives("old/older vieux/vieille\\n wide large")]
    [('vieux', 'vieille', 'vieux', 'vieilles'), ('large', 'large', 'larges', 'larges')]
    """
    return tuple(_adjective(*line.split()) for line in table.strip().splitlines())


def _adjective(en: str, fr: str) -> Adjective:
    en, _, comparative = en.partition("/")
    masculine, _, feminine = fr.partition("/")
    feminine = feminine or french.feminine(masculine)
    forms = (masculine, feminine, french.plural(masculine), french.plural(feminine))
    return Adjective(en, forms, comparative.replace("_", " "))
