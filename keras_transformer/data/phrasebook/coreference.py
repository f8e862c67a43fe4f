"""Coreference sentences, in which the pronoun *it* refers to one of two nouns.

In the article's sentence *The animal didn't cross the street because it was too tired*, French must
choose *il* (l'animal) or *elle* (la rue), and only the adjective determines the noun. Every
adjective below applies to only one of the two nouns. Each sentence has a twin whose adjective
applies to the other noun.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.lexicon import nouns, verbs
from keras_transformer.data.phrasebook.phrases import the
from keras_transformer.data.phrasebook.words import Adjective, Noun, Verb, adjectives

Pair = tuple[str, str]

OF_ANIMALS = adjectives("""
    tired      fatigué
    hungry     affamé
    lazy       paresseux
    frightened effrayé
    old        vieux/vieille
    young      jeune
    sick       malade
    weak       faible
    slow       lent
    shy        timide
    nervous    nerveux
    worried    inquiet/inquiète
""")

OF_PLACES = adjectives("""
    wide      large
    long      long/longue
    narrow    étroit
    busy      fréquenté
    crowded   bondé
    dangerous dangereux
    slippery  glissant
    steep     raide
    high      haut
    deep      profond
    dark      sombre
    vast      vaste
    noisy     bruyant
""")

# A verb, a place, and the adjectives of the place that may keep an animal from doing it.
_OBSTACLES = """
    cross   street    wide busy dangerous crowded slippery noisy
    cross   road      wide busy dangerous slippery
    cross   avenue    wide busy dangerous crowded
    cross   boulevard wide busy dangerous noisy
    cross   square    wide crowded busy noisy
    cross   river     wide deep dangerous
    cross   stream    wide deep
    cross   canal     wide deep dangerous
    cross   lake      wide deep vast
    cross   bridge    long narrow high slippery busy
    cross   tunnel    long dark narrow
    cross   forest    dark dangerous vast
    cross   park      crowded vast dark
    cross   garden    dark vast
    cross   field     vast wide
    cross   meadow    vast wide
    cross   desert    vast dangerous
    cross   valley    deep wide vast
    cross   village   noisy crowded
    cross   beach     crowded wide
    cross   mountain  high steep dangerous
    follow  street    long dark noisy narrow
    follow  road      long busy dangerous narrow
    follow  avenue    long noisy busy
    follow  boulevard long noisy busy
    follow  path      long steep narrow dark slippery
    follow  river     long dangerous
    follow  stream    long slippery
    follow  canal     long
    climb   hill      steep high slippery
    climb   mountain  steep high dangerous
    climb   slope     steep high slippery long
    climb   volcano   steep high dangerous
    climb   path      steep long slippery
    explore forest    dark vast dangerous
    explore cave      dark deep narrow dangerous
    explore tunnel    dark narrow long
    explore volcano   dangerous
    explore desert    vast dangerous
    explore valley    deep vast
    explore village   noisy crowded
    explore beach     crowded vast
    explore garden    dark vast
    explore park      crowded vast
    explore meadow    vast
    explore field     vast
    explore mountain  dangerous vast
