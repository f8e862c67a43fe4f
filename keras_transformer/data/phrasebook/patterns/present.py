"""Patterns of present actions, habits and likes."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import BE, BE_NOT, DO_NOT
from keras_transformer.data.phrasebook.lexicon import nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.phrases import the, whole, without

_EDIBLE = nouns.FRUIT + nouns.FOOD + nouns.DRINKS
_LIKED = _EDIBLE + nouns.ANIMALS + nouns.TEXTS
_SHARED = tuple(action for action in verbs.HABITUAL if action[0] is not verbs.WEAR)
_CONSUMING = (verbs.EAT, verbs.DRINK, verbs.BUY, verbs.PREPARE)
_CONSUMPTION = tuple(action for action in verbs.HABITUAL if action[0] in _CONSUMING)


def right_now(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is eating an apple now"."""
    subject = draw.doer()
    verb, thing = draw.activity(subject)
    return (
        f"{subject.en} {BE[subject.person]} {verb.gerund} {thing.en} now.",
        f"{subject.fr} {verb.present[subject.person]} {thing.fr} maintenant.",
    )


def not_now(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't washing the car today"."""
    subject = draw.doer()
    verb, options = draw.choose(verbs.ACTIVITIES)
    thing = draw.definite(draw.pick(options))
    return (
        f"{subject.en} {BE_NOT[subject.person]} {verb.gerund} {thing.en} today.",
        f"{subject.fr} ne {verb.present[subject.person]} pas {thing.fr} aujourd'hui.",
    )


def again_and_again(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie eats an apple every day"."""
    subject, (verb, thing), time = draw.doer(), draw.habit(), draw.pick(small_words.HABITS)
    return (
        f"{subject.en} {verb.present_en(subject.person)} {thing.en} {time[0]}.",
        f"{subject.fr} {verb.present[subject.person]} {thing.fr} {time[1]}.",
    )


def together(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie drinks some tea with Paul"."""
    subject, (verb, thing) = draw.doer(), draw.habit(_SHARED)
    friend = draw.other(subject)
    return (
        f"{subject.en} {verb.present_en(subject.person)} {thing.en} with {friend.en}.",
        f"{subject.fr} {verb.present[subject.person]} {thing.fr} avec {friend.fr}.",
    )


def often(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie often eats an apple"."""
    subject, (verb, thing) = draw.doer(), draw.habit()
    frequency = draw.pick(small_words.FREQUENCIES)
    return (
        f"{subject.en} {frequency[0]} {verb.present_en(subject.person)} {thing.en}.",
        f"{subject.fr} {verb.present[subject.person]} {frequency[1]} {thing.fr}.",
    )


def never(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie never eats apples"."""
    subject, (verb, options) = draw.doer(), draw.choose(_CONSUMPTION)
    thing = without(draw.pick(options))
    return (
        f"{subject.en} never {verb.present_en(subject.person)} {thing.en}.",
        f"{subject.fr} ne {verb.present[subject.person]} jamais {thing.fr}.",
    )


def no_longer(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie doesn't eat apples anymore"."""
    subject, (verb, options) = draw.doer(), draw.choose(_CONSUMPTION)
    thing = without(draw.pick(options))
    return (
        f"{subject.en} {DO_NOT[subject.person]} {verb.en} {thing.en} anymore.",
        f"{subject.fr} ne {verb.present[subject.person]} plus {thing.fr}.",
    )


def pastime(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The boys are dancing in the garden today"."""
    subject, verb = draw.doer(), draw.choose(verbs.PASTIMES)
    place, time = draw.place(nouns.ROOMS + nouns.OUTDOORS), draw.pick(small_words.PRESENT_TIMES)
    return (
        f"{subject.en} {BE[subject.person]} {verb.gerund} in {place.en} {time[0]}.",
        f"{subject.fr} {verb.present[subject.person]} dans {place.fr} {time[1]}.",
    )


def pastime_again(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "The boys dance in the garden every day"."""
    subject = people.PRONOUNS[0] if draw.chance(0.5) else draw.several()
    verb, time = draw.choose(verbs.PASTIMES), draw.pick(small_words.HABITS)
    place = draw.place(nouns.ROOMS + nouns.OUTDOORS)
    return (
        f"{subject.en} {verb.en} in {place.en} {time[0]}.",
        f"{subject.fr} {verb.present[subject.person]} dans {place.fr} {time[1]}.",
    )


def instrument(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie plays the piano on Mondays"."""
    subject, thing = draw.doer(), draw.place(nouns.INSTRUMENTS)
    time = draw.pick(small_words.HABITS)
    return (
        f"{subject.en} {verbs.PLAY.present_en(subject.person)} {thing.en} {time[0]}.",
        f"{subject.fr} {verbs.PLAY.present[subject.person]} de {thing.fr} {time[1]}.",
    )


def likes(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie likes apples but not milk"."""
    subject = draw.subject()
    liked, disliked = map(whole, draw.two(_LIKED))
    return (
        f"{subject.en} {verbs.LIKE.present_en(subject.person)} {liked.en} but not {disliked.en}.",
        f"{subject.fr} {verbs.LIKE.present[subject.person]} {liked.fr} mais pas {disliked.fr}.",
    )


def dislikes(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie doesn't like spiders"."""
    subject, thing = draw.subject(), whole(draw.pick(_LIKED))
    return (
        f"{subject.en} {DO_NOT[subject.person]} like {thing.en}.",
        f"{subject.fr} ne {verbs.LIKE.present[subject.person]} pas {thing.fr}.",
    )


def prefers(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie prefers tea to coffee"."""
    subject = draw.subject()
    better, other = map(whole, draw.two(_EDIBLE))
    return (
        f"{subject.en} {verbs.PREFER.present_en(subject.person)} {better.en} to {other.en}.",
        f"{subject.fr} {verbs.PREFER.present[subject.person]} {better.fr} à {other.fr}.",
    )


def instrument_skill(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie knows how to play the piano and the flute"."""
    subject = draw.subject()
    one, two = map(the, draw.two(nouns.INSTRUMENTS))
    know = verbs.KNOW
    return (
        f"{subject.en} {know.present_en(subject.person)} how to play {one.en} and {two.en}.",
        f"{subject.fr} {know.present[subject.person]} jouer de {one.fr} et de {two.fr}.",
    )


def speaks(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie speaks French and Italian"."""
    subject = draw.doer()
    one, two = draw.two(nouns.LANGUAGES)
    return (
        f"{subject.en} {verbs.SPEAK.present_en(subject.person)} {one.en} and {two.en}.",
        f"{subject.fr} {verbs.SPEAK.present[subject.person]} {one.fr} et {two.fr}.",
    )


def plays_one(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie plays the piano but not the flute"."""
    subject, (one, two) = draw.doer(), map(the, draw.two(nouns.INSTRUMENTS))
    return (
        f"{subject.en} {verbs.PLAY.present_en(subject.person)} {one.en} but not {two.en}.",
        f"{subject.fr} {verbs.PLAY.present[subject.person]} de {one.fr} mais pas de {two.fr}.",
    )


def speaks_with(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie speaks French with Paul"."""
    subject, language = draw.doer(), draw.pick(nouns.LANGUAGES)
    friend = draw.other(subject)
    return (
        f"{subject.en} {verbs.SPEAK.present_en(subject.person)} {language.en} with {friend.en}.",
        f"{subject.fr} {verbs.SPEAK.present[subject.person]} {language.fr} avec {friend.fr}.",
    )


def finds_never(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie never finds her keys"."""
    subject = draw.doer()
    thing = draw.owned(draw.pick(nouns.BELONGINGS + nouns.CLOTHES), subject)
    return (
        f"{subject.en} never {verbs.FIND.present_en(subject.person)} {thing.en}.",
        f"{subject.fr} ne {verbs.FIND.present[subject.person]} jamais {thing.fr}.",
    )


PATTERNS = (
    right_now,
    not_now,
    again_and_again,
    together,
    often,
    never,
    no_longer,
    pastime,
    pastime_again,
    instrument,
    likes,
    dislikes,
    prefers,
    instrument_skill,
    speaks,
    plays_one,
    speaks_with,
    finds_never,
)
