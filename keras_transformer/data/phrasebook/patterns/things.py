"""Patterns of the properties, positions, prices and owners of things."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import BE, HAVE, WAS, WAS_NOT
from keras_transformer.data.phrasebook.french import AVOIR, ETAIT, ETRE
from keras_transformer.data.phrasebook.lexicon import adjectives, nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.phrases import a, own, the, without
from keras_transformer.data.phrasebook.words import Adjective, Group, named

_THINGS = nouns.BELONGINGS + nouns.BAGS + nouns.CLOTHES + nouns.VEHICLES + nouns.FURNITURE
_COMPARED = tuple(adjective for adjective in adjectives.OF_THINGS if adjective.comparative)
_SMALL = nouns.FRUIT + nouns.BELONGINGS + nouns.TEXTS + named(nouns.PICTURES, "photo painting")
_PRICES = small_words.NUMBERS + small_words.TENS[2:]
_CHEAP = _SMALL + nouns.CLOTHES


def _draw_described(draw: Draw) -> tuple[Group, Adjective]:
    """Draws a thing and an adjective that describes it."""
    nouns_, options = draw.choose(_DESCRIPTIONS)
    noun, adjective = draw.pick(nouns_), draw.pick(options)
    kind = draw.random.random()
    if kind < 0.3:
        return draw.demonstrative(noun), adjective
    if kind < 0.6 and nouns_ in (_THINGS, nouns.FRUIT):
        return draw.owned(noun, draw.pick(people.OWNERS)), adjective
    return draw.definite(noun), adjective


def is_like(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "These apples are very good"."""
    (thing, adjective), degree = _draw_described(draw), draw.pick(small_words.DEGREES)
    return (
        f"{thing.en} {BE[thing.person]} {degree[0]} {adjective.en}.",
        f"{thing.fr} {ETRE[thing.person]} {degree[1]} {adjective.agreeing(thing)}.",
    )


