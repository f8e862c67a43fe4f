"""Tags at the start of a text, which tell a model of several languages what to translate to."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# As OPUS-MT writes a language, and as most other systems do. RE2, the syntax of TensorFlow, and
# Python's syntax read this alike.
TAG = r">>[A-Za-z0-9_-]+<<|<2[A-Za-z0-9_-]+>"
LEADING_TAGS = rf"^ *((?:{TAG})(?: *(?:{TAG}))*)"


def tag_of(language: str) -> str:
    """Returns the tag of a language code, as OPUS-MT writes it, or a tag as it is.

    Raises:
        ValueError: It is neither.

    Example:

    >>> tag_of("fr"), tag_of("<2fr>")
    ('>>fr<<', '<2fr>')
    """
    for tag in (language, f">>{language}<<"):
        if re.fullmatch(TAG, tag):
            return tag
    raise ValueError(
        "A tag is a language code of letters, digits, _ and -, such as fr, which stands for "
        f">>fr<<, or a tag as a whole, such as >>fr<< or <2fr>. Received: {language!r}"
    )


def split_tags(text: str) -> tuple[str, str]:
    """Splits the tags at the start of a text off, such as ">>fr<<" or "<2fr>".

    Returns:
        A tuple of the tags, "" if there are none, and the remaining text.

    Example:

    >>> split_tags(">>fr<< I am a student."), split_tags("1 <2 and 3> 2")
    (('>>fr<<', ' I am a student.'), ('', '1 <2 and 3> 2'))
    """
    found = re.match(LEADING_TAGS, text)
    return (found[1], text[found.end() :]) if found else ("", text)


def split_tags_in_graph(texts: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
    """Splits tags off a batch of texts in a TensorFlow graph.

    Args:
        texts: Strings, shape `(B,)`.

    Returns:
        The tags, "" where there are none, and the remaining texts, `(B,)` each.
    """
    import tensorflow as tf

    # The rest is not matched: it may have bytes that are not UTF-8.
    rest = tf.strings.regex_replace(texts, LEADING_TAGS, "", replace_global=False)
    return tf.strings.strip(text_before(texts, rest)), rest


def text_before(texts: "tf.Tensor", rest: "tf.Tensor") -> "tf.Tensor":
    """Returns what stands before the rest of each text, strings `(B,)`."""
    import tensorflow as tf

    length = tf.strings.length(texts) - tf.strings.length(rest)
    return tf.strings.substr(texts, tf.zeros_like(length), length)
