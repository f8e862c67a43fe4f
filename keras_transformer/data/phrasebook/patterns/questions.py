"""Patterns of questions: yes or no, who, what, where, when, why, how many and how much."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import BE, DO, HAVE
from keras_transformer.data.phrasebook.french import ALLER, AVOIR, ETRE
from keras_transformer.data.phrasebook.lexicon import adjectives, nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.phrases import whole, without

_GOODS = nouns.FRUIT + nouns.CLOTHES + nouns.BELONGINGS + nouns.VEHICLES + nouns.FURNITURE
_BOUGHT = _GOODS + nouns.FOOD + nouns.DRINKS + nouns.TEXTS


def do_they(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Does Marie often eat an apple?"."""
    subject, (verb, thing) = draw.somebody(), draw.habit()
    frequency = draw.pick(small_words.FREQUENCIES)
    return (
        f"{DO[subject.person]} {subject.en} {frequency[0]} {verb.en} {thing.en}?",
        f"est-ce que {subject.fr} {verb.present[subject.person]} {frequency[1]} {thing.fr} ?",
    )


def did_they(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Did Marie eat the apple?"."""
    subject = draw.subject()
    verb, thing = draw.action(subject)
    auxiliary, participle = verb.compound(subject)
    return (
        f"did {subject.en} {verb.en} {thing.en}?",
        f"est-ce que {subject.fr} {auxiliary} {participle} {thing.fr} ?",
    )


def who_did(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Who ate the apple?"."""
    verb, options = draw.choose(verbs.ACTIONS)
    thing = draw.definite(draw.pick(options))
    return f"who {verb.past} {thing.en}?", f"qui a {verb.participle} {thing.fr} ?"


def what_did(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "What did Marie buy yesterday?"."""
    subject, time = draw.subject(), draw.pick(small_words.PAST_TIMES)
    verb = draw.choose(verbs.ACTIONS)[0]
    auxiliary, participle = verb.compound(subject)
    return (
        f"what did {subject.en} {verb.en} {time[0]}?",
        f"qu'est-ce que {subject.fr} {auxiliary} {participle} {time[1]} ?",
    )


def where_is(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Where are my keys?"."""
    owner = draw.pick(people.OWNERS) if draw.chance(0.5) else draw.subject()
    thing = draw.owned(draw.pick(nouns.BELONGINGS + nouns.CLOTHES + nouns.BAGS), owner)
    return f"where {BE[thing.person]} {thing.en}?", f"où {ETRE[thing.person]} {thing.fr} ?"


def when_going(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "When is Marie going to wash the car?"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIVITIES)
    thing = draw.definite(draw.pick(options))
    return (
        f"when {BE[subject.person]} {subject.en} going to {verb.en} {thing.en}?",
        f"quand est-ce que {subject.fr} {ALLER[subject.person]} {verb.infinitive} {thing.fr} ?",
    )


def why(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Why is Marie tired?"."""
    subject, adjective = draw.described(), draw.pick(adjectives.MOODS)
    return (
        f"why {BE[subject.person]} {subject.en} {adjective.en}?",
        f"pourquoi est-ce que {subject.fr} {ETRE[subject.person]} {adjective.agreeing(subject)} ?",
    )


def why_doing(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Why is Marie dancing in the garden?"."""
    subject, verb = draw.doer(), draw.choose(verbs.PASTIMES)
    place = draw.place(nouns.ROOMS + nouns.OUTDOORS)
    return (
        f"why {BE[subject.person]} {subject.en} {verb.gerund} in {place.en}?",
        f"pourquoi est-ce que {subject.fr} {verb.present[subject.person]} dans {place.fr} ?",
    )


def how_many(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "How many apples is Marie going to buy?"."""
    subject, verb = draw.subject(), draw.choose((verbs.BUY, verbs.SELL, verbs.BRING))
    thing = without(draw.pick(_GOODS))
    return (
        f"how many {thing.en} {BE[subject.person]} {subject.en} going to {verb.en}?",
        f"combien {thing.fr} est-ce que {subject.fr} {ALLER[subject.person]} {verb.infinitive} ?",
    )


def how_many_on(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "How many apples are there on the table?"."""
    thing = without(draw.pick(nouns.FRUIT + nouns.BELONGINGS + nouns.TEXTS))
    preposition, place = draw.spot()
    return (
        f"how many {thing.en} are there {preposition[0]} {place.en}?",
        f"combien {thing.fr} est-ce que il y a {preposition[1]} {place.fr} ?",
    )


def how_much(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "How much do these apples cost in Paris?"."""
    thing, town = draw.demonstrative(draw.pick(_BOUGHT)), draw.town()
    cost = "coûtent" if thing.plural else "coûte"
    return (
        f"how much {DO[thing.person]} {thing.en} cost in {town.en}?",
        f"combien {cost} {thing.fr} {town.at} ?",
    )


def speaks_or(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Does Marie speak French or Italian?"."""
    subject, (one, two) = draw.somebody(), draw.two(nouns.LANGUAGES)
    return (
        f"{DO[subject.person]} {subject.en} speak {one.en} or {two.en}?",
        f"est-ce que {subject.fr} {verbs.SPEAK.present[subject.person]} {one.fr} ou {two.fr} ?",
    )


def can_they(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Can Marie open the door?"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIVITIES)
    thing = draw.definite(draw.pick(options))
    return (
        f"can {subject.en} {verb.en} {thing.en}?",
        f"est-ce que {subject.fr} {verbs.CAN.present[subject.person]} {verb.infinitive} "
        f"{thing.fr} ?",
    )


def what_going_to(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "What is Marie going to buy tomorrow?"."""
    subject, time = draw.subject(), draw.pick(small_words.FUTURE_TIMES)
    verb = draw.choose(verbs.ACTIONS)[0]
    return (
        f"what {BE[subject.person]} {subject.en} going to {verb.en} {time[0]}?",
        f"qu'est-ce que {subject.fr} {ALLER[subject.person]} {verb.infinitive} {time[1]} ?",
    )


def did_they_dance(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Did Marie dance in the garden?"."""
    subject, verb = draw.subject(), draw.choose(verbs.PASTIMES)
    place = draw.place(nouns.ROOMS + nouns.OUTDOORS)
    auxiliary, participle = verb.compound(subject)
    return (
        f"did {subject.en} {verb.en} in {place.en}?",
        f"est-ce que {subject.fr} {auxiliary} {participle} dans {place.fr} ?",
    )


def how_much_food(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "How much milk is Marie going to buy?"."""
    subject, verb = draw.subject(), draw.choose((verbs.BUY, verbs.SELL, verbs.BRING))
    thing = without(draw.pick(nouns.FOOD + nouns.DRINKS))
    return (
        f"how much {thing.en} {BE[subject.person]} {subject.en} going to {verb.en}?",
        f"combien {thing.fr} est-ce que {subject.fr} {ALLER[subject.person]} {verb.infinitive} ?",
    )


def who_gave(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Who gave this apple to Marie?"."""
    verb, friend = draw.choose((verbs.GIVE, verbs.SHOW)), draw.somebody()
    thing = draw.demonstrative(draw.pick(nouns.BELONGINGS + nouns.TEXTS))
    return (
        f"who {verb.past} {thing.en} to {friend.en}?",
        f"qui a {verb.participle} {thing.fr} à {friend.fr} ?",
    )


def is_taller(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Is Marie taller than Paul?"."""
    options = [adjective for adjective in adjectives.OF_PEOPLE if adjective.comparative]
    subject, adjective = draw.described(), draw.pick(options)
    other = draw.other(subject)
    return (
        f"{BE[subject.person]} {subject.en} {adjective.comparative} than {other.en}?",
        f"est-ce que {subject.fr} {ETRE[subject.person]} plus {adjective.agreeing(subject)} "
        f"que {other.fr} ?",
    )


def is_it_bigger(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Is this car bigger than my truck?"."""
    options = [adjective for adjective in adjectives.OF_THINGS if adjective.comparative]
    one, two = draw.two(draw.choose(nouns.KINDS))
    thing, other = draw.demonstrative(one), draw.owned(two, draw.pick(people.OWNERS))
    adjective = draw.pick(options)
    return (
        f"{BE[thing.person]} {thing.en} {adjective.comparative} than {other.en}?",
        f"est-ce que {thing.fr} {ETRE[thing.person]} plus {adjective.agreeing(thing)} "
        f"que {other.fr} ?",
    )


def how_old(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Is Marie ten years old?"."""
    subject, number = draw.subject(), draw.pick(small_words.TENS)
    return (
        f"{BE[subject.person]} {subject.en} {number[0]} years old?",
        f"est-ce que {subject.fr} {AVOIR[subject.person]} {number[1]} ans ?",
    )


def is_it_going_to_rain(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Is it going to rain in Paris tomorrow?"."""
    weather, town = draw.pick(small_words.WEATHER), draw.town()
    time = draw.pick(small_words.FUTURE_TIMES)
    return (
        f"is it going to {weather[2]} in {town.en} {time[0]}?",
        f"est-ce que il va {weather[5]} {town.at} {time[1]} ?",
    )


def have_they_already(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Has Marie already eaten the apple?"."""
    subject, (verb, options) = draw.subject(), draw.choose(verbs.ACTIONS)
    thing = draw.definite(draw.pick(options))
    auxiliary, participle = verb.compound(subject)
    return (
        f"{HAVE[subject.person]} {subject.en} already {verb.past_participle} {thing.en}?",
        f"est-ce que {subject.fr} {auxiliary} déjà {participle} {thing.fr} ?",
    )


def prefer_or(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Does Marie prefer tea or coffee?"."""
    subject, verb = draw.subject(), verbs.PREFER
    one, two = map(whole, draw.two(nouns.FRUIT + nouns.FOOD + nouns.DRINKS))
    return (
        f"{DO[subject.person]} {subject.en} {verb.en} {one.en} or {two.en}?",
        f"est-ce que {subject.fr} {verb.present[subject.person]} {one.fr} ou {two.fr} ?",
    )


def where_did(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Where did Marie hide her keys?"."""
    subject = draw.subject()
    verb = draw.choose((verbs.FIND, verbs.LOSE, verbs.BUY, verbs.HIDE, verbs.SEE))
    thing = draw.owned(draw.pick(nouns.BELONGINGS + nouns.CLOTHES), subject)
    auxiliary, participle = verb.compound(subject)
    return (
        f"where did {subject.en} {verb.en} {thing.en}?",
        f"où est-ce que {subject.fr} {auxiliary} {participle} {thing.fr} ?",
    )


PATTERNS = (
    do_they,
    did_they,
    who_did,
    what_did,
    where_is,
    when_going,
    why,
    why_doing,
    how_many,
    how_many_on,
    how_much,
    speaks_or,
    can_they,
    what_going_to,
    did_they_dance,
    how_much_food,
    who_gave,
    is_taller,
    is_it_bigger,
    how_old,
    is_it_going_to_rain,
    have_they_already,
    prefer_or,
    where_did,
)
