"""Patterns of past actions: completed, never done, in progress and habitual."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import HAVE
from keras_transformer.data.phrasebook.lexicon import nouns, small_words, verbs
from keras_transformer.data.phrasebook.phrases import own, the
from keras_transformer.data.phrasebook.words import Group, Verb


def did(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie ate an apple yesterday"."""
    subject, time = draw.subject(), draw.pick(small_words.PAST_TIMES)
    verb, thing = draw.action(subject)
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {verb.past} {thing.en} {time[0]}.",
        f"{subject.fr} {auxiliary} {participle} {thing.fr} {time[1]}.",
    )


def did_in(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie bought a hat in Paris"."""
    subject, town = draw.subject(), draw.town()
    verb, thing = draw.action(subject)
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {verb.past} {thing.en} in {town.en}.",
        f"{subject.fr} {auxiliary} {participle} {thing.fr} {town.at}.",
    )


def did_with(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie ate the apple with Paul"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIONS)
    friend, thing = draw.other(subject), draw.definite(draw.pick(options))
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {verb.past} {thing.en} with {friend.en}.",
        f"{subject.fr} {auxiliary} {participle} {thing.fr} avec {friend.fr}.",
    )


def did_not(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie didn't eat the apple"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIONS)
    thing = draw.definite(draw.pick(options))
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} didn't {verb.en} {thing.en}.",
        f"{subject.fr} ne {auxiliary} pas {participle} {thing.fr}.",
    )


def has_already(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has already eaten an apple"."""
    subject = draw.subject()
    verb, thing = draw.action(subject)
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {HAVE[subject.person]} already {verb.past_participle} {thing.en}.",
        f"{subject.fr} {auxiliary} déjà {participle} {thing.fr}.",
    )


def has_never(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has never visited this museum"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIONS)
    thing = draw.demonstrative(draw.pick(options))
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {HAVE[subject.person]} never {verb.past_participle} {thing.en}.",
        f"{subject.fr} ne {auxiliary} jamais {participle} {thing.fr}.",
    )


def has_just(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has just eaten an apple"."""
    subject = draw.subject()
    verb, thing = draw.action(subject)
    come = verbs.COME.present[subject.person]
    return (
        f"{subject.en} {HAVE[subject.person]} just {verb.past_participle} {thing.en}.",
        f"{subject.fr} {come} de {verb.infinitive} {thing.fr}.",
    )


def _draw_move(draw: Draw) -> tuple[Verb, str, Group]:
    """Draws a verb of motion, its preposition and a building."""
    verb, preposition = draw.choose(verbs.MOVES)
    return verb, preposition, draw.place(nouns.BUILDINGS)


def went(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The girls went to the station yesterday"."""
    subject, (verb, to, place) = draw.described(), _draw_move(draw)
    time = draw.pick(small_words.PAST_TIMES)
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {verb.past} {to} {place.en} {time[0]}.",
        f"{subject.fr} {auxiliary} {participle} à {place.fr} {time[1]}.",
    )


def did_not_go(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The girls didn't go to the station"."""
    subject, (verb, to, place) = draw.described(), _draw_move(draw)
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} didn't {verb.en} {to} {place.en}.",
        f"{subject.fr} ne {auxiliary} pas {participle} à {place.fr}.",
    )


