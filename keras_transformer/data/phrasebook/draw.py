"""Seeded, balanced sampling of words for the slots of a pattern."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from keras_transformer.data.phrasebook import phrases
from keras_transformer.data.phrasebook.lexicon import nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.words import Group, Noun, Verb

Choice = TypeVar("Choice")

# Nouns used in the singular only, nouns that a person may own, and nouns that are always definite:
# as the object of a habit, or of any verb.
_SINGULAR = frozenset(nouns.ROOMS + nouns.LANDSCAPE + nouns.BUILDINGS + nouns.TRANSPORT)
_OWNABLE = frozenset(nouns.BELONGINGS + nouns.CLOTHES + nouns.BAGS + nouns.VEHICLES)
_DEFINITE_IN_HABITS = _SINGULAR | frozenset(
    nouns.ANIMALS + nouns.OPENINGS + nouns.FURNITURE + nouns.VEHICLES
)
_DEFINITE = frozenset(nouns.ANIMALS + nouns.OPENINGS)

_I, _HE, _SHE, _, _, _THEY = people.PRONOUNS


class Draw:
    """A seeded sampler of words that prefers, of two candidates, the one used less often.

    >>> draw = Draw(Random(0))
    >>> draw.pick("abc") in "abc", draw.uses.total()
    (True, 1)
    """

    def __init__(self, random: Random):
        self.random = random
        self.uses: Counter = Counter()

    def pick(self, options: Sequence[Choice]) -> Choice:
        """Draws one of `options`, with a preference for less used ones."""
        drawn, other = self.choose(options), self.choose(options)
        if self.uses[other] < self.uses[drawn] and self.chance(0.6):
            drawn = other
        self.uses[drawn] += 1
        return drawn

    def choose(self, options: Sequence[Choice]) -> Choice:
        """Draws one of `options` uniformly, without counting it as used."""
        return options[int(self.random.random() * len(options))]

    def two(self, options: Sequence[Choice]) -> tuple[Choice, Choice]:
        """Draws two different options."""
        one, other = self.pick(options), self.pick(options)
        while other == one:
            other = self.pick(options)
        return one, other

    def chance(self, probability: float) -> bool:
        """Returns `True` with the given probability."""
        return self.random.random() < probability

    def subject(self) -> Group:
        """Draws any subject, including pronouns."""
        return self.pick(people.PRONOUNS) if self.chance(0.5) else self.somebody()

    def doer(self) -> Group:
        """Draws any subject but `we` and `you`, whose forms are used with frequent verbs only."""
        kind = self.random.random()
        if kind < 0.2:
            return _I
        if kind < 0.4:
            return _THEY
        return self.pick((_HE, _SHE)) if kind < 0.55 else self.somebody()

    def described(self) -> Group:
        """Draws a subject for an adjective, often plural, so that all its forms occur."""
        return self.several() if self.chance(0.4) else self.single()

    def single(self) -> Group:
        """Draws a pronoun or one person."""
        return self.pick(people.PRONOUNS) if self.chance(0.5) else self.one()

    def somebody(self) -> Group:
        """Draws one person or several, but not a pronoun."""
        return self.several() if self.chance(0.35) else self.one()

    def one(self) -> Group:
        """Draws a third-person singular subject: a name, a relative or a profession."""
        kind = self.random.random()
        if kind < 0.3:
            return self.pick(people.NAMES)
        if kind < 0.6:
            return phrases.own(self.pick(people.FAMILY), self.pick(people.OWNERS))
        if kind < 0.8:
            return phrases.the(self.pick(people.PEOPLE))
        return phrases.the(self.pick(people.PROFESSIONS)[0])

    def relative(self) -> Group:
        """Draws a name or a relative."""
        if self.chance(0.4):
            return self.pick(people.NAMES)
        return phrases.own(self.pick(people.FAMILY), self.pick(people.OWNERS))

    def several(self) -> Group:
        """Draws several people."""
        kind = self.random.random()
        if kind < 0.4:
            return phrases.all_own(self.pick(people.FAMILY[2:]), self.pick(people.OWNERS))
        if kind < 0.8:
            return phrases.all_the(self.pick(people.PEOPLE))
        return phrases.all_the(self.pick(people.PROFESSIONS)[0])

    def other(self, subject: Group) -> Group:
        """Draws one person other than `subject`."""
        person = self.one()
        return person if person != subject else self.other(subject)

    def action(self, subject: Group) -> tuple[Verb, Group]:
        """Draws a verb for a single action, with its object."""
        return self._draw_action(verbs.ACTIONS, subject)

    def activity(self, subject: Group) -> tuple[Verb, Group]:
        """Draws a verb for an ongoing activity, with its object."""
        return self._draw_action(verbs.ACTIVITIES, subject)

    def habit(self, actions: verbs.Actions = verbs.HABITUAL) -> tuple[Verb, Group]:
        """Draws a verb for a habit, with its object."""
        verb, options = self.choose(actions)
        noun = self.pick(options)
        if noun in _DEFINITE_IN_HABITS:
            return verb, self.definite(noun)
        if not noun.counted:
            return verb, phrases.some(noun)
        several = verb is not verbs.WEAR and self.chance(0.5)
        return verb, self.counted(noun) if several else phrases.a(noun)

    def counted(self, noun: Noun) -> Group:
        """Draws `two dogs` or a larger number."""
        return phrases.number(noun, self.pick(small_words.NUMBERS))

    def definite(self, noun: Noun) -> Group:
        """Draws `the dog` or `the dogs`."""
        several = noun.counted and noun not in _SINGULAR and self.chance(0.5)
        return phrases.all_the(noun) if several else phrases.the(noun)

    def demonstrative(self, noun: Noun) -> Group:
        """Draws `this dog` or `these dogs`."""
        several = noun.counted and noun not in _SINGULAR and self.chance(0.5)
        return phrases.these(noun) if several else phrases.this(noun)

    def owned(self, noun: Noun, owner: Group) -> Group:
        """Draws `her dog` or `her dogs`."""
        return phrases.all_own(noun, owner) if self.chance(0.5) else phrases.own(noun, owner)

    def place(self, options: Sequence[Noun]) -> Group:
        """Draws one place with its definite article."""
        return phrases.the(self.pick(options))

    def spot(self) -> tuple[tuple[str, str], Group]:
        """Draws a preposition and a place: `on the table`, `in the drawer`."""
        if self.chance(0.5):
            return ("in", "dans"), self.place(nouns.CONTAINERS)
        return self.pick(small_words.ON), self.place(nouns.FURNITURE)

    def town(self) -> people.Town:
        """Draws a city or a country."""
        return self.pick(people.TOWNS)

    def _draw_action(self, actions: verbs.Actions, subject: Group) -> tuple[Verb, Group]:
        verb, options = self.choose(actions)
        return verb, self._draw_object(verb, self.pick(options), subject)

    def _draw_object(self, verb: Verb, noun: Noun, subject: Group) -> Group:
        if noun in _SINGULAR:
            return phrases.the(noun)
        if noun in _DEFINITE:
            return self.definite(noun)
        if not noun.counted:
            return phrases.the(noun) if self.chance(0.3) else phrases.some(noun)
        if noun in _OWNABLE and verb not in (verbs.BUY, verbs.FIND) and self.chance(0.5):
            return self._owned_object(verb, noun, subject)
        if verb in (verbs.WEAR, verbs.LOSE):
            return phrases.own(noun, subject)
        return self._counted_object(noun)

    def _owned_object(self, verb: Verb, noun: Noun, subject: Group) -> Group:
        return phrases.own(noun, subject) if verb is verbs.WEAR else self.owned(noun, subject)

    def _counted_object(self, noun: Noun) -> Group:
        kind = self.random.random()
        if kind < 0.35:
            return phrases.a(noun)
        if kind < 0.6:
            return self.counted(noun)
        return self.definite(noun)
