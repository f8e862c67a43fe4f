"""What a translator answers."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """One of the translations that a search found.

    Attributes:
        text: The translation.
        score: Its log-probability, divided by the length penalty: the best has the greatest.
        log_prob: The sum of its tokens' log-probabilities, EOS included.
        finished: Whether the model ended it by itself, or the length limit did.
        tokens: Its tokens, EOS included.
        attention: If asked for, how much each token attended to each of the source's when it was
            written: `(layers, heads, tokens, source tokens)`, EOS the last on both sides. `None`
            for a text that was translated in pieces.
    """

    text: str
    score: float
    log_prob: float
    finished: bool = True
    tokens: tuple[str, ...] = ()
    attention: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Translation:
    """What a text was translated to.

    Attributes:
        text: The best translation.
        score: Its score; 0 for an empty text, -inf if the rules allowed no translation.
        finished: Whether the model ended it by itself, or the length limit did.
        hypotheses: The translations that were found, best first, `top_beams` of them unless
            there were fewer.
        source_tokens: The text's tokens, EOS included.
        parts: In how many pieces the text was translated; 1 unless it was too long.
    """

    text: str
    score: float
    finished: bool = True
    hypotheses: tuple[Hypothesis, ...] = ()
    source_tokens: tuple[str, ...] = ()
    parts: int = 1


NOTHING = Hypothesis("", 0.0, 0.0)


def translation(hypotheses: list[Hypothesis], source_tokens=(), parts: int = 1) -> Translation:
    """What was found, with the best in front."""
    best = hypotheses[0] if hypotheses else Hypothesis("", -float("inf"), -float("inf"), False)
    return Translation(
        best.text, best.score, best.finished, tuple(hypotheses), tuple(source_tokens), parts
    )


def joined(pieces: list[Translation]) -> Translation:
    """The translation of a text from those of its pieces: best with best, second with second.

    Scores are added up. Attention stays with the pieces.
    """
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return translation([NOTHING])
    return translation(
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
        [source for piece in pieces for source in piece.source_tokens],
        len(pieces),
    )


@dataclasses.dataclass(frozen=True)
class Score:
    """How probable a model finds a given translation.

    Attributes:
        log_prob: The sum of its tokens' log-probabilities, EOS included.
        token_log_probs: Those of its tokens.
        tokens: Its tokens, EOS included.
    """

    log_prob: float
    token_log_probs: tuple[float, ...]
    tokens: tuple[str, ...]
