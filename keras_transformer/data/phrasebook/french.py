"""French spelling and inflection, as pure functions.

Patterns write sentences word by word in full (`je ai peur de le chien`); `polish` elides and
contracts them (`J'ai peur du chien`). All apostrophes are straight, and an ordinary space precedes
`?` and `!`.
"""

import re

# je, il, nous, vous, ils
ETRE = ("suis", "est", "sommes", "êtes", "sont")
AVOIR = ("ai", "a", "avons", "avez", "ont")
ALLER = ("vais", "va", "allons", "allez", "vont")
ETAIT = ("étais", "était", "étions", "étiez", "étaient")

_VOWEL = r"(?=(?!huit\b|haut)[aâàeéèêëiîïoôuûœh]|y )"
_ELISION = re.compile(rf"\b(j|n|d|l|m|s|qu)(?:e|(?<=l)a) {_VOWEL}", re.IGNORECASE)
_CE_EST = re.compile(r"\bce (?=est\b|était\b)")
_CE_VOWEL = re.compile(rf"\bce {_VOWEL}")
_POSSESSIVE = re.compile(rf"\b([ms])a {_VOWEL}")
_CONTRACTIONS = ("de les", "des"), ("de le", "du"), ("à les", "aux"), ("à le", "au")
_CONTRACTION = [(re.compile(rf"(?<![\w]){full} "), f"{short} ") for full, short in _CONTRACTIONS]
_WORD = re.compile(r"aujourd'hui|[^\W\d_]+'|[^\W\d_]+(?:-[^\W\d_]+)*")


def polish(sentence: str) -> str:
    """Elides, contracts and capitalizes a sentence that was written word by word.

    >>> polish("je ai peur de le chien.")
    "J'ai peur du chien."
    >>> polish("ce animal ne est pas à le marché parce que il a faim.")
    "Cet animal n'est pas au marché parce qu'il a faim."
    >>> polish("ce est ma école, à huit heures.")
    "C'est mon école, à huit heures."
    """
    sentence = _CE_EST.sub("c'", sentence)
    sentence = _CE_VOWEL.sub("cet ", sentence)
    sentence = _POSSESSIVE.sub(r"\1on ", sentence)
    sentence = _ELISION.sub(r"\1'", sentence).replace("si il", "s'il")
    for full, short in _CONTRACTION:
        sentence = full.sub(short, sentence)
    return sentence[0].upper() + sentence[1:]


def words(sentence: str) -> list[str]:
    """Returns the lower-cased words, without punctuation; elided words are separate.

    >>> words("Est-ce que l'animal n'a pas faim ?")
    ['est-ce', 'que', "l'", 'animal', "n'", 'a', 'pas', 'faim']
    """
    return _WORD.findall(sentence.lower())


def plural(word: str) -> str:
    """Returns the regular plural of a noun or an adjective.

    >>> plural("chien"), plural("bras"), plural("gâteau"), plural("journal")
    ('chiens', 'bras', 'gâteaux', 'journaux')
    """
    if word.endswith(("s", "x")):
        return word
    if word.endswith("al"):
        return word[:-2] + "aux"
    return word + ("x" if word.endswith("eau") else "s")


def feminine(word: str) -> str:
    """Returns the regular feminine of an adjective or a profession.

    >>> feminine("petit"), feminine("jeune"), feminine("heureux"), feminine("boulanger")
    ('petite', 'jeune', 'heureuse', 'boulangère')
    """
    if word.endswith("e"):
        return word
    if word.endswith("eux"):
        return word[:-1] + "se"
    return word[:-2] + "ère" if word.endswith("er") else word + "e"


def agree(masculine: str, gender: str, is_plural: bool) -> str:
    """Returns the form of a regular participle that agrees in gender and number.

    >>> agree("allé", "f", True)
    'allées'
    """
    word = masculine + "e" if gender == "f" else masculine
    return plural(word) if is_plural else word


def conjugate_er(infinitive: str) -> tuple[str, ...]:
    """Returns the present of a regular verb in -er: je, il, nous, vous, ils.

    >>> conjugate_er("manger")
    ('mange', 'mange', 'mangeons', 'mangez', 'mangent')
    """
    stem = infinitive[:-2]
    bridge = "e" if stem.endswith("g") else ""
    return (stem + "e", stem + "e", stem + bridge + "ons", stem + "ez", stem + "ent")


def imperfect(present: tuple[str, ...]) -> str:
    """Returns the imparfait (il) from the present: the stem of `nous` and -ait.

    >>> imperfect(("bois", "boit", "buvons", "buvez", "boivent"))
    'buvait'
    """
    return present[2].removesuffix("ons") + "ait"
