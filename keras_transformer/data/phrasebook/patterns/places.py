"""Patterns of places, travel and the weather."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import BE
from keras_transformer.data.phrasebook.lexicon import nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.phrases import all_the, without

_SCENERY = nouns.BUILDINGS + nouns.SPACES


def lives(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My aunt lives in Rome"."""
    subject, town = draw.doer(), draw.town()
    verb = draw.choose((verbs.LIVE, verbs.WORK))
    return (
        f"{subject.en} {verb.present_en(subject.person)} in {town.en}.",
        f"{subject.fr} {verb.present[subject.person]} {town.at}.",
    )


def comes_from(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My aunt comes from Rome"."""
    subject, town = draw.subject(), draw.town()
    return (
        f"{subject.en} {verbs.COME.present_en(subject.person)} from {town.en}.",
        f"{subject.fr} {verbs.COME.present[subject.person]} {town.from_}.",
    )


def weather_now(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "It is cold in Paris today"."""
    weather, town, time = (
        draw.pick(small_words.WEATHER),
        draw.town(),
        draw.pick(small_words.PRESENT_TIMES),
    )
    return f"{weather[0]} in {town.en} {time[0]}.", f"{weather[3]} {town.at} {time[1]}."


def weather_past(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "It was raining in Paris yesterday"."""
    weather, town = draw.pick(small_words.WEATHER), draw.town()
    time = draw.pick(small_words.PAST_TIMES)
    return f"{weather[1]} in {town.en} {time[0]}.", f"{weather[4]} {town.at} {time[1]}."


def weather_future(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "It is going to rain in Paris tomorrow"."""
    weather, town = draw.pick(small_words.WEATHER), draw.town()
    time = draw.pick(small_words.FUTURE_TIMES)
    return (
        f"it is going to {weather[2]} in {town.en} {time[0]}.",
        f"il va {weather[5]} {town.at} {time[1]}.",
    )


def many_places(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "There are many bridges in Paris"."""
    places, town = without(draw.choose(_SCENERY)), draw.town()
    quantity = draw.pick(small_words.QUANTITIES)
    return (
        f"there are {quantity[0]} {places.en} in {town.en}.",
        f"il y a {quantity[1]} {places.fr} {town.at}.",
    )


def likes_places(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie likes the bridges of Paris"."""
    subject, town, places = draw.subject(), draw.town(), all_the(draw.choose(_SCENERY))
    return (
        f"{subject.en} {verbs.LIKE.present_en(subject.person)} {places.en} of {town.en}.",
        f"{subject.fr} {verbs.LIKE.present[subject.person]} {places.fr} {town.from_}.",
    )


def comes_home(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My aunt comes from Italy but lives in Paris"."""
    subject, (one, two) = draw.doer(), draw.two(people.TOWNS)
    return (
        f"{subject.en} {verbs.COME.present_en(subject.person)} from {one.en} "
        f"but {verbs.LIVE.present_en(subject.person)} in {two.en}.",
        f"{subject.fr} {verbs.COME.present[subject.person]} {one.from_} "
        f"mais {verbs.LIVE.present[subject.person]} {two.at}.",
    )


def animal_where(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The cats are sleeping behind the station"."""
    animal, verb = draw.definite(draw.pick(nouns.ANIMALS)), draw.choose(_ANIMAL_VERBS)
    position, place = draw.pick(small_words.NEAR), draw.place(nouns.BUILDINGS)
    return (
        f"{animal.en} {BE[animal.person]} {verb.gerund} {position[0]} {place.en}.",
        f"{animal.fr} {verb.present[animal.person]} {position[1]} {place.fr}.",
    )


def works_at(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My uncle works at the hospital every day"."""
    subject, place = draw.doer(), draw.place(nouns.BUILDINGS)
    verb, time = verbs.WORK, draw.pick(small_words.HABITS)
    return (
        f"{subject.en} {verb.present_en(subject.person)} at {place.en} {time[0]}.",
        f"{subject.fr} {verb.present[subject.person]} à {place.fr} {time[1]}.",
    )


def rained_when(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "It was raining when Marie arrived at the station"."""
    subject, weather = draw.subject(), draw.pick(small_words.WEATHER)
    place = draw.place(nouns.BUILDINGS)
    auxiliary, participle = verbs.ARRIVE.compound(subject)
    return (
        f"{weather[1]} when {subject.en} arrived at {place.en}.",
        f"{weather[4]} quand {subject.fr} {auxiliary} {participle} à {place.fr}.",
    )


_ANIMAL_VERBS = (verbs.SLEEP, verbs.PLAY, verbs.WALK)


def animal_no_longer(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The dog doesn't follow the path anymore"."""
    animal = draw.place(nouns.ANIMALS)
    verb, options = draw.choose(_ANIMAL_ACTIONS)
    place = draw.place(options)
    return (
        f"{animal.en} doesn't {verb.en} {place.en} anymore.",
        f"{animal.fr} ne {verb.present[animal.person]} plus {place.fr}.",
    )


_MOVEMENTS = (verbs.CROSS, verbs.FOLLOW, verbs.CLIMB, verbs.EXPLORE)
_ANIMAL_ACTIONS = tuple(action for action in verbs.ACTIONS if action[0] in _MOVEMENTS)


def travels(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My aunt wants to go to Rome next week"."""
    subject, town, time = draw.subject(), draw.town(), draw.pick(small_words.FUTURE_TIMES)
    return (
        f"{subject.en} {verbs.WANT.present_en(subject.person)} to go to {town.en} {time[0]}.",
        f"{subject.fr} {verbs.WANT.present[subject.person]} aller {town.at} {time[1]}.",
    )


PATTERNS = (
    rained_when,
    lives,
    comes_from,
    weather_now,
    weather_past,
    weather_future,
    many_places,
    likes_places,
    comes_home,
    animal_where,
    works_at,
    animal_no_longer,
    travels,
)
