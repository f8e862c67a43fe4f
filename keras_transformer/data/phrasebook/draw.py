"""Drawing words for the slots of a pattern, evenly and by seed."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from keras_transformer.data.phrasebook import phrases
from keras_transformer.data.phrasebook.lexicon import nouns as n
from keras_transformer.data.phrasebook.lexicon import people, small_words, verbs
from keras_transformer.data.phrasebook.words import Group, Noun, Verb

Choice = TypeVar("Choice")

_FIXED = frozenset(n.ROOMS + n.LANDSCAPE + n.BUILDINGS + n.TRANSPORT)
_OWNED = frozenset(n.BELONGINGS + n.CLOTHES + n.BAGS + n.VEHICLES)
_DEFINITE = _FIXED | frozenset(n.ANIMALS + n.OPENINGS + n.FURNITURE + n.VEHICLES)
_ALIVE = frozenset(n.ANIMALS + n.OPENINGS)
_FAMILY_OWNERS = tuple(owner for owner in people.PRONOUNS if owner.en in ("I", "you", "we"))


_I, _HE, _SHE, _, _, _THEY = people.PRONOUNS


class Draw:
    """A seeded source of words; of two candidates, it tends to the one used less often.

    >>> draw = Draw(Random(0))
    >>> draw.pick("abc") in "abc", draw.uses.total()
    (True, 1)
    """

    def __init__(self, random: Random):
        self.random = random
        self.uses: Counter = Counter()

    def pick(self, options: Sequence[Choice]) -> Choice:
        """Pick one of `options`, by preference a word that the corpus lacks."""
        chosen, other = self.choose(options), self.choose(options)
        if self.uses[other] < self.uses[chosen] and self.chance(0.6):
            chosen = other
        self.uses[chosen] += 1
        return chosen

    def choose(self, options: Sequence[Choice]) -> Choice:
        """Choose one of `options`, whatever was taken before."""
        return options[int(self.random.random() * len(options))]

    def two(self, options: Sequence[Choice]) -> tuple[Choice, Choice]:
        """Pick two different options."""
        one, other = self.pick(options), self.pick(options)
        while other == one:
            other = self.pick(options)
        return one, other

    def chance(self, probability: float) -> bool:
        """Return `True` with this probability."""
        return self.random.random() < probability

    def subject(self) -> Group:
        """Draw anybody, pronouns included."""
        return self.pick(people.PRONOUNS) if self.chance(0.5) else self.somebody()

    def doer(self) -> Group:
        """Draw anybody but `we` and `you`, whose verb forms are kept for frequent verbs."""
        kind = self.random.random()
        if kind < 0.2:
            return _I
        if kind < 0.4:
            return _THEY
        return self.pick((_HE, _SHE)) if kind < 0.55 else self.somebody()

    def described(self) -> Group:
        """Draw whom an adjective is said of: often several people, to show all its forms."""
        return self.several() if self.chance(0.4) else self.single()

    def single(self) -> Group:
        """Draw a pronoun or one person."""
        return self.pick(people.PRONOUNS) if self.chance(0.5) else self.one()

    def somebody(self) -> Group:
        """Draw a person or several, but no pronoun."""
        return self.several() if self.chance(0.35) else self.one()

    def one(self) -> Group:
        """Draw one person in the third person: a name, a relative, a profession."""
        kind = self.random.random()
        if kind < 0.3:
            return self.pick(people.NAMES)
        if kind < 0.6:
            return phrases.own(self.pick(people.FAMILY), self.pick(_FAMILY_OWNERS))
        if kind < 0.8:
            return phrases.the(self.pick(people.PEOPLE))
        return phrases.the(self.pick(people.PROFESSIONS)[0])

    def relative(self) -> Group:
        """Draw somebody known by a name or as a relative."""
        if self.chance(0.4):
            return self.pick(people.NAMES)
        return phrases.own(self.pick(people.FAMILY), self.pick(_FAMILY_OWNERS))

    def several(self) -> Group:
        """Draw several people."""
        kind = self.random.random()
        if kind < 0.4:
            return phrases.all_own(self.pick(people.FAMILY[2:]), self.pick(_FAMILY_OWNERS))
        if kind < 0.8:
            return phrases.all_the(self.pick(people.PEOPLE))
        return phrases.all_the(self.pick(people.PROFESSIONS)[0])

    def other(self, subject: Group) -> Group:
        """Draw one person who is not `subject`."""
        person = self.one()
        return person if person != subject else self.other(subject)

    def action(self, subject: Group) -> tuple[Verb, Group]:
        """Draw something to do once, with its object."""
        return self._do(verbs.ACTIONS, subject)

    def activity(self, subject: Group) -> tuple[Verb, Group]:
        """Draw something to be doing, with its object."""
        return self._do(verbs.ACTIVITIES, subject)

    def habit(self, actions: verbs.Actions = verbs.HABITUAL) -> tuple[Verb, Group]:
        """Draw something to do day after day, with its object."""
        verb, options = self.choose(actions)
        noun = self.pick(options)
        if noun in _DEFINITE:
            return verb, self.definite(noun)
        if not noun.counted:
            return verb, phrases.some(noun)
        several = verb is not verbs.WEAR and self.chance(0.5)
        return verb, self.counted(noun) if several else phrases.a(noun)

    def counted(self, noun: Noun) -> Group:
        """Draw a number of things, from two on."""
        return phrases.number(noun, self.pick(small_words.NUMBERS))

    def definite(self, noun: Noun) -> Group:
        """Draw `the dog` or `the dogs`."""
        several = noun.counted and noun not in _FIXED and self.chance(0.5)
        return phrases.all_the(noun) if several else phrases.the(noun)

    def demonstrative(self, noun: Noun) -> Group:
        """Draw `this dog` or `these dogs`."""
        several = noun.counted and noun not in _FIXED and self.chance(0.5)
        return phrases.these(noun) if several else phrases.this(noun)

    def owned(self, noun: Noun, owner: Group) -> Group:
        """Draw `her dog` or `her dogs`."""
        return phrases.all_own(noun, owner) if self.chance(0.5) else phrases.own(noun, owner)

    def place(self, options: Sequence[Noun]) -> Group:
        """Draw one place."""
        return phrases.the(self.pick(options))

    def spot(self) -> tuple[tuple[str, str], Group]:
        """Draw where things lie: `on the table`, `in the drawer`."""
        if self.chance(0.5):
            return ("in", "dans"), self.place(n.CONTAINERS)
        return self.pick(small_words.ON), self.place(n.FURNITURE)

    def town(self) -> people.Town:
        """Draw a city or a country."""
        return self.pick(people.TOWNS)

    def _do(self, actions: verbs.Actions, subject: Group) -> tuple[Verb, Group]:
        verb, options = self.choose(actions)
        return verb, self._object(verb, self.pick(options), subject)

    def _object(self, verb: Verb, noun: Noun, subject: Group) -> Group:
        if noun in _FIXED:
            return phrases.the(noun)
        if noun in _ALIVE:
            return self.definite(noun)
        if not noun.counted:
            return phrases.the(noun) if self.chance(0.3) else phrases.some(noun)
        if noun in _OWNED and verb not in (verbs.BUY, verbs.FIND) and self.chance(0.5):
            return self._of(noun, subject, verb)
        if verb in (verbs.WEAR, verbs.LOSE):
            return phrases.own(noun, subject)
        return self._any(noun)

    def _of(self, noun: Noun, subject: Group, verb: Verb) -> Group:
        return phrases.own(noun, subject) if verb is verbs.WEAR else self.owned(noun, subject)

    def _any(self, noun: Noun) -> Group:
        kind = self.random.random()
        if kind < 0.35:
            return phrases.a(noun)
        if kind < 0.6:
            return self.counted(noun)
        return self.definite(noun)
