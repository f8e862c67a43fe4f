"""What a beam search considered at each step, as a tree."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render

FATES = {
    "kept": "went on",
    "ended": "ended here",
    "dropped": "dropped",
    "left": "was left when the search stopped",
}
WIDTH, HEIGHT = 132, 34  # of a place in the tree, in pixels
LONGEST = 11  # characters of a token in the tree


@dataclasses.dataclass(frozen=True)
class SearchStep:
    """What a search knew when it wrote one more token.

    Attributes:
        beams: The beginnings that were alive, tuples of ids, best first.
        log_probs: Their log-probabilities.
        next_log_probs: Array `(beams, V)`: log-probabilities of every next token.
        kept: The beginnings that were alive afterwards, each a token longer, best first.
    """

    beams: Sequence[tuple[int, ...]]
    log_probs: Sequence[float]
    next_log_probs: np.ndarray
    kept: Sequence[tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A beginning with one more token, that a search looked at.

    Attributes:
        ids: Its tokens.
        probability: Of the last token, after the others.
        log_prob: Of all tokens.
        fate: One of `FATES`.
    """

    ids: tuple[int, ...]
    probability: float
    log_prob: float
    fate: str


def candidates(
    step: SearchStep, beam_size: int, eos_id: int, pad_id: int, last: bool = False
) -> list[Candidate]:
    """The `2 * beam_size` continuations that a search looked at, best first, and their fate.

    Greedy search, `beam_size=1`, looked at one.

    Example: one beginning, ids 1 (EOS), 2 and 3; the better one that does not end is kept.

    >>> step = SearchStep([()], [0.0], np.log([[1e-9, 0.5, 0.3, 0.2]]), [(2,)])
    >>> [(one.ids, one.fate) for one in candidates(step, 1, eos_id=1, pad_id=0)]
    [((1,), 'ended')]
    >>> [(one.ids, one.fate) for one in candidates(step, 2, eos_id=1, pad_id=0)]
    [((1,), 'ended'), ((2,), 'kept'), ((3,), 'dropped')]
    """
    next_log_probs = np.array(step.next_log_probs, "float64")
    next_log_probs[:, pad_id] = -np.inf
    totals = np.asarray(step.log_probs, "float64")[:, None] + next_log_probs
    count = 1 if beam_size == 1 else 2 * beam_size
    order = np.argsort(-totals, axis=None, kind="stable")[:count]
    found = []
    for beam, token in zip(*np.unravel_index(order, totals.shape), strict=True):
        if totals[beam, token] == -np.inf:
            continue
        ids = (*step.beams[beam], int(token))
        fate = "ended" if token == eos_id else "dropped"
        if ids in step.kept:
            fate = "left" if last else "kept"
        probability = float(np.exp(next_log_probs[beam, token]))
        found.append(Candidate(ids, probability, float(totals[beam, token]), fate))
    return found


def search_figure(
    steps: Sequence[SearchStep],
    hypotheses: Sequence[dict],
    token_of: Callable[[int], str],
    beam_size: int,
    eos_id: int,
    pad_id: int = 0,
    top_words: int = 5,
) -> Figure:
    """The beginnings that a beam search went through, and the words it considered after each.

    Args:
        steps: What the search knew at each step.
        hypotheses: What it found, best first: dicts with `"ids"` (EOS included), `"score"`,
            `"log_prob"` and `"finished"`.
        token_of: Function from an id to its token.
        beam_size: How many beginnings the search kept.
        eos_id: The id that ends a sentence.
        pad_id: The id that is never chosen.
        top_words: How many next words are listed for each beginning.

    Returns:
        `Figure`; its `data` are `"candidates"` (a list of `Candidate` a step), `"top"` (for each
        step and beam the most probable `(token, probability)`) and `"hypotheses"`.

    Raises:
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    tree = [
        candidates(step, beam_size, eos_id, pad_id, last=number == len(steps) - 1)
        for number, step in enumerate(steps)
    ]
    found = [{**one, "ids": tuple(one["ids"])} for one in hypotheses]
    top = [_top(step, token_of, top_words) for step in steps]
    body = render(
        "search.html",
        tree=_drawn(tree, steps, found, token_of),
        steps=[_listed(step, words, token_of) for step, words in zip(steps, top, strict=True)],
        hypotheses=[{**one, "tokens": [token_of(id) for id in one["ids"]]} for one in found],
        fates=FATES,
        beam_size=beam_size,
    )
    return Figure("Search", body, {"candidates": tree, "top": top, "hypotheses": found})


def _top(step: SearchStep, token_of, count: int) -> list[list[tuple[str, float]]]:
    probabilities = np.exp(np.asarray(step.next_log_probs, "float64"))
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        [(token_of(int(token)), float(row[token])) for token in best]
        for row, best in zip(probabilities, order, strict=True)
    ]


def _listed(step: SearchStep, words, token_of) -> list[dict]:
    return [
        {
            "tokens": [token_of(id) for id in ids[-6:]],
            "cut": len(ids) > 6,
            "probability": float(np.exp(log_prob)),
            "words": words[beam],
        }
        for beam, (ids, log_prob) in enumerate(zip(step.beams, step.log_probs, strict=True))
    ]


def _drawn(tree, steps, found, token_of) -> dict:
    """Places and lines of the tree: a column a step; what goes on stands above what does not."""
    best = found[0]["ids"] if found else ()
    ranks = {one["ids"]: number for number, one in enumerate(found, start=1)}
    places, nodes, edges = {(): (WIDTH // 2, HEIGHT)}, [], []
    for number, (level, step) in enumerate(zip(tree, steps, strict=True), start=1):
        level = sorted(level, key=lambda one, kept=step.kept: one.ids not in kept)
        for row, one in enumerate(level):
            x, y = WIDTH // 2 + number * WIDTH, HEIGHT * (row + 1)
            places[one.ids] = (x, y)
            token = token_of(one.ids[-1])
            on_best = one.ids == best[: len(one.ids)]
            edges.append({"from": places[one.ids[:-1]], "to": (x, y), "fate": one.fate})
            edges[-1]["best"] = on_best
            nodes.append({"x": x, "y": y, "fate": one.fate, "best": on_best, "token": token})
            nodes[-1]["short"] = token if len(token) <= LONGEST else token[: LONGEST - 1] + "…"
            nodes[-1]["probability"] = one.probability
            nodes[-1]["rank"] = ranks.get(one.ids)
    rows = max((len(level) for level in tree), default=1)
    return {
        "width": WIDTH * (len(tree) + 1),
        "height": HEIGHT * (rows + 1),
        "root": places[()],
        "nodes": nodes,
        "edges": edges,
    }