def was_not_like(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The keys weren't clean"."""
    thing, adjective = _draw_described(draw)
    return (
        f"{thing.en} {WAS_NOT[thing.person]} {adjective.en}.",
        f"{thing.fr} ne {ETAIT[thing.person]} pas {adjective.agreeing(thing)}.",
    )


def was_like(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The soup was cold"."""
    thing, adjective = _draw_described(draw)
    return (
        f"{thing.en} {WAS[thing.person]} {adjective.en}.",
        f"{thing.fr} {ETAIT[thing.person]} {adjective.agreeing(thing)}.",
    )


def is_it_like(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Is the book interesting?"."""
    thing, adjective = _draw_described(draw)
    return (
        f"{BE[thing.person]} {thing.en} {adjective.en}?",
        f"est-ce que {thing.fr} {ETRE[thing.person]} {adjective.agreeing(thing)} ?",
    )


def finds(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "I find this book interesting"."""
    subject, (nouns_, options) = draw.doer(), draw.choose(_DESCRIPTIONS)
    thing, adjective = draw.demonstrative(draw.pick(nouns_)), draw.pick(options)
    return (
        f"{subject.en} {verbs.FIND.present_en(subject.person)} {thing.en} {adjective.en}.",
        f"{subject.fr} {verbs.FIND.present[subject.person]} {thing.fr} "
        f"{adjective.agreeing(thing)}.",
    )


def is_bigger(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "This car is bigger than my truck"."""
    (one, two), adjective = draw.two(draw.choose(nouns.KINDS)), draw.pick(_COMPARED)
    thing, other = draw.demonstrative(one), draw.owned(two, draw.pick(people.OWNERS))
    return (
        f"{thing.en} {BE[thing.person]} {adjective.comparative} than {other.en}.",
        f"{thing.fr} {ETRE[thing.person]} plus {adjective.agreeing(thing)} que {other.fr}.",
    )


def is_where(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The keys are on the table"."""
    thing, (preposition, place) = draw.definite(draw.pick(_SMALL)), draw.spot()
    return (
        f"{thing.en} {BE[thing.person]} {preposition[0]} {place.en}.",
        f"{thing.fr} {ETRE[thing.person]} {preposition[1]} {place.fr}.",
    )


def was_where(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My keys weren't on the table"."""
    thing = draw.owned(draw.pick(_SMALL), draw.pick(people.OWNERS))
    preposition, place = draw.spot()
    return (
        f"{thing.en} {WAS_NOT[thing.person]} {preposition[0]} {place.en}.",
        f"{thing.fr} ne {ETAIT[thing.person]} pas {preposition[1]} {place.fr}.",
    )


def there_is(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "There are three apples on the table"."""
    noun, (preposition, place) = draw.pick(_SMALL), draw.spot()
    thing = a(noun) if draw.chance(0.5) else draw.counted(noun)
    return (
        f"there {BE[thing.person]} {thing.en} {preposition[0]} {place.en}.",
        f"il y a {thing.fr} {preposition[1]} {place.fr}.",
    )


def there_are_none(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "There are no apples in the basket"."""
    thing, (preposition, place) = without(draw.pick(_SMALL)), draw.spot()
    return (
        f"there are no {thing.en} {preposition[0]} {place.en}.",
        f"il ne y a pas {thing.fr} {preposition[1]} {place.fr}.",
    )


def has_no_more(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has no more milk"."""
    subject = draw.subject()
    thing = without(draw.pick(nouns.FOOD + nouns.DRINKS + nouns.FRUIT))
    return (
        f"{subject.en} {HAVE[subject.person]} no more {thing.en}.",
        f"{subject.fr} ne {AVOIR[subject.person]} plus {thing.fr}.",
    )


def costs(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "This lamp costs twenty euros"."""
    english, french = _draw_price(draw)
    return f"{english}.", f"{french}."


def _draw_price(draw: Draw) -> tuple[str, str]:
    """Draws a clause that states the price of a thing."""
    thing, number = draw.demonstrative(draw.pick(_CHEAP)), draw.pick(_PRICES)
    cost = ("cost", "coûtent") if thing.plural else ("costs", "coûte")
    return f"{thing.en} {cost[0]} {number[0]} euros", f"{thing.fr} {cost[1]} {number[1]} euros"


def whose(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "This is my brother's car"."""
    owner, thing = draw.relative(), the(draw.pick(_THINGS))
    return (
        f"this is {owner.en}'s {thing.en.removeprefix('the ')}.",
        f"ce est {thing.fr} de {owner.fr}.",
    )


def preferred(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The book that Marie prefers is interesting"."""
    subject, thing = draw.subject(), draw.definite(draw.pick(nouns.TEXTS))
    verb, adjective = draw.choose((verbs.WANT, verbs.PREFER)), draw.pick(adjectives.OF_TEXTS)
    return (
        f"{thing.en} that {subject.en} {verb.present_en(subject.person)} "
        f"{BE[thing.person]} {adjective.en}.",
        f"{thing.fr} que {subject.fr} {verb.present[subject.person]} {ETRE[thing.person]} "
        f"{adjective.agreeing(thing)}.",
    )


_DESCRIPTIONS = (
    (_THINGS, adjectives.OF_THINGS),
    (nouns.FRUIT, adjectives.OF_FOOD),
    (nouns.FOOD + nouns.DRINKS, adjectives.OF_FOOD),
    (nouns.TEXTS + named(nouns.PICTURES, "film show match"), adjectives.OF_TEXTS),
    (nouns.BUILDINGS + nouns.ROOMS, adjectives.OF_PLACES),
)


def says_cost(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie says that this lamp costs twenty euros"."""
    subject, verb = draw.doer(), draw.choose((verbs.SAY, verbs.THINK))
    english, french = _draw_price(draw)
    return (
        f"{subject.en} {verb.present_en(subject.person)} that {english}.",
        f"{subject.fr} {verb.present[subject.person]} que {french}.",
    )


def this_is_colored(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "This is a red car"."""
    noun, shade = draw.pick(_THINGS), draw.pick(adjectives.COLORS)
    thing = a(noun)
    return f"this is a {shade.en} {noun.en}.", f"ce est {thing.fr} {shade.agreeing(thing)}."


def fits(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My coat doesn't fit in the suitcase"."""
    thing = draw.pick(nouns.BELONGINGS + nouns.CLOTHES)
    mine, container = own(thing, draw.pick(people.OWNERS)), draw.place(nouns.CONTAINERS)
    en, fr = draw.pick((("doesn't", "entre"), ("didn't", "entrait")))
    return (
        f"{mine.en} {en} fit in {container.en}.",
        f"{mine.fr} ne {fr} pas dans {container.fr}.",
    )


PATTERNS = (
    is_like,
    was_not_like,
    was_like,
    is_it_like,
    finds,
    is_bigger,
    is_where,
    was_where,
    there_is,
    there_are_none,
    has_no_more,
    costs,
    whose,
    preferred,
    says_cost,
    this_is_colored,
    fits,
)
