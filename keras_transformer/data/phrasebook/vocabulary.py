"""Content words of English sentences: a table from inflected forms to dictionary entries."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from keras_transformer.data.phrasebook import coreference, english
from keras_transformer.data.phrasebook.lexicon import adjectives, nouns, people, verbs
from keras_transformer.data.phrasebook.words import Adjective, Noun, Verb


def _values(module: object) -> Iterator[object]:
    """Yields the values in a module, including the items of its tuples."""
    for value in vars(module).values():
        yield from value if isinstance(value, tuple) else (value,)


def _forms() -> Iterator[tuple[str, str]]:
    """Yields every inflected form with its dictionary entry."""
    modules = (nouns, people, verbs, adjectives, coreference)
    entries = [value for module in modules for value in _values(module)]
    entries += [masculine for masculine, _ in people.PROFESSIONS]
    for entry in entries:
        if isinstance(entry, Noun):
            yield from ((form, entry.en) for form in (entry.en, entry.en_plural))
        elif isinstance(entry, Verb):
            forms = (entry.en, entry.third, entry.past, entry.past_participle, entry.gerund)
            yield from ((form.split()[0], entry.en) for form in forms)
        elif isinstance(entry, Adjective):
            yield from (
                (form, entry.en) for form in (entry.en, entry.comparative) if " " not in form
            )


ENTRIES: dict[str, str] = {form.lower(): entry.lower() for form, entry in _forms() if form}

# Words that combine with few others, so that training needs nearly all their combinations.
CHOOSY: frozenset[str] = frozenset(
    [verb.en for verb, objects in verbs.ACTIONS if len(objects) < 12]
    + [adjective.en for adjective in adjectives.OF_TEXTS + adjectives.OF_FOOD]
)


def content_pairs(sentence: str) -> Iterable[tuple[str, str]]:
    """Returns the pairs of content words of an English sentence, each in alphabetical order.

    >>> list(content_pairs("The dogs didn't see the tired cow."))
    [('cow', 'dog'), ('cow', 'see'), ('cow', 'tired'), ('dog', 'see'), ('dog', 'tired'), \
('see', 'tired')]
    """
    found = {ENTRIES[word] for word in english.words(sentence) if word in ENTRIES}
    return combinations(sorted(found), 2)
