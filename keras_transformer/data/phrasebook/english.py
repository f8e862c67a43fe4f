"""English spelling and inflection, as pure functions.

Patterns write sentences word by word, with `a` for every indefinite article; `polish` corrects the
spelling.
"""

import re

BE = ("am", "is", "are", "are", "are")
WAS = ("was", "was", "were", "were", "were")
HAVE = ("have", "has", "have", "have", "have")
DO = ("do", "does", "do", "do", "do")
BE_NOT = ("am not", "isn't", "aren't", "aren't", "aren't")
WAS_NOT = ("wasn't", "wasn't", "weren't", "weren't", "weren't")
DO_NOT = ("don't", "doesn't", "don't", "don't", "don't")

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?", re.IGNORECASE)


def polish(sentence: str) -> str:
    """Spells `a` as `an` before a vowel and capitalizes the sentence.

    >>> polish("a animal and a dog are here.")
    'An animal and a dog are here.'
    """
    sentence = re.sub(r"\ba (?=[aeiou])", "an ", sentence)
    return sentence[0].upper() + sentence[1:]


def words(sentence: str) -> list[str]:
    """Returns the lower-cased words, without punctuation.

    >>> words("The dog didn't eat, did it?")
    ['the', 'dog', "didn't", 'eat', 'did', 'it']
    """
    return _WORD.findall(sentence.lower())


def plural(noun: str) -> str:
    """Returns the regular plural of a noun.

    >>> plural("dog"), plural("box"), plural("story"), plural("toy")
    ('dogs', 'boxes', 'stories', 'toys')
    """
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|ch|sh)$", noun) else "s")


def third_person(verb: str) -> str:
    """Returns the third person singular, which is spelled like a plural.

    >>> third_person("watch"), third_person("look for"), third_person("go")
    ('watches', 'looks for', 'goes')
    """
    head, rest = _split_first_word(verb)
    return ("goes" if head == "go" else plural(head)) + rest


def past(verb: str) -> str:
    """Returns the regular past.

    >>> past("cross"), past("close"), past("study"), past("look for")
    ('crossed', 'closed', 'studied', 'looked for')
    """
    head, rest = _split_first_word(verb)
    if re.search(r"[^aeiou]y$", head):
        return head[:-1] + "ied" + rest
    return head + ("d" if head.endswith("e") else "ed") + rest


def gerund(verb: str) -> str:
    """Returns the form in `-ing`.

    >>> gerund("write"), gerund("swim"), gerund("visit"), gerund("see")
    ('writing', 'swimming', 'visiting', 'seeing')
    """
    head, rest = _split_first_word(verb)
    if re.search(r"[^aeiou]e$", head):
        head = head[:-1]
    elif re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", head):
        head += head[-1]
    return head + "ing" + rest


def _split_first_word(verb: str) -> tuple[str, str]:
    head, space, rest = verb.partition(" ")
    return head, space + rest
