"""Lines too long for a model, cut where it hurts least."""

import re
from collections.abc import Callable

SENTENCE_ENDS = re.compile(r"(?<=[.!?…。！？])\s*(?<=\S)\s+|(?<=[。！？])")
SPACES = re.compile(r"\s+")


def split_text(text: str, count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Cuts a text into pieces of at most `limit` tokens: between sentences, else words, else
    characters.

    Args:
        text: What to cut.
        count_tokens: Says how many tokens a text has.
        limit: The most tokens a piece may have.

    Returns:
        The pieces in order; `[text]` where it is short enough.

    Example:

    >>> split_text("A b c. D e. F g h i j k.", lambda text: len(text.split()), limit=5)
    ['A b c. D e.', 'F g h i j', 'k.']
    """
    if count_tokens(text) <= limit:
        return [text]
    for boundary in (SENTENCE_ENDS, SPACES):
        parts = [part for part in boundary.split(text) if part and part.strip()]
        if len(parts) > 1:
            return _join_up(parts, count_tokens, limit)
    if len(text) <= 1:
        return [text]
    half = len(text) // 2
    return split_text(text[:half], count_tokens, limit) + split_text(
        text[half:], count_tokens, limit
    )


def _join_up(parts: list[str], count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Puts neighbours together again while they fit, and cuts those that do not."""
    pieces: list[str] = []
    for part in parts:
        first, *others = split_text(part, count_tokens, limit)
        joined = f"{pieces[-1]} {first}" if pieces else first
        if pieces and count_tokens(joined) <= limit:
            pieces[-1] = joined
        else:
            pieces.append(first)
        pieces += others
    return pieces
