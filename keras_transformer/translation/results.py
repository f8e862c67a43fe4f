"""Results of a translator: translations, their hypotheses and scores."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """One of the candidate translations of a text.

    Attributes:
        text: The translation.
        score: Its log-probability, divided by the length penalty; greater is better.
        log_prob: Its log-probability: the sum over its tokens, EOS included.
        finished: Whether the model ended the translation with EOS. If `False`, the length limit
            ended it.
        tokens: Its tokens, EOS included.
        attention: Cross-attention scores, shape `(layers, heads, tokens, source tokens)`, EOS
            included on both sides: the attention to each source token at the position that
            predicts each token. `None` unless `return_attention=True`, and for a text that was
            translated in several pieces.
    """

    text: str
    score: float
    log_prob: float
    finished: bool = True
    tokens: tuple[str, ...] = ()
    attention: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Translation:
    """The translation of a text, with all its hypotheses.

    Attributes:
        text: The best translation.
        score: The score of the best translation; 0 for an empty text, -inf if the search options
            allowed no translation.
        finished: Whether the model ended the best translation with EOS. If `False`, the length
            limit ended it.
        hypotheses: The hypotheses, best first: `top_beams`, or fewer if the search found fewer.
        source_tokens: The tokens of the text, EOS included.
        parts: Number of pieces in which the text was translated; 1 unless it was too long.
    """

    text: str
    score: float
    finished: bool = True
    hypotheses: tuple[Hypothesis, ...] = ()
    source_tokens: tuple[str, ...] = ()
    parts: int = 1


EMPTY = Hypothesis("", 0.0, 0.0)  # translation of an empty text


def make_translation(hypotheses: list[Hypothesis], source_tokens=(), parts: int = 1) -> Translation:
    """Returns a `Translation` from hypotheses, best first; without one, its score is -inf."""
    best = hypotheses[0] if hypotheses else Hypothesis("", -float("inf"), -float("inf"), False)
    return Translation(
        best.text, best.score, best.finished, tuple(hypotheses), tuple(source_tokens), parts
    )


def join_parts(pieces: list[Translation]) -> Translation:
    """Joins the translations of the pieces of a text.

    The nth hypotheses of all pieces make up the nth hypothesis of the text. Their texts are joined
    by spaces and their scores added. Attention scores are dropped.
    """
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return make_translation([EMPTY])
    return make_translation(
        [
            Hypothesis(
                text=" ".join(part.text for part in parts),
                score=sum(part.score for part in parts),
                log_prob=sum(part.log_prob for part in parts),
                finished=all(part.finished for part in parts),
                tokens=tuple(token for part in parts for token in part.tokens),
            )
            for parts in zip(*(piece.hypotheses for piece in pieces), strict=False)
        ],
        [token for piece in pieces for token in piece.source_tokens],
        len(pieces),
    )


@dataclasses.dataclass(frozen=True)
class Score:
    """The score of a given translation.

    Attributes:
        log_prob: Log-probability of the translation: the sum over its tokens, EOS included.
        token_log_probs: Log-probability of each token.
        tokens: The tokens of the translation, EOS included.
    """

    log_prob: float
    token_log_probs: tuple[float, ...]
    tokens: tuple[str, ...]
