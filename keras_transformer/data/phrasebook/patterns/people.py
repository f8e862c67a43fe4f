"""Patterns of professions, feelings, ages and comparisons of people."""

from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.english import BE, BE_NOT, DO, WAS
from keras_transformer.data.phrasebook.french import AVOIR, ETAIT, ETRE
from keras_transformer.data.phrasebook.lexicon import adjectives, nouns, people, small_words, verbs
from keras_transformer.data.phrasebook.words import Group

_COMPARED = tuple(adjective for adjective in adjectives.OF_PEOPLE if adjective.comparative)


def _draw_profession(draw: Draw, subject: Group) -> Group:
    """Draws a profession that agrees with `subject`."""
    masculine, feminine = draw.pick(people.PROFESSIONS)
    noun = feminine if subject.gender == "f" else masculine
    if subject.plural:
        return Group(noun.en_plural, noun.fr_plural)
    return Group(f"a {noun.en}", noun.fr)


def is_profession(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "I am a student"."""
    subject = draw.single()
    return be_profession(subject, _draw_profession(draw, subject))


def be_profession(subject: Group, profession: Group) -> tuple[str, str]:
    """Writes that `subject` has a profession."""
    return (
        f"{subject.en} {BE[subject.person]} {profession.en}.",
        f"{subject.fr} {ETRE[subject.person]} {profession.fr}.",
    )


def is_not_profession(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't a doctor"."""
    subject = draw.single()
    profession = _draw_profession(draw, subject)
    return (
        f"{subject.en} {BE_NOT[subject.person]} {profession.en}.",
        f"{subject.fr} ne {ETRE[subject.person]} pas {profession.fr}.",
    )


def was_profession(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My mother was a nurse in Rome"."""
    subject, town = draw.single(), draw.town()
    profession = _draw_profession(draw, subject)
    return (
        f"{subject.en} {WAS[subject.person]} {profession.en} in {town.en}.",
        f"{subject.fr} {ETAIT[subject.person]} {profession.fr} {town.at}.",
    )


def wants_to_become(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My sister wants to become a singer"."""
    subject = draw.single()
    profession = _draw_profession(draw, subject)
    return (
        f"{subject.en} {verbs.WANT.present_en(subject.person)} to become {profession.en}.",
        f"{subject.fr} {verbs.WANT.present[subject.person]} devenir {profession.fr}.",
    )


def would_like_to_become(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My sister would like to become a singer"."""
    subject = draw.single()
    profession = _draw_profession(draw, subject)
    return (
        f"{subject.en} would like to become {profession.en}.",
        f"{subject.fr} {_WOULD_LIKE[subject.person]} devenir {profession.fr}.",
    )


def would_like_to(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie would like to buy a car"."""
    subject = draw.subject()
    verb, thing = draw.activity(subject)
    return (
        f"{subject.en} would like to {verb.en} {thing.en}.",
        f"{subject.fr} {_WOULD_LIKE[subject.person]} {verb.infinitive} {thing.fr}.",
    )


def feels(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is very happy"."""
    return _write_feeling(draw, BE, ETRE)


def felt(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie was very sad"."""
    return _write_feeling(draw, WAS, ETAIT)


def _write_feeling(draw: Draw, be: tuple[str, ...], etre: tuple[str, ...]) -> tuple[str, str]:
    """Writes a feeling with its degree, for the forms of *be* and *être* in one tense."""
    subject, adjective = draw.described(), draw.pick(adjectives.OF_PEOPLE)
    degree = draw.pick(small_words.DEGREES)
    return (
        f"{subject.en} {be[subject.person]} {degree[0]} {adjective.en}.",
        f"{subject.fr} {etre[subject.person]} {degree[1]} {adjective.agreeing(subject)}.",
    )


def does_not_feel(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't tired but sick"."""
    subject = draw.described()
    absent, present = draw.two(adjectives.MOODS)
    return (
        f"{subject.en} {BE_NOT[subject.person]} {absent.en} but {present.en}.",
        f"{subject.fr} ne {ETRE[subject.person]} pas {absent.agreeing(subject)} "
        f"mais {present.agreeing(subject)}.",
    )


def i_think(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "I think that Marie is tired"."""
    subject, adjective = draw.somebody(), draw.pick(adjectives.OF_PEOPLE)
    verb = draw.choose((verbs.THINK, verbs.SAY))
    speaker = draw.doer()
    return (
        f"{speaker.en} {verb.present_en(speaker.person)} that {subject.en} "
        f"{BE[subject.person]} {adjective.en}.",
        f"{speaker.fr} {verb.present[speaker.person]} que {subject.fr} "
        f"{ETRE[subject.person]} {adjective.agreeing(subject)}.",
    )


def do_they_think(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Does Marie think that Paul is tired?"."""
    subject, adjective = draw.somebody(), draw.pick(adjectives.OF_PEOPLE)
    verb, speaker = draw.choose((verbs.THINK, verbs.SAY)), draw.somebody()
    return (
        f"{DO[speaker.person]} {speaker.en} {verb.en} that {subject.en} "
        f"{BE[subject.person]} {adjective.en}?",
        f"est-ce que {speaker.fr} {verb.present[speaker.person]} que {subject.fr} "
        f"{ETRE[subject.person]} {adjective.agreeing(subject)} ?",
    )


def compares(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "My brother is taller than Paul"."""
    subject, adjective = draw.described(), draw.pick(_COMPARED)
    other = draw.other(subject)
    return (
        f"{subject.en} {BE[subject.person]} {adjective.comparative} than {other.en}.",
        f"{subject.fr} {ETRE[subject.person]} plus {adjective.agreeing(subject)} que {other.fr}.",
    )


def equals(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is as tall as my brother"."""
    subject, adjective = draw.described(), draw.pick(adjectives.OF_PEOPLE)
    other = draw.other(subject)
    return (
        f"{subject.en} {BE[subject.person]} as {adjective.en} as {other.en}.",
        f"{subject.fr} {ETRE[subject.person]} aussi {adjective.agreeing(subject)} que {other.fr}.",
    )


def has_years(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is ten years old"."""
    subject, number = draw.subject(), draw.pick(small_words.TENS)
    return (
        f"{subject.en} {BE[subject.person]} {number[0]} years old.",
        f"{subject.fr} {AVOIR[subject.person]} {number[1]} ans.",
    )


def is_hungry(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is always hungry"."""
    subject, feeling = draw.subject(), draw.pick(small_words.FEELINGS)
    frequency = draw.pick(small_words.FREQUENCIES)
    return (
        f"{subject.en} {BE[subject.person]} {frequency[0]} {feeling[0]}.",
        f"{subject.fr} {AVOIR[subject.person]} {frequency[1]} {feeling[1]}.",
    )


def is_not_hungry(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't hungry now"."""
    subject, feeling = draw.subject(), draw.pick(small_words.FEELINGS)
    time = draw.pick(small_words.PRESENT_TIMES)
    return (
        f"{subject.en} {BE_NOT[subject.person]} {feeling[0]} {time[0]}.",
        f"{subject.fr} ne {AVOIR[subject.person]} pas {feeling[1]} {time[1]}.",
    )


def is_afraid(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie is afraid of the spiders"."""
    subject, animal = draw.subject(), draw.definite(draw.pick(nouns.ANIMALS))
    return (
        f"{subject.en} {BE[subject.person]} afraid of {animal.en}.",
        f"{subject.fr} {AVOIR[subject.person]} peur de {animal.fr}.",
    )


_WOULD_LIKE = ("voudrais", "voudrait", "voudrions", "voudriez", "voudraient")


def is_not_afraid(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't afraid of the spiders"."""
    subject, animal = draw.subject(), draw.definite(draw.pick(nouns.ANIMALS))
    return (
        f"{subject.en} {BE_NOT[subject.person]} afraid of {animal.en}.",
        f"{subject.fr} ne {AVOIR[subject.person]} pas peur de {animal.fr}.",
    )


def is_no_longer(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't tired anymore"."""
    subject, adjective = draw.described(), draw.pick(adjectives.OF_PEOPLE)
    return (
        f"{subject.en} {BE_NOT[subject.person]} {adjective.en} anymore.",
        f"{subject.fr} ne {ETRE[subject.person]} plus {adjective.agreeing(subject)}.",
    )


def is_not_as(draw: Draw) -> tuple[str, str]:
    """Writes sentences like "Marie isn't as tall as Paul"."""
    subject, adjective = draw.described(), draw.pick(adjectives.OF_PEOPLE)
    other = draw.other(subject)
    return (
        f"{subject.en} {BE_NOT[subject.person]} as {adjective.en} as {other.en}.",
        f"{subject.fr} ne {ETRE[subject.person]} pas aussi {adjective.agreeing(subject)} "
        f"que {other.fr}.",
    )


PATTERNS = (
    is_profession,
    is_not_profession,
    was_profession,
    wants_to_become,
    would_like_to_become,
    would_like_to,
    feels,
    felt,
    does_not_feel,
    i_think,
    do_they_think,
    compares,
    equals,
    has_years,
    is_hungry,
    is_not_hungry,
    is_afraid,
    is_not_afraid,
    is_no_longer,
    is_not_as,
)
