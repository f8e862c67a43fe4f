"""Language codes at the start of a text, as Marian models take them: ">>fra<<"."""

import re
from typing import TYPE_CHECKING

from keras_transformer.text.tags import text_before

if TYPE_CHECKING:
    import tensorflow as tf

CODE = r"(?s)^>>.*?<<"
# What is a code and not a quotation. Python's syntax and RE2, that of TensorFlow, read both alike.
LANGUAGE = r">>[A-Za-z0-9_-]+<<"
SHOWN = 8


def split_code(text: str) -> tuple[list[str], str]:
    """Splits a leading language code off a text.

    Returns:
        A list of the code, or an empty list, and the remaining text.

    Example:

    >>> split_code(">>fra<< I am a student."), split_code("a << 2")
    ((['>>fra<<'], ' I am a student.'), ([], 'a << 2'))
    """
    found = re.match(CODE, text)
    return ([found[0]], text[found.end() :]) if found else ([], text)


def split_code_in_graph(texts: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
    """Splits leading codes, "" where there are none, off a batch of texts, `(B,)` each."""
    import tensorflow as tf

    # The rest is not matched: it may have bytes that are not UTF-8.
    rest = tf.strings.regex_replace(texts, CODE, "", replace_global=False)
    return text_before(texts, rest), rest


def language_of(text: str) -> str | None:
    """Returns the language code at the start of a text, or `None`."""
    found = re.match(LANGUAGE, text)
    return found[0] if found else None


def which_there_are(tokens: list[str]) -> str:
    """Returns a sentence that names the language codes among tokens, for error messages.

    Example:

    >>> which_there_are(["a", ">>fra<<", ">>ita<<"]), which_there_are(["a"])
    ('It has >>fra<<, >>ita<<.', 'It has none: leave the code out.')
    """
    codes = sorted(token for token in tokens if re.fullmatch(LANGUAGE, token))
    if not codes:
        return "It has none: leave the code out."
    more = f" and {len(codes) - SHOWN} more" if len(codes) > SHOWN else ""
    return f"It has {', '.join(codes[:SHOWN])}{more}."
