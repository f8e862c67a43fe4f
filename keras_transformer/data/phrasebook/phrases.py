"""Noun phrases: a noun with its determiner, in both languages."""

from keras_transformer.data.phrasebook.words import Group, Noun, Person

_THE = {"m": "le", "f": "la"}
_A = {"m": "un", "f": "une"}
_THIS = {"m": "ce", "f": "cette"}
_OWN_EN = ("my", "his", "our", "your", "their")
_OWN_FR = (
    ("mon", "ma", "mes"),
    ("son", "sa", "ses"),
    ("notre", "notre", "nos"),
    ("votre", "votre", "vos"),
    ("leur", "leur", "leurs"),
)


def the(noun: Noun) -> Group:
    """Returns `the dog`.

    >>> from keras_transformer.data.phrasebook.words import nouns
    >>> dog, = nouns("dog chien m")
    >>> the(dog).fr, a(dog).fr, this(dog).fr, all_the(dog).fr, number(dog, ("two", "deux")).fr
    ('le chien', 'un chien', 'ce chien', 'les chiens', 'deux chiens')
    """
    return Group(f"the {noun.en}", f"{_THE[noun.gender]} {noun.fr}", noun.gender)


def a(noun: Noun) -> Group:
    """Returns `a dog`."""
    return Group(f"a {noun.en}", f"{_A[noun.gender]} {noun.fr}", noun.gender)


def this(noun: Noun) -> Group:
    """Returns `this dog`."""
    return Group(f"this {noun.en}", f"{_THIS[noun.gender]} {noun.fr}", noun.gender)


def all_the(noun: Noun) -> Group:
    """Returns `the dogs`."""
    return _many(noun, "the", "les")


def these(noun: Noun) -> Group:
    """Returns `these dogs`."""
    return _many(noun, "these", "ces")


def number(noun: Noun, value: tuple[str, str]) -> Group:
    """Returns `two dogs` for the number `("two", "deux")`."""
    return _many(noun, *value)


def some(noun: Noun) -> Group:
    """Returns `some dogs`, or `some milk` for a mass noun.

    >>> from keras_transformer.data.phrasebook.words import nouns
    >>> milk, = nouns("milk/- lait m")
    >>> some(milk).fr, whole(milk).fr, without(milk).fr
    ('de le lait', 'le lait', 'de lait')
    """
    if noun.counted:
        return _many(noun, "some", "des")
    return Group(f"some {noun.en}", f"de {the(noun).fr}", noun.gender)


def whole(noun: Noun) -> Group:
    """Returns the noun in general, as after *like*: `dogs`, `milk`."""
    if noun.counted:
        return all_the(noun)._replace(en=noun.en_plural)
    return the(noun)._replace(en=noun.en)


def without(noun: Noun) -> Group:
    """Returns the form that follows a French negation or quantity: `dogs`, `milk`."""
    if noun.counted:
        return _many(noun, "", "de")
    return Group(noun.en, f"de {noun.fr}", noun.gender)


def own(noun: Noun, owner: Group) -> Group:
    """Returns `her dog`: English agrees with the owner, French with the noun.

    >>> from keras_transformer.data.phrasebook.words import nouns
    >>> dog, = nouns("dog chien m")
    >>> own(dog, Group("Marie", "Marie", "f"))[:2]
    ('her dog', 'son chien')
    """
    french = _OWN_FR[owner.person][noun.gender == "f"]
    return Group(f"{_possessive_en(owner)} {noun.en}", f"{french} {noun.fr}", noun.gender)


def all_own(noun: Noun, owner: Group) -> Group:
    """Returns `her dogs`."""
    return _many(noun, _possessive_en(owner), _OWN_FR[owner.person][2])


def _possessive_en(owner: Group) -> str:
    if owner.person is Person.HE and owner.gender == "f":
        return "her"
    return _OWN_EN[owner.person]


def _many(noun: Noun, en: str, fr: str) -> Group:
    return Group(
        f"{en} {noun.en_plural}".strip(), f"{fr} {noun.fr_plural}", noun.gender, True, Person.THEY
    )
