"""Rules by which SentencePiece normalizes text to Unicode's form NFC."""

import functools
import unicodedata
from pathlib import Path

LINE_BREAKS = "\t\n\v\f\r\x85\u2028\u2029"  # and the tab: SentencePiece only knows the space
CONTROLS = [chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0), 0xFEFF)]
HANGUL = range(0xAC00, 0xD7A4)


@functools.cache
def nfc_rules() -> dict[str, str]:
    """Returns the strings to replace, and what replaces each.

    A letter and the marks that follow it become one character where Unicode has one ("e" and
    U+0301 become "é"), and characters that are the same by definition become equal (the Ångström
    sign becomes "Å"). Tabs and line breaks become spaces; control characters and byte order marks
    vanish. Nothing else changes: superscripts, fractions, full-width characters, ligatures and
    joiners stay.
    """
    rules = dict.fromkeys(CONTROLS, "") | dict.fromkeys(LINE_BREAKS, " ")
    for code in range(0xA0, 0x110000):
        character = chr(code)
        composed = unicodedata.normalize("NFC", character)
        for other in (character, *_decompositions(character)):
            if other != composed:
                rules[other] = composed
    return rules


def _decompositions(character: str) -> list[str]:
    """Returns the canonical decompositions of a character: by one step, and complete."""
    if ord(character) in HANGUL:  # of which Unicode's table has no entries
        index = ord(character) - HANGUL.start
        steps = [chr(HANGUL.start + index - index % 28) + chr(0x11A7 + index % 28)]
        return [unicodedata.normalize("NFD", character), *(steps if index % 28 else [])]
    entry = unicodedata.decomposition(character)
    if not entry or entry.startswith("<"):  # none, or one that loses something, as "²" to "2"
        return []
    one_step = "".join(chr(int(code, 16)) for code in entry.split())
    return [one_step, unicodedata.normalize("NFD", character)]


def write_rules(path: Path) -> None:
    """Writes the rules in the format of SentencePiece's `normalization_rule_tsv`."""
    lines = [f"{_codes(old)}\t{_codes(new)}\n" for old, new in sorted(nfc_rules().items())]
    path.write_text("".join(lines), encoding="ascii")


def _codes(text: str) -> str:
    return " ".join(f"{ord(character):04X}" for character in text)
