"""Tags at the start of a text, which tell a model of several languages what to translate to."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# As OPUS-MT writes a language, and as most other systems do. RE2, the syntax of TensorFlow, and
# Python's syntax read this alike.
TAG = r">>[A-Za-z0-9_-]+<<|<2[A-Za-z0-9_-]+>"
TAGS_AND_REST = rf"(?s)^ *((?:{TAG})(?: *(?:{TAG}))*)?(.*)$"


def split_tags(text: str) -> tuple[str, str]:
    """Splits the tags at the start of a text off, such as ">>fr<<" or "<2fr>".

    Returns:
        A tuple of the tags, "" if there are none, and the remaining text.

    Example:

    >>> split_tags(">>fr<< I am a student."), split_tags("1 <2 and 3> 2")
    (('>>fr<<', ' I am a student.'), ('', '1 <2 and 3> 2'))
    """
    tags, rest = re.match(TAGS_AND_REST, text).groups()
    return (tags, rest) if tags else ("", text)


def split_tags_in_graph(texts: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
    """Splits tags off a batch of texts in a TensorFlow graph.

    Args:
        texts: Strings, shape `(B,)`.

    Returns:
        The tags, "" where there are none, and the remaining texts, `(B,)` each.
    """
    import tensorflow as tf

    return tuple(tf.strings.regex_replace(texts, TAGS_AND_REST, group) for group in (r"\1", r"\2"))