def came_back(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My brothers came back from the station yesterday"."""
    subject, place = draw.described(), draw.place(nouns.BUILDINGS)
    time = draw.pick(small_words.PAST_TIMES)
    auxiliary, participle = verbs.COME_BACK.compound(subject)
    return (
        f"{subject.en} came back from {place.en} {time[0]}.",
        f"{subject.fr} {auxiliary} {participle} de {place.fr} {time[1]}.",
    )


def came_back_from(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My sisters came back from Japan last week"."""
    subject, town, time = draw.described(), draw.town(), draw.pick(small_words.PAST_TIMES)
    auxiliary, participle = verbs.COME_BACK.compound(subject)
    return (
        f"{subject.en} came back from {town.en} {time[0]}.",
        f"{subject.fr} {auxiliary} {participle} {town.from_} {time[1]}.",
    )


def was_doing(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My mother was writing a letter when Paul arrived"."""
    subject = draw.one()
    verb, thing = draw.activity(subject)
    guest = draw.other(subject)
    auxiliary, participle = verbs.ARRIVE.compound(guest)
    return (
        f"{subject.en} was {verb.gerund} {thing.en} when {guest.en} arrived.",
        f"{subject.fr} {verb.imperfect} {thing.fr} quand {guest.fr} {auxiliary} {participle}.",
    )


def used_to(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My uncle used to buy an apple every day"."""
    subject, (verb, thing) = draw.one(), draw.habit()
    time = draw.pick(small_words.HABITS)
    return (
        f"{subject.en} used to {verb.en} {thing.en} {time[0]}.",
        f"{subject.fr} {verb.imperfect} {thing.fr} {time[1]}.",
    )


def pastime_once(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The boy was sleeping in the bedroom last night"."""
    subject, verb, place = draw.one(), draw.choose(verbs.PASTIMES), draw.place(nouns.ROOMS)
    time = draw.pick(small_words.PAST_TIMES[:4])
    return (
        f"{subject.en} was {verb.gerund} in {place.en} {time[0]}.",
        f"{subject.fr} {verb.imperfect} dans {place.fr} {time[1]}.",
    )


def pastime_yesterday(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The boy didn't sleep last night"."""
    subject, verb = draw.subject(), draw.choose(verbs.PASTIMES)
    time = draw.pick(small_words.PAST_TIMES)
    return (
        f"{subject.en} didn't {verb.en} {time[0]}.",
        f"{subject.fr} ne {verb.compound(subject)[0]} pas {verb.participle} {time[1]}.",
    )


def lost_and_found(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie lost her keys at the station"."""
    subject, thing = draw.subject(), draw.pick(nouns.BELONGINGS + nouns.CLOTHES)
    verb = draw.choose((verbs.LOSE, verbs.FIND))
    owned = own(thing, subject) if draw.chance(0.5) else the(thing)
    place = draw.place(nouns.BUILDINGS)
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {verb.past} {owned.en} at {place.en}.",
        f"{subject.fr} {auxiliary} {participle} {owned.fr} à {place.fr}.",
    )


def was_not_doing(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie wasn't writing the letter"."""
    subject, (verb, options) = draw.one(), draw.choose(verbs.ACTIVITIES)
    thing = draw.definite(draw.pick(options))
    return (
        f"{subject.en} wasn't {verb.gerund} {thing.en}.",
        f"{subject.fr} ne {verb.imperfect} pas {thing.fr}.",
    )


def formerly(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My uncle often used to buy three apples"."""
    subject, (verb, thing), frequency = draw.one(), draw.habit(), draw.pick(small_words.FREQUENCIES)
    return (
        f"{subject.en} {frequency[0]} used to {verb.en} {thing.en}.",
        f"{subject.fr} {verb.imperfect} {frequency[1]} {thing.fr}.",
    )


def pastime_interrupted(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The boy was dancing when Marie arrived"."""
    subject, verb = draw.one(), draw.choose(verbs.PASTIMES)
    guest = draw.other(subject)
    auxiliary, participle = verbs.ARRIVE.compound(guest)
    return (
        f"{subject.en} was {verb.gerund} when {guest.en} arrived.",
        f"{subject.fr} {verb.imperfect} quand {guest.fr} {auxiliary} {participle}.",
    )


def has_just_arrived(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie has just arrived at the station"."""
    subject, place = draw.subject(), draw.place(nouns.BUILDINGS)
    verb, preposition = draw.pick(((verbs.ARRIVE, "at"), (verbs.RETURN, "to")))
    return (
        f"{subject.en} {HAVE[subject.person]} just {verb.past_participle} "
        f"{preposition} {place.en}.",
        f"{subject.fr} {verbs.COME.present[subject.person]} de {verb.infinitive} à {place.fr}.",
    )


def went_with(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The girls went to the station with my aunt"."""
    subject, (verb, to, place) = draw.described(), _draw_move(draw)
    friend = draw.other(subject)
    auxiliary, participle = verb.compound(subject)
    return (
        f"{subject.en} {verb.past} {to} {place.en} with {friend.en}.",
        f"{subject.fr} {auxiliary} {participle} à {place.fr} avec {friend.fr}.",
    )


PATTERNS = (
    did,
    did_in,
    did_with,
    did_not,
    has_already,
    has_never,
    has_just,
    went,
    did_not_go,
    came_back,
    came_back_from,
    was_doing,
    used_to,
    pastime_once,
    pastime_yesterday,
    lost_and_found,
    was_not_doing,
    formerly,
    pastime_interrupted,
    has_just_arrived,
    went_with,
)