"""


@dataclass(frozen=True, eq=False)
class Obstacle:
    """A place, the verb of what an animal would do there, and adjectives that prevent it."""

    verb: Verb
    place: Noun
    adjectives: tuple[Adjective, ...]


def _read_obstacles() -> tuple[Obstacle, ...]:
    verb_of = {verb.en: verb for verb in (verbs.CROSS, verbs.FOLLOW, verbs.CLIMB, verbs.EXPLORE)}
    place_of = {noun.en: noun for noun in nouns.LANDSCAPE}
    adjective_of = {adjective.en: adjective for adjective in OF_PLACES}
    rows = map(str.split, _OBSTACLES.strip().splitlines())
    return tuple(
        Obstacle(verb_of[verb], place_of[place], tuple(adjective_of[word] for word in words))
        for verb, place, *words in rows
    )


OBSTACLES = _read_obstacles()


@dataclass(frozen=True)
class Form:
    """A form of the negated main clause in both languages, and the tense of the reason."""

    name: str
    en: Callable[[Verb], str]
    fr: Callable[[Verb], str]
    present: bool


FORMS = (
    Form("it_did_not", lambda v: f"didn't {v.en}", lambda v: f"ne a pas {v.participle}", False),
    Form(
        "it_could_not", lambda v: f"couldn't {v.en}", lambda v: f"ne a pas pu {v.infinitive}", False
    ),
    Form(
        "it_never_did", lambda v: f"never {v.past}", lambda v: f"ne a jamais {v.participle}", False
    ),
    Form("it_does_not", lambda v: f"doesn't {v.en}", lambda v: f"ne {v.present[1]} pas", True),
    Form("it_cannot", lambda v: f"can't {v.en}", lambda v: f"ne peut pas {v.infinitive}", True),
    Form(
        "it_is_not_going_to",
        lambda v: f"isn't going to {v.en}",
        lambda v: f"ne va pas {v.infinitive}",
        True,
    ),
    Form(
        "it_does_not_want_to",
        lambda v: f"doesn't want to {v.en}",
        lambda v: f"ne veut pas {v.infinitive}",
        True,
    ),
)


def refuse(
    form: Form, animal: Noun, obstacle: Obstacle, of_animal: bool, adjective: Adjective
) -> Pair:
    """Writes one sentence in which *it* refers to the animal or to the place.

    >>> street = OBSTACLES[0]
    >>> print(refuse(FORMS[0], nouns.ANIMALS[0], street, False, street.adjectives[0])[1])
    le animal ne a pas traversé la rue parce que elle était trop large.
    """
    subject, place = the(animal), the(obstacle.place)
    referent = subject if of_animal else place
    pronoun = "elle" if referent.gender == "f" else "il"
    be = ("is", "est") if form.present else ("was", "était")
    return (
        f"{subject.en} {form.en(obstacle.verb)} {place.en} because it {be[0]} too {adjective.en}.",
        f"{subject.fr} {form.fr(obstacle.verb)} {place.fr} "
        f"parce que {pronoun} {be[1]} trop {adjective.agreeing(referent)}.",
    )


def twins(draw: Draw, form: Form, animal: Noun, obstacle: Obstacle) -> tuple[Pair, Pair]:
    """Writes a sentence in which *it* is the animal, and its twin in which *it* is the place."""
    return (
        refuse(form, animal, obstacle, True, draw.pick(OF_ANIMALS)),
        refuse(form, animal, obstacle, False, draw.pick(obstacle.adjectives)),
    )


def _make_pattern(form: Form) -> Callable[[Draw], Pair]:
    """Returns the pattern that writes sentences of a form."""

    def pattern(draw: Draw) -> Pair:
        obstacle = draw.pick(_BY_PLACE[draw.pick(nouns.LANDSCAPE)])
        return twins(draw, form, draw.pick(nouns.ANIMALS), obstacle)[draw.chance(0.5)]

    pattern.__name__ = form.name
    pattern.__doc__ = f"Writes a sentence of the form `{form.name}`."
    return pattern


TOO_BIG = adjectives("""
    big   grand
    wide  large
    bulky volumineux
""")
TOO_SMALL = adjectives("""
    small  petit
    narrow étroit
    full   plein
""")
_FITTING_NAMES = (
    "phone umbrella computer ball doll toy gift lamp clock mirror hat coat guitar violin"
)
_FITTING = tuple(
    noun
    for noun in nouns.BELONGINGS + nouns.CLOTHES + nouns.INSTRUMENTS
    if noun.en in _FITTING_NAMES.split()
)


def _write_fitting(draw: Draw, en: str, fr: str, be: Pair) -> Pair:
    """Writes a sentence in which a thing does not fit in a container, for one tense."""
    thing, container = the(draw.pick(_FITTING)), the(draw.pick(nouns.CONTAINERS))
    too_big = draw.chance(0.5)
    referent = thing if too_big else container
    adjective = draw.pick(TOO_BIG if too_big else TOO_SMALL)
    pronoun = "elle" if referent.gender == "f" else "il"
    return (
        f"{thing.en} {en} in {container.en} because it {be[0]} too {adjective.en}.",
        f"{thing.fr} ne {fr} pas dans {container.fr} "
        f"parce que {pronoun} {be[1]} trop {adjective.agreeing(referent)}.",
    )


def does_not_fit(draw: Draw) -> Pair:
    """Writes sentences like "The phone doesn't fit in the drawer because it is too small"."""
    return _write_fitting(draw, "doesn't fit", "entre", ("is", "est"))


def did_not_fit(draw: Draw) -> Pair:
    """Writes sentences like "The phone didn't fit in the drawer because it was too big"."""
    return _write_fitting(draw, "didn't fit", "entrait", ("was", "était"))


_BY_PLACE = {
    place: tuple(obstacle for obstacle in OBSTACLES if obstacle.place is place)
    for place in nouns.LANDSCAPE
}
REFUSALS = tuple(map(_make_pattern, FORMS))
FITTING = (does_not_fit, did_not_fit)
PATTERNS = (*REFUSALS, *FITTING)
WORDS = frozenset(_OBSTACLES.split())
