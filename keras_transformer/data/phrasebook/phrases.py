"""Noun groups: a noun with its determiner, in both languages at once."""

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
    """Return `the dog`.

    >>> from keras_transformer.data.phrasebook.words import nouns
    >>> dog, = nouns("dog chien m")
    >>> the(dog).fr, a(dog).fr, this(dog).fr, all_the(dog).fr, number(dog, ("two", "deux")).fr
    ('le chien', 'un chien', 'ce chien', 'les chiens', 'deux chiens')
    """
    return Group(f"the {noun.en}", f"{_THE[noun.gender]} {noun.fr}", noun.gender)


def a(noun: Noun) -> Group:
    """Return `a dog`."""
    return Group(f"a {noun.en}", f"{_A[noun.gender]} {noun.fr}", noun.gender)


def this(noun: Noun) -> Group:
    """Return `this dog`."""
    return Group(f"this {noun.en}", f"{_THIS[noun.gender]} {noun.fr}", noun.gender)


def all_the(noun: Noun) -> Group:
    """Return `the dogs`."""
    return _many(noun, "the", "les")


def these(noun: Noun) -> Group:
    """Return `these dogs`."""
    return _many(noun, "these", "ces")


def number(noun: Noun, value: tuple[str, str]) -> Group:
    """Return `two dogs` for the number `("two", "deux")`."""
    return _many(noun, *value)


def some(noun: Noun) -> Group:
    """Return `some dogs`, or `some milk` where nothing is counted.

    >>> from keras_transformer.data.phrasebook.words import nouns
    >>> milk, = nouns("milk/- lait m")
    >>> some(milk).fr, whole(milk).fr, without(milk).fr
    ('de le lait', 'le lait', 'de lait')
    """
    if noun.counted:
        return _many(noun, "some", "des")
    return Group(f"some {noun.en}", f"de {the(noun).fr}", noun.gender)


def whole(noun: Noun) -> Group:
    """Return what one likes or dislikes: `dogs`, `milk`."""
    if noun.counted:
        return all_the(noun)._replace(en=noun.en_plural)
    return the(noun)._replace(en=noun.en)


def without(noun: Noun) -> Group:
    """Return what follows a French negation or quantity: `dogs`, `milk`."""
    if noun.counted:
        return _many(noun, "", "de")
    return Group(noun.en, f"de {noun.fr}", noun.gender)


def own(noun: Noun, owner: Group) -> Group:
    """Return `her dog`: the owner decides the English word, the noun the French one.

    >>> from keras_transformer.data.phrasebook.words import nouns
    >>> dog, = nouns("dog chien m")
    >>> own(dog, Group("Marie", "Marie", "f"))[:2]
    ('her dog', 'son chien')
    """
    french = _OWN_FR[owner.person][noun.gender == "f"]
    return Group(f"{_owner(owner)} {noun.en}", f"{french} {noun.fr}", noun.gender)


def all_own(noun: Noun, owner: Group) -> Group:
    """Return `her dogs`."""
    return _many(noun, _owner(owner), _OWN_FR[owner.person][2])


def _owner(owner: Group) -> str:
    if owner.person is Person.HE and owner.gender == "f":
        return "her"
    return _OWN_EN[owner.person]


def _many(noun: Noun, en: str, fr: str) -> Group:
    return Group(
        f"{en} {noun.en_plural}".strip(), f"{fr} {noun.fr_plural}", noun.gender, True, Person.THEY
    )
