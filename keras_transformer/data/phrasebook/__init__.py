"""The built-in English-French corpus: everyday sentences and the article's coreference.

The package writes it, by seed. Conventions for what English leaves open: `you` is one person
addressed as *vous*; *I*, *you*, *they* and *the doctor* are masculine; the English simple past is
the passé composé, `was ...ing` and `used to` the imparfait.
"""

from keras_transformer.data.phrasebook.corpus import Phrasebook, phrasebook

__all__ = ["Phrasebook", "phrasebook"]
