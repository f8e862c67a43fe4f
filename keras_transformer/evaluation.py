"""How well translations agree with references: exact match, sacreBLEU, chrF, single words."""

import re
from collections.abc import Sequence


def exact_match(translations: Sequence[str], references: Sequence[str]) -> float:
    """The share of translations that equal their reference, in percent.

    Example:

    >>> exact_match(["oui", "non"], ["oui", "si"])
    50.0
    """
    equal = sum(a == b for a, b in zip(translations, references, strict=True))
    return 100.0 * equal / len(references)


def word_agreement(
    translations: Sequence[str], references: Sequence[str], words: Sequence[str]
) -> tuple[float, int]:
    """How often translations use the given words as their references do.

    A pair agrees when both sides have the same of these words in the same order, upper and
    lower case alike. "qu'il" has the word "il".

    Args:
        translations: What was written.
        references: What was expected.
        words: The words to look at.

    Returns:
        The share of agreeing pairs in percent, and how many pairs were looked at: those whose
        reference has one of the words.

    Example:

    >>> word_agreement(["il dort", "il dort"], ["il dort", "elle dort"], ["il", "elle"])
    (50.0, 2)
    """
    wanted = {word.lower() for word in words}

    def used(text: str) -> list[str]:
        return [word for word in re.findall(r"\w+", text.lower()) if word in wanted]

    pairs = [(used(a), used(b)) for a, b in zip(translations, references, strict=True)]
    pairs = [pair for pair in pairs if pair[1]]
    if not pairs:
        return 0.0, 0
    return 100.0 * sum(a == b for a, b in pairs) / len(pairs), len(pairs)


def report(
    translations: Sequence[str], references: Sequence[str], words: Sequence[str] = ()
) -> list[str]:
    """The lines that `python -m keras_transformer evaluate` prints."""
    import sacrebleu

    lines = [
        f"sentences    {len(references)}",
        f"exact match  {exact_match(translations, references):.2f} %",
    ]
    for metric in (sacrebleu.BLEU(), sacrebleu.CHRF()):
        score = metric.corpus_score(list(translations), [list(references)])
        lines.append(f"{score.name:<12} {score.score:.2f}  ({metric.get_signature()})")
    if words:
        share, count = word_agreement(translations, references, words)
        found = f"{share:.2f} % of {count} sentences that have one" if count else "in no reference"
        lines.append(f"{', '.join(words):<12} {found}")
    return lines
