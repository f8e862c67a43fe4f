"""Patterns of plans, wishes, abilities, obligations and orders."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import BE, BE_NOT
from keras_transformer.data.phrasebook.french import ALLER, AVOIR, ETRE
from keras_transformer.data.phrasebook.lexicon import adjectives, nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.words import Person

_YOU = people.PRONOUNS[4]


def going_to(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is going to buy an apple tomorrow"."""
    subject, time = draw.subject(), draw.pick(small_words.FUTURE_TIMES)
    verb, thing = draw.action(subject)
    return (
        f"{subject.en} {BE[subject.person]} going to {verb.en} {thing.en} {time[0]}.",
        f"{subject.fr} {ALLER[subject.person]} {verb.infinitive} {thing.fr} {time[1]}.",
    )


def not_going_to(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't going to buy the apple"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIONS)
    thing = draw.definite(draw.pick(options))
    return (
        f"{subject.en} {BE_NOT[subject.person]} going to {verb.en} {thing.en}.",
        f"{subject.fr} ne {ALLER[subject.person]} pas {verb.infinitive} {thing.fr}.",
    )


def going_there(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is going to go to the museum next Monday"."""
    subject, (verb, preposition) = draw.subject(), draw.choose(verbs.MOVES)
    place, time = draw.place(nouns.BUILDINGS), draw.pick(small_words.FUTURE_TIMES)
    return (
        f"{subject.en} {BE[subject.person]} going to {verb.en} {preposition} {place.en} {time[0]}.",
        f"{subject.fr} {ALLER[subject.person]} {verb.infinitive} à {place.fr} {time[1]}.",
    )


def must(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie must wash the car"."""
    subject = draw.subject()
    verb, thing = draw.activity(subject)
    return (
        f"{subject.en} must {verb.en} {thing.en}.",
        f"{subject.fr} {verbs.MUST.present[subject.person]} {verb.infinitive} {thing.fr}.",
    )


def must_not(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie must not open this door"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIVITIES)
    thing = draw.demonstrative(draw.pick(options))
    return (
        f"{subject.en} must not {verb.en} {thing.en}.",
        f"{subject.fr} ne {verbs.MUST.present[subject.person]} pas {verb.infinitive} {thing.fr}.",
    )


def can(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie can repair this car"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIVITIES)
    thing = draw.demonstrative(draw.pick(options))
    return (
        f"{subject.en} can {verb.en} {thing.en}.",
        f"{subject.fr} {verbs.CAN.present[subject.person]} {verb.infinitive} {thing.fr}.",
    )


def knows_how(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie knows how to prepare this soup"."""
    subject, verb = draw.subject(), draw.choose((verbs.PREPARE, verbs.REPAIR, verbs.DRAW))
    options = dict(verbs.ACTIVITIES)[verb]
    thing = draw.demonstrative(draw.pick(options))
    return (
        f"{subject.en} {verbs.KNOW.present_en(subject.person)} how to {verb.en} {thing.en}.",
        f"{subject.fr} {verbs.KNOW.present[subject.person]} {verb.infinitive} {thing.fr}.",
    )


def please(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Close the door now, please"."""
    verb, thing = draw.activity(_YOU)
    time = draw.pick(small_words.PRESENT_TIMES)
    return (
        f"{verb.en} {thing.en} {time[0]}, please.",
        f"{verb.present[_YOU.person]} {thing.fr} {time[1]}, s'il vous plaît.",
    )


def do_not(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Don't open this door today!"."""
    verb, options = draw.choose(verbs.ACTIVITIES)
    thing, time = draw.demonstrative(draw.pick(options)), draw.pick(small_words.PRESENT_TIMES)
    return (
        f"don't {verb.en} {thing.en} {time[0]}!",
        f"ne {verb.present[_YOU.person]} pas {thing.fr} {time[1]} !",
    )


def lets(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Let's eat the apples tomorrow!"."""
    verb, options = draw.choose(verbs.ACTIVITIES)
    thing, time = draw.definite(draw.pick(options)), draw.pick(small_words.FUTURE_TIMES)
    return (
        f"let's {verb.en} {thing.en} {time[0]}!",
        f"{verb.present[Person.WE]} {thing.fr} {time[1]} !",
    )


def lets_not(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Let's not eat these apples tomorrow!"."""
    verb, options = draw.choose(verbs.ACTIVITIES)
    thing, time = draw.demonstrative(draw.pick(options)), draw.pick(small_words.FUTURE_TIMES[:5])
    return (
        f"let's not {verb.en} {thing.en} {time[0]}!",
        f"ne {verb.present[Person.WE]} pas {thing.fr} {time[1]} !",
    )


def if_it_rains(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "If it is raining, Marie is going to stay at the hotel"."""
    subject, place = draw.subject(), draw.place(nouns.BUILDINGS)
    weather = draw.pick(small_words.WEATHER)
    return (
        f"if {weather[0]}, {subject.en} {BE[subject.person]} going to stay at {place.en}.",
        f"si {weather[3]}, {subject.fr} {ALLER[subject.person]} rester à {place.fr}.",
    )


def pastime_wanted(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie wants to dance in the garden"."""
    subject, verb = draw.subject(), draw.choose(verbs.PASTIMES)
    place = draw.place(nouns.ROOMS + nouns.OUTDOORS)
    return (
        f"{subject.en} {verbs.WANT.present_en(subject.person)} to {verb.en} in {place.en}.",
        f"{subject.fr} {verbs.WANT.present[subject.person]} {verb.infinitive} dans {place.fr}.",
    )


def please_do_not(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Don't open the door, please"."""
    verb, options = draw.choose(verbs.ACTIVITIES)
    thing = draw.definite(draw.pick(options))
    return (
        f"don't {verb.en} {thing.en}, please.",
        f"ne {verb.present[_YOU.person]} pas {thing.fr}, s'il vous plaît.",
    )


def if_tired(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "If Marie is tired, Paul is going to stay at the hotel"."""
    subject, adjective = draw.single(), draw.pick(adjectives.MOODS)
    friend, place = draw.other(subject), draw.place(nouns.BUILDINGS)
    return (
        f"if {subject.en} {BE[subject.person]} {adjective.en}, "
        f"{friend.en} is going to stay at {place.en}.",
        f"si {subject.fr} {ETRE[subject.person]} {adjective.agreeing(subject)}, "
        f"{friend.fr} va rester à {place.fr}.",
    )


def going_to_give(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is going to give the book to the children"."""
    subject, verb = draw.subject(), draw.choose((verbs.GIVE, verbs.SHOW))
    friend, thing = draw.somebody(), draw.definite(draw.pick(nouns.BELONGINGS + nouns.TEXTS))
    return (
        f"{subject.en} {BE[subject.person]} going to {verb.en} {thing.en} to {friend.en}.",
        f"{subject.fr} {ALLER[subject.person]} {verb.infinitive} {thing.fr} à {friend.fr}.",
    )


def if_wanted(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "If Marie wants to dance, Paul is going to sing"."""
    subject, (one, two) = draw.somebody(), draw.two(verbs.PASTIMES)
    friend = draw.other(subject)
    return (
        f"if {subject.en} {verbs.WANT.present_en(subject.person)} to {one.en}, "
        f"{friend.en} is going to {two.en}.",
        f"si {subject.fr} {verbs.WANT.present[subject.person]} {one.infinitive}, "
        f"{friend.fr} va {two.infinitive}.",
    )


def is_unable(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie couldn't open the door"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIONS)
    thing = draw.definite(draw.pick(options))
    can = verbs.CAN.present[subject.person]
    en, fr = "can't", f"ne {can} pas"
    if draw.chance(0.5):
        en, fr = "couldn't", f"ne {AVOIR[subject.person]} pas pu"
    return (
        f"{subject.en} {en} {verb.en} {thing.en}.",
        f"{subject.fr} {fr} {verb.infinitive} {thing.fr}.",
    )


PATTERNS = (
    going_to,
    not_going_to,
    going_there,
    must,
    must_not,
    can,
    knows_how,
    please,
    do_not,
    lets,
    lets_not,
    if_it_rains,
    pastime_wanted,
    please_do_not,
    if_tired,
    going_to_give,
    if_wanted,
    is_unable,
)
