"""Splitting of texts that are too long for a model, at sentence ends where possible."""

import re
from collections.abc import Callable

SENTENCE_ENDS = re.compile(r"(?<=[.!?…。！？])\s*(?<=\S)\s+|(?<=[。！？])")
SPACES = re.compile(r"\s+")


def split_text(text: str, count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Splits a text into pieces of at most `limit` tokens.

    Splits between sentences; within a sentence that is too long, between words; within a word that
    is too long, between characters. A single character is never split. What is split begins with a
    piece of its own, as in an exported graph: its first words do not join the sentence before it.

    Args:
        text: Text to split.
        count_tokens: Function that returns the number of tokens of a text.
        limit: Maximum number of tokens of a piece.

    Returns:
        The pieces in order; `[text]` if the text has at most `limit` tokens.

    Example:

    >>> split_text("A b c. D e. F g h i j k.", lambda text: len(text.split()), limit=5)
    ['A b c. D e.', 'F g h i j', 'k.']
    """
    if count_tokens(text) <= limit:
        return [text]
    for boundary in (SENTENCE_ENDS, SPACES):
        parts = [part for part in boundary.split(text) if part and part.strip()]
        if len(parts) > 1:
            return _merge_parts(parts, count_tokens, limit)
    if len(text) <= 1:
        return [text]
    half = len(text) // 2
    return split_text(text[:half], count_tokens, limit) + split_text(
        text[half:], count_tokens, limit
    )


def _merge_parts(parts: list[str], count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Merges adjacent parts into pieces of at most `limit` tokens and splits longer parts."""
    pieces: list[str] = []
    for part in parts:
        first, *others = split_text(part, count_tokens, limit)
        merged = f"{pieces[-1]} {first}" if pieces else first
        if pieces and not others and count_tokens(merged) <= limit:
            pieces[-1] = merged
        else:
            pieces.append(first)
        pieces += others
    return pieces
