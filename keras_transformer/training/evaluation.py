"""How well translations agree with references: exact match, sacreBLEU, chrF, single words."""

import re
import unicodedata
from collections.abc import Sequence


def exact_match(translations: Sequence[str], references: Sequence[str]) -> float:
    """The share of translations that equal their reference, in percent.

    Raises:
        ValueError: There are not as many translations as references, or none.

    Example:

    >>> exact_match(["oui", "non"], ["oui", "si"])
    50.0
    """
    equal = sum(a == b for a, b in zip(translations, references, strict=True))
    if not references:
        raise ValueError("There must be at least one translation. Received none.")
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

    Raises:
        ValueError: One of `words` is not a single word, or there are not as many translations as
            references.

    Example:

    >>> word_agreement(["il dort", "il dort"], ["il dort", "elle dort"], ["il", "elle"])
    (50.0, 2)
    """
    for word in words:
        if len(_words(word)) != 1:
            raise ValueError(f"Expected single words to look for. Received: {word!r}")
    wanted = {one for word in words for one in _words(word)}

    def used(text: str) -> list[str]:
        return [word for word in _words(text) if word in wanted]

    pairs = [(used(a), used(b)) for a, b in zip(translations, references, strict=True)]
    pairs = [pair for pair in pairs if pair[1]]
    if not pairs:
        return 0.0, 0
    return 100.0 * sum(a == b for a, b in pairs) / len(pairs), len(pairs)


def _words(text: str) -> list[str]:
    """The words of a text, lower-cased: what letters, their marks and digits make."""
    text = unicodedata.normalize("NFC", text.lower())
    within = (unicodedata.category(character)[0] in "LMN" for character in text)
    return "".join(
        character if is_within or character == "_" else " "
        for character, is_within in zip(text, within, strict=True)
    ).split()


def moses_tokens(texts: Sequence[str], language: str) -> list[str]:
    """Lower-cased, normalised and tokenised as Moses does it, tokens with spaces between.

    Args:
        texts: Sentences.
        language: Code of their language, such as de. One that Moses does not know is tokenised
            with English abbreviations.

    Raises:
        ImportError: sacremoses is not installed.
        ValueError: `language` is no code, such as DE or German.
    """
    if not re.fullmatch("[a-z]{2,3}", language):  # Moses would take other rules without a word
        raise ValueError(
            "Expected a language's code, two or three small letters such as de. "
            f"Received: {language!r}"
        )
    try:
        import sacremoses
    except ImportError:
        raise ImportError("Tokenising as Moses needs sacremoses: pip install sacremoses.") from None
    normalizer = sacremoses.MosesPunctNormalizer(language)
    tokenizer = sacremoses.MosesTokenizer(language)
    normalized = (normalizer.normalize(text.strip().lower()) for text in texts)
    return [tokenizer.tokenize(text, escape=False, return_str=True) for text in normalized]


def moses_bleu(translations: Sequence[str], references: Sequence[str], language: str):
    """BLEU over `moses_tokens`, as many papers have it; it says how many tokens there are.

    Returns:
        sacreBLEU's `BLEUScore`.
    """
    import sacrebleu

    found, wanted = (moses_tokens(texts, language) for texts in (translations, references))
    return sacrebleu.BLEU(tokenize="none", force=True).corpus_score(found, [wanted])


def _rules(language: str) -> str:
    """By which language's rules Moses cuts texts of a language."""
    import sacremoses

    known = sacremoses.corpus.NonbreakingPrefixes().available_langs
    return language if language in known else f"{language} with English abbreviations"


def report(
    translations: Sequence[str],
    references: Sequence[str],
    words: Sequence[str] = (),
    moses: str = "",
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
    if moses:
        score = moses_bleu(translations, references, moses)
        facts = f"lower-cased, Moses tokens for {_rules(moses)}, {score.ref_len} in the references"
        lines.append(f"{'BLEU':<12} {score.score:.2f}  ({facts}, ratio {score.ratio:.3f})")
    if words:
        share, count = word_agreement(translations, references, words)
        found = f"{share:.2f} % of {count} sentences that have one" if count else "in no reference"
        lines.append(f"{', '.join(words):<12} {found}")
    return lines
