"""Patterns of greetings and thanks."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.lexicon import nouns, people, small_words
from keras_transformer.data.phrasebook.phrases import a, some, the

_GIFTS = nouns.BELONGINGS + nouns.CLOTHES + nouns.TEXTS + nouns.FRUIT + nouns.FOOD + nouns.DRINKS


def _draw_address(draw: Draw) -> tuple[str, str]:
    """Draws a name or a title, as a form of address."""
    return draw.pick(small_words.ADDRESSES + tuple((name.en, name.fr) for name in people.NAMES))


def greets(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Goodbye, Paul, see you on Monday!"."""
    greeting, name = draw.pick(small_words.GREETINGS), _draw_address(draw)
    meeting = draw.pick(small_words.MEETINGS)
    return (
        f"{greeting[0]} {name[0]}, {meeting[0]}!",
        f"{greeting[1]} {name[1]}, {meeting[1]} !",
    )


def thanks(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Thanks for the flowers, Paul!"."""
    name, thing = _draw_address(draw), draw.definite(draw.pick(_GIFTS))
    return f"thanks for {thing.en}, {name[0]}!", f"merci pour {thing.fr}, {name[1]} !"


def here_is(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Here is a book for Marie"."""
    friend, noun = draw.somebody(), draw.pick(_GIFTS)
    thing = a(noun) if noun.counted else some(noun)
    return f"here is {thing.en} for {friend.en}.", f"voici {thing.fr} pour {friend.fr}."


def greets_with(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Hello Paul, here is your book!"."""
    greeting, name = draw.pick(small_words.GREETINGS), _draw_address(draw)
    noun = draw.pick(_GIFTS)
    thing = draw.owned(noun, people.PRONOUNS[4]) if noun.counted else the(noun)
    be = "are" if thing.plural else "is"
    return (
        f"{greeting[0]} {name[0]}, here {be} {thing.en}!",
        f"{greeting[1]} {name[1]}, voici {thing.fr} !",
    )


PATTERNS = (
    greets,
    thanks,
    here_is,
    greets_with,
)
