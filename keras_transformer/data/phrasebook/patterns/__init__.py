"""Patterns of everyday sentences.

A pattern is a function that draws words for its slots and returns an English and a French
sentence, both written word by word (`english.polish` and `french.polish` correct the spelling). Its
docstring shows an example. To add a pattern, write the function and list it in the `PATTERNS` of
its module.
"""

from keras_transformer.data.phrasebook.patterns import (
    courtesy,
    future,
    past,
    people,
    places,
    possessions,
    present,
    questions,
    things,
)

EVERYDAY = (
    *present.PATTERNS,
    *past.PATTERNS,
    *future.PATTERNS,
    *questions.PATTERNS,
    *people.PATTERNS,
    *possessions.PATTERNS,
    *things.PATTERNS,
    *places.PATTERNS,
    *courtesy.PATTERNS,
)
