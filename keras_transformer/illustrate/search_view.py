"""Beam search, drawn as a tree of the candidates of each step."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render

FATES = {
    "kept": "kept as a beam",
    "ended": "finished",
    "dropped": "dropped",
    "left": "still live when the search stopped",
}
WIDTH, HEIGHT = 152, 34  # of a cell of the tree, in pixels
LONGEST = 11  # characters of a token in the tree


@dataclasses.dataclass(frozen=True)
class SearchStep:
    """State of a beam search before and after one step.

    Attributes:
        beams: The live beams before the step, tuples of ids, best first.
        log_probs: Log-probabilities of `beams`.
        next_log_probs: Log-probabilities of every next token, array of shape `(beams, V)`.
        kept: The live beams after the step, each one token longer, best first.
        next_ids: Ids of the next tokens, array of the shape of `next_log_probs`, if that holds the
            most probable ones only. `None` means all ids in order.
    """

    beams: Sequence[tuple[int, ...]]
    log_probs: Sequence[float]
    next_log_probs: np.ndarray
    kept: Sequence[tuple[int, ...]]
    next_ids: np.ndarray | None = None

    def id_of(self, beam: int, column: int) -> int:
        """Returns the id of a column of `next_log_probs`."""
        return int(column if self.next_ids is None else self.next_ids[beam, column])


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A beam extended by one token, as considered by a search.

    Attributes:
        ids: Token ids.
        probability: Probability of the last token, given the others.
        log_prob: Log-probability of all tokens.
        fate: Outcome of the candidate, a key of `FATES`.
    """

    ids: tuple[int, ...]
    probability: float
    log_prob: float
    fate: str


def candidates(
    step: SearchStep, beam_size: int, eos_id: int, pad_id: int, last: bool = False
) -> list[Candidate]:
    """Returns the `2 * beam_size` candidates of a step, best first, and their fates.

    Greedy search, `beam_size=1`, considers one candidate only.

    Example: one beam and the ids 1 (EOS), 2 and 3. The best candidate that does not end is kept.

    >>> step = SearchStep([()], [0.0], np.log([[1e-9, 0.5, 0.3, 0.2]]), [(2,)])
    >>> [(found.ids, found.fate) for found in candidates(step, 1, eos_id=1, pad_id=0)]
    [((1,), 'ended')]
    >>> [(found.ids, found.fate) for found in candidates(step, 2, eos_id=1, pad_id=0)]
    [((1,), 'ended'), ((2,), 'kept'), ((3,), 'dropped')]
    """
    next_log_probs = np.array(step.next_log_probs, "float64")
    if step.next_ids is None:
        next_log_probs[:, pad_id] = -np.inf
    totals = np.asarray(step.log_probs, "float64")[:, None] + next_log_probs
    count = 1 if beam_size == 1 else 2 * beam_size
    order = np.argsort(-totals, axis=None, kind="stable")[:count]
    considered = []
    for beam, column in zip(*np.unravel_index(order, totals.shape), strict=True):
        if totals[beam, column] == -np.inf:
            continue
        token = step.id_of(beam, column)
        ids = (*step.beams[beam], token)
        fate = "ended" if token == eos_id else "dropped"
        if ids in step.kept:
            fate = "left" if last else "kept"
        probability = float(np.exp(next_log_probs[beam, column]))
        considered.append(Candidate(ids, probability, float(totals[beam, column]), fate))
    return considered


