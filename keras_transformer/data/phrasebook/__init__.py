"""The built-in English-French corpus: everyday sentences and the article's coreference.

The corpus is generated from a seed. French needs some choices that English leaves open: *you* is
one person addressed as *vous*; *I*, *you*, *they* and *the doctor* are masculine; the English
simple past becomes the passé composé, *was ...ing* and *used to* become the imparfait.
"""

from keras_transformer.data.phrasebook.corpus import Phrasebook, phrasebook

__all__ = ["Phrasebook", "phrasebook"]
