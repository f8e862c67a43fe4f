"""Evaluation of translations: exact match, BLEU, chrF and agreement of single words."""

import re
import unicodedata
from collections.abc import Sequence

from keras_transformer.training.bleu import SCRIPTS, make_bleu, says_little


def exact_match(translations: Sequence[str], references: Sequence[str]) -> float:
    """Returns the percentage of translations that equal their reference.

    Raises:
        ValueError: The numbers of translations and references differ, or both are 0.

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
    """Measures how often translations use the given words as their references do.

    A pair agrees if both texts contain the same of these words in the same order, ignoring case.
    Apostrophes separate words: "qu'il" contains "il". In scripts without spaces, such as Chinese, a
    word is found wherever its characters stand.

    Args:
        translations: Translations to evaluate.
        references: Reference translations.
        words: Words to compare.

    Returns:
        Tuple of the percentage of pairs that agree and the number of pairs compared: those whose
        reference contains at least one of the words.

    Raises:
        ValueError: One of `words` is not a single word, or the numbers of translations and
            references differ.

    Example:

    >>> word_agreement(["il dort", "il dort"], ["il dort", "elle dort"], ["il", "elle"])
    (50.0, 2)
    """
    for word in words:
        if len(_split_words(word)) != 1:
            raise ValueError(f"Expected single words to look for. Received: {word!r}")
    compared = sorted({part for word in words for part in _split_words(word)}, key=len)
    patterns = [word if _has_no_spaces(word) else f"(?<= ){word}(?= )" for word in compared[::-1]]

    def select(text: str) -> list[str]:
        found = re.findall("|".join(patterns), f" {' '.join(_split_words(text))} ")
        return found if patterns else []

    pairs = [(select(a), select(b)) for a, b in zip(translations, references, strict=True)]
    pairs = [pair for pair in pairs if pair[1]]
    if not pairs:
        return 0.0, 0
    return 100.0 * sum(a == b for a, b in pairs) / len(pairs), len(pairs)


def _has_no_spaces(word: str) -> bool:
    """Returns whether a word is of a script whose words are not separated by spaces."""
    return any(SCRIPTS[name].search(word) for name in ("ja", "zh", "char"))


def _split_words(text: str) -> list[str]:
    """Splits a lower-cased text into runs of letters, combining marks, numbers and underscores."""
    text = unicodedata.normalize("NFC", text.lower())
    in_word = (unicodedata.category(character)[0] in "LMN" for character in text)
    return "".join(
        character if is_in_word or character == "_" else " "
        for character, is_in_word in zip(text, in_word, strict=True)
    ).split()


def moses_tokens(texts: Sequence[str], language: str) -> list[str]:
    """Lower-cases texts, normalizes their punctuation and splits them into Moses tokens.

    Args:
        texts: Sentences.
        language: Code of their language, such as "de". For languages that Moses does not support,
            it uses the list of English abbreviations.

    Returns:
        The tokens of each sentence, joined by spaces.

    Raises:
        ImportError: sacremoses is not installed.
        ValueError: `language` is not a lower-case code: "DE" or "German", for example.
    """
    if not re.fullmatch("[a-z]{2,3}", language):  # Moses would silently use other rules
        raise ValueError(
            "Expected a language code, two or three lower-case letters such as de. "
            f"Received: {language!r}"
        )
    try:
        import sacremoses
    except ImportError:
        raise ImportError("Moses tokenization needs sacremoses: pip install sacremoses.") from None
    normalizer = sacremoses.MosesPunctNormalizer(language)
    tokenizer = sacremoses.MosesTokenizer(language)
    normalized = (normalizer.normalize(text.strip().lower()) for text in texts)
    return [tokenizer.tokenize(text, escape=False, return_str=True) for text in normalized]


def moses_bleu(translations: Sequence[str], references: Sequence[str], language: str):
    """Computes the BLEU of `moses_tokens`, as reported in many papers.

    Returns:
        sacreBLEU's `BLEUScore`; its `ref_len` is the number of tokens in the references.
    """
    import sacrebleu

    tokens = moses_tokens(translations, language)
    reference_tokens = moses_tokens(references, language)
    return sacrebleu.BLEU(tokenize="none", force=True).corpus_score(tokens, [reference_tokens])


def _moses_rules(language: str) -> str:
    """Returns the name of the rules by which Moses tokenizes a language."""
    import sacremoses

    supported = sacremoses.corpus.NonbreakingPrefixes().available_langs
    return language if language in supported else f"{language} with English abbreviations"


def report(
    translations: Sequence[str],
    references: Sequence[str],
    words: Sequence[str] = (),
    moses: str = "",
    bleu=None,
) -> list[str]:
    """Returns the lines that `python -m keras_transformer evaluate` prints.

    Args:
        translations: Translations to evaluate.
        references: Reference translations.
        words: Words for `word_agreement`.
        moses: Language code for `moses_bleu`.
        bleu: A `sacrebleu.BLEU`; `None` chooses one by the script of the references.
    """
    import sacrebleu

    bleu = bleu or make_bleu(references=references)
    lines = [
        f"sentences    {len(references)}",
        f"exact match  {exact_match(translations, references):.2f} %",
    ]
    for metric in (bleu, sacrebleu.CHRF()):
        score = metric.corpus_score(list(translations), [list(references)])
        lines.append(f"{score.name:<12} {score.score:.2f}  ({metric.get_signature()})")
    if says_little(bleu, references):
        lines.append("Hardly a reference has the four tokens that BLEU needs: look at chrF2.")
    if moses:
        score = moses_bleu(translations, references, moses)
        rules = _moses_rules(moses)
        details = f"lower-cased, Moses tokens for {rules}, {score.ref_len} in the references"
        lines.append(f"{'BLEU':<12} {score.score:.2f}  ({details}, ratio {score.ratio:.3f})")
    if words:
        percent, count = word_agreement(translations, references, words)
        result = f"{percent:.2f} % of {count} sentences that have one"
        lines.append(f"{', '.join(words):<12} {result if count else 'in no reference'}")
    return lines