def search_figure(
    steps: Sequence[SearchStep],
    hypotheses: Sequence[dict],
    token_of: Callable[[int], str],
    beam_size: int,
    eos_id: int,
    pad_id: int = 0,
    top_words: int = 5,
    unit: str = "word",
) -> Figure:
    """Draws a beam search: its tree, its hypotheses and the most probable words after each beam.

    Args:
        steps: `SearchStep`s of the search.
        hypotheses: Results of the search, best first: dicts with `"ids"` (EOS included),
            `"score"`, `"log_prob"` and `"finished"`.
        token_of: Function from an id to its token.
        beam_size: Number of beams of the search.
        eos_id: Id of EOS, which finishes a hypothesis.
        pad_id: Id of padding, which is never generated.
        top_words: Number of next words to list for each beam.
        unit: What an id stands for, if not a word.

    Returns:
        A `Figure`. Its `data` are `"candidates"`, a list of `Candidate` for each step; `"top"`, the
        most probable `(token, probability)` pairs for each step and beam; and `"hypotheses"`.

    Raises:
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    drawing = search_drawing(steps, hypotheses, token_of, beam_size, eos_id, pad_id, top_words)
    data = {name: drawing.pop(name) for name in ("candidates", "top")}
    body = render("search.html", **drawing, fates=FATES, unit=unit)
    hypotheses = [{**one, "ids": tuple(one["ids"])} for one in hypotheses]
    return Figure("Search", body, {**data, "hypotheses": hypotheses})


def search_drawing(steps, hypotheses, token_of, beam_size, eos_id, pad_id=0, top_words=5) -> dict:
    """Returns what is drawn of a beam search. The arguments are those of `search_figure`.

    Returns:
        A dict of `"tree"`, the places of nodes and edges in pixels; `"steps"`, a list of the rows
        of each step, one per beam, with its next words; `"hypotheses"`, with their tokens; and
        `"candidates"` and `"top"` of the data of the figure.
    """
    tree = [
        candidates(step, beam_size, eos_id, pad_id, last=number == len(steps) - 1)
        for number, step in enumerate(steps)
    ]
    hypotheses = [{**one, "ids": tuple(one["ids"])} for one in hypotheses]
    top = [_top(step, token_of, top_words) for step in steps]
    return {
        "tree": _layout(tree, steps, hypotheses, token_of),
        "steps": [
            _word_rows(step, words, token_of) for step, words in zip(steps, top, strict=True)
        ],
        "hypotheses": [
            {**one, "tokens": [token_of(id) for id in one["ids"]]} for one in hypotheses
        ],
        "candidates": tree,
        "top": top,
    }


def _top(step: SearchStep, token_of, count: int) -> list[list[tuple[str, float]]]:
    """Returns the most probable next tokens of each beam, with their probabilities."""
    probabilities = np.exp(np.asarray(step.next_log_probs, "float64"))
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return [
        [
            (token_of(step.id_of(beam, column)), float(probabilities[beam, column]))
            for column in best
            if probabilities[beam, column] or step.next_ids is None
        ]
        for beam, best in enumerate(order)
    ]


def _word_rows(step: SearchStep, words, token_of) -> list[dict]:
    """Returns the table rows of a step: one per beam, with its next words."""
    return [
        {
            "tokens": [token_of(id) for id in ids[-6:]],
            "cut": len(ids) > 6,
            "probability": float(np.exp(log_prob)),
            "words": words[beam],
        }
        for beam, (ids, log_prob) in enumerate(zip(step.beams, step.log_probs, strict=True))
    ]


def _layout(tree, steps, hypotheses, token_of) -> dict:
    """Returns the nodes and edges of the tree: one column per step, kept candidates on top."""
    best = hypotheses[0]["ids"] if hypotheses else ()
    ranks = {one["ids"]: number for number, one in enumerate(hypotheses, start=1)}
    places, nodes, edges = {(): (WIDTH // 2, HEIGHT)}, [], []
    for number, (level, step) in enumerate(zip(tree, steps, strict=True), start=1):
        level = sorted(level, key=lambda node, kept=step.kept: node.ids not in kept)
        for row, candidate in enumerate(level):
            ids, fate = candidate.ids, candidate.fate
            x, y = WIDTH // 2 + number * WIDTH, HEIGHT * (row + 1)
            places[ids] = (x, y)
            token = token_of(ids[-1])
            on_best = ids == best[: len(ids)]
            edge = {"from": places[ids[:-1]], "to": (x, y)}
            edges.append({**edge, "step": number, "fate": fate, "best": on_best})
            nodes.append({"x": x, "y": y, "step": number, "fate": fate, "best": on_best})
            nodes[-1]["token"] = token
            nodes[-1]["short"] = token if len(token) <= LONGEST else token[: LONGEST - 1] + "…"
            nodes[-1]["probability"] = candidate.probability
            nodes[-1]["rank"] = ranks.get(ids)
    rows = max((len(level) for level in tree), default=1)
    return {
        "width": WIDTH * (len(tree) + 1),
        "height": HEIGHT * (rows + 1),
        "root": places[()],
        "nodes": nodes,
        "edges": edges,
    }
