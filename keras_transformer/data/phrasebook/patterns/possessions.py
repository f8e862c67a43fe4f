"""Patterns of possessions, gifts and aching body parts."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import DO_NOT, HAVE
from keras_transformer.data.phrasebook.french import AVOIR
from keras_transformer.data.phrasebook.lexicon import adjectives, nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.phrases import a, own, the, without
from keras_transformer.data.phrasebook.words import Adjective, named

_PETS = named(
    nouns.ANIMALS, "dog cat horse rabbit donkey duck pig cow goat hen mouse turtle goose frog"
)
_GIFTS = nouns.BELONGINGS + nouns.TEXTS + nouns.CLOTHES + nouns.FRUIT
_PAIN_TIMES = small_words.PRESENT_TIMES + small_words.HABITS[:4]
_SINGULAR_OWNERS = tuple(owner for owner in people.PRONOUNS if not owner.plural)


def hurts(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie's foot often hurts"."""
    subject, part = draw.relative(), draw.pick(nouns.BODY)
    frequency = draw.pick(small_words.FREQUENCIES)
    return (
        f"{subject.en}'s {part.en} {frequency[0]} hurts.",
        f"{subject.fr} a {frequency[1]} mal à {the(part).fr}.",
    )


def hurts_owner(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My foot hurts today"."""
    owner, part, time = draw.pick(_SINGULAR_OWNERS), draw.pick(nouns.BODY), draw.pick(_PAIN_TIMES)
    return (
        f"{own(part, owner).en} hurts {time[0]}.",
        f"{owner.fr} {AVOIR[owner.person]} mal à {the(part).fr} {time[1]}.",
    )


def has_pets(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has two cats and a dog"."""
    subject, (many, one) = draw.subject(), draw.two(_PETS)
    number = draw.counted(many)
    return (
        f"{subject.en} {HAVE[subject.person]} {number.en} and {a(one).en}.",
        f"{subject.fr} {AVOIR[subject.person]} {number.fr} et {a(one).fr}.",
    )


def has_none(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie doesn't have a brother"."""
    subject = draw.subject()
    noun = draw.pick(_PETS + people.FAMILY[2:7] + nouns.VEHICLES + nouns.BELONGINGS)
    return (
        f"{subject.en} {DO_NOT[subject.person]} have a {noun.en}.",
        f"{subject.fr} ne {AVOIR[subject.person]} pas de {noun.fr}.",
    )


def has_colored(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has a red car"."""
    subject, color = draw.subject(), draw.pick(adjectives.COLORS)
    thing = a(draw.pick(nouns.VEHICLES + nouns.CLOTHES + nouns.BAGS + nouns.BELONGINGS))
    return (
        f"{subject.en} {HAVE[subject.person]} {_insert_adjective(thing.en, color)}.",
        f"{subject.fr} {AVOIR[subject.person]} {thing.fr} {color.agreeing(thing)}.",
    )


def gives(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie gave an apple to the teacher"."""
    subject, verb = draw.subject(), draw.choose((verbs.GIVE, verbs.SHOW, verbs.BRING, verbs.SELL))
    friend, thing = draw.somebody(), draw.pick(_GIFTS)
    given = a(thing) if draw.chance(0.5) else draw.counted(thing)
    return (
        f"{subject.en} {verb.past} {given.en} to {friend.en}.",
        f"{subject.fr} {AVOIR[subject.person]} {verb.participle} {given.fr} à {friend.fr}.",
    )


def will_give(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie wants to give her book to the teacher"."""
    subject, verb = draw.subject(), draw.choose((verbs.GIVE, verbs.SHOW))
    friend, thing = draw.other(subject), draw.owned(draw.pick(_GIFTS), subject)
    return (
        f"{subject.en} {verbs.WANT.present_en(subject.person)} to {verb.en} {thing.en} "
        f"to {friend.en}.",
        f"{subject.fr} {verbs.WANT.present[subject.person]} {verb.infinitive} {thing.fr} "
        f"à {friend.fr}.",
    )


def has_many(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has few books"."""
    subject, quantity = draw.subject(), draw.pick(small_words.QUANTITIES)
    things = without(draw.pick(_PETS + nouns.BELONGINGS + nouns.TEXTS + nouns.CLOTHES))
    return (
        f"{subject.en} {HAVE[subject.person]} {quantity[0]} {things.en}.",
        f"{subject.fr} {AVOIR[subject.person]} {quantity[1]} {things.fr}.",
    )


def _insert_adjective(thing: str, adjective: Adjective) -> str:
    """Inserts an adjective between the article and the noun."""
    article, noun = thing.split(" ", 1)
    return f"{article} {adjective.en} {noun}"


PATTERNS = (
    hurts,
    hurts_owner,
    has_pets,
    has_none,
    has_colored,
    gives,
    will_give,
    has_many,
)
