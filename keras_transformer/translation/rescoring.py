"""Ranking of the hypotheses of a translator by the scores of another."""

import dataclasses
from collections.abc import Iterable

from keras_transformer.decoding.hypotheses import length_normalizer
from keras_transformer.forking import refused_after_fork
from keras_transformer.translation.results import Translation, make_translation
from keras_transformer.translation.validation import as_strings


@refused_after_fork
def rescore(
    translator,
    texts: Iterable[str],
    translations: Iterable[Translation],
    length_penalty: float = 0.6,
) -> list[Translation]:
    """Ranks the hypotheses of translations anew, by the scores of another translator.

    A model that finds all words at once does not know how well they go together; one that reads
    them from left to right does. Reading many hypotheses takes it a single pass each.

    Args:
        translator: `Translator` that scores the hypotheses.
        texts: The texts that were translated.
        translations: Their `Translation`s, with several `hypotheses`.
        length_penalty: Float, at least 0. Strength of the length penalty; 0 compares plain
            log-probabilities.

    Returns:
        The translations, their hypotheses best first, with scores and log-probabilities of
        `translator`. Hypotheses with the same text keep their order. The translation of a text that
        was translated in several parts stays as it is.

    Raises:
        ValueError: If the numbers of texts and translations differ, `length_penalty` is negative,
            or the translator cannot score a hypothesis; see `Translator.score`.
        TypeError: If `texts` is not a list of strings.

    Example:

        translations = fast.translate(texts, beam_size=10, top_beams=10)
        best = [one.text for one in kt.rescore(slow, texts, translations)]
    """
    texts, translations = as_strings("texts", texts), list(translations)
    if len(texts) != len(translations):
        raise ValueError(
            "`translations` must have one translation per text. "
            f"Received: {len(translations)} translations for {len(texts)} texts"
        )
    if not 0 <= length_penalty < float("inf"):
        raise ValueError(
            f"`length_penalty` must be at least 0 and finite. Received: {length_penalty}"
        )
    pairs = dict.fromkeys(
        (text, one.text)
        for text, translation in zip(texts, translations, strict=True)
        for one in translation.hypotheses
        if _is_scored(text, translation)
    )
    sources, targets = zip(*pairs, strict=True) if pairs else ((), ())
    scores = dict(zip(pairs, translator.score(sources, targets), strict=True))
    ranked = []
    for text, translation in zip(texts, translations, strict=True):
        if _is_scored(text, translation):
            of_text = [scores[text, one.text] for one in translation.hypotheses]
            translation = _ranked(translation, of_text, length_penalty)
        ranked.append(translation)
    return ranked


def _is_scored(text: str, translation: Translation) -> bool:
    """Returns whether there is something to score, and it was translated in one part."""
    return bool(text.strip()) and translation.parts == 1


def _ranked(translation: Translation, scores, length_penalty: float) -> Translation:
    """Returns a translation with its hypotheses ranked by their `Score`s."""
    hypotheses = [
        dataclasses.replace(one, score=_normalized(score, length_penalty), log_prob=score.log_prob)
        for one, score in zip(translation.hypotheses, scores, strict=True)
    ]
    hypotheses.sort(key=lambda one: one.score, reverse=True)
    return make_translation(hypotheses, translation.source_tokens, translation.parts)


def _normalized(score, length_penalty: float) -> float:
    return score.log_prob / float(length_normalizer(len(score.tokens), length_penalty))
