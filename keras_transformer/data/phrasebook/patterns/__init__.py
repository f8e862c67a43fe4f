"""The everyday sentence patterns.

A pattern is a function: it draws words for its slots and returns an English and a French
sentence, each spelled word by word (`english.polish` and `french.polish` finish them). To add
one, write the function and name it in the `PATTERNS` of its module.
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
