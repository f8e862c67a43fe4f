"""Beam search: the most probable sentences, sought among the most probable beginnings."""

import dataclasses
from typing import NamedTuple

from keras import ops

from keras_transformer.decoding.hypotheses import (
    IMPOSSIBLE,
    Hypotheses,
    length_normalizer,
    take_rows,
    where,
)
from keras_transformer.decoding.logits_processor import LogitsRules, mask_logits
from keras_transformer.decoding.top_k import top_k_two_stage


class LiveBeams(NamedTuple):
    """Beginnings of sentences that can still go on, W for each source, best first.

    Attributes:
        ids: `(B, W, L)`: what each has written, then padding.
        tokens: `(B, W)`: the last token of each; at first BOS.
        log_probs: `(B, W)`: the sums of their tokens' log-probabilities; -inf if there is none.
        ancestry: `(B, W, L, W)`, boolean: whether at each position, up to that of its last token,
            each stood in each of the W slots.
    """

    ids: object
    tokens: object
    log_probs: object
    ancestry: object


class BeamState(NamedTuple):
    """How far the searches for B sentences have come.

    Attributes:
        index: `(B,)`: how many tokens are written.
        live: `LiveBeams`, W for each sentence.
        finished: `Hypotheses`, W for each sentence, that ended with EOS.
    """

    index: object
    live: LiveBeams
    finished: Hypotheses


class SearchLimits(NamedTuple):
    """What is asked for each of B sentences.

    Attributes:
        max_lengths: `(B,)`: the most tokens, EOS included.
        min_lengths: `(B,)`: the fewest tokens, EOS included; or `None`.
        prefix: `(B, P)`: the tokens to start with, then padding; or `None`.
    """

    max_lengths: object
    min_lengths: object = None
    prefix: object = None


def beam_search(
    step,
    state,
    max_lengths,
    *,
    length,
    bos_id,
    eos_id,
    pad_id=0,
    beam_size=4,
    top_beams=1,
    length_penalty=0.6,
    min_lengths=None,
    prefix=None,
    no_repeat_ngram_size=0,
):
    """Writes sentences token by token, always going on with the `beam_size` best beginnings.

    At each step every beginning is continued with every token. Of all these candidates the best
    `2 * beam_size` are looked at: at most half of them end, since a beginning can end in one way
    only, so enough are left to go on with. Those that end are put aside and compete with one
    another by score, the log-probability divided by `length_normalizer`. The search for a
    sentence is over when no beginning can come to a better score than its `top_beams` have.

    With `beam_size=1` one candidate is looked at, so this is greedy search.

    The search knows nothing of models: `step` says how probable each next token is. What `step`
    remembers of the positions before need not move when beams cross: the search tells `ancestry`.

    Section 6.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), with the rules of
    their Tensor2Tensor, except that every sentence stops for itself: its result depends on no
    other.

    Args:
        step: Function `(tokens, index, ancestry, state) -> (logits, state)`. `tokens`, `(B, W)`,
            stand at position `index`: at 0, BOS. `ancestry`, boolean, `(B, W, L, W)`, says of each
            beam in which slot it stood at positions 0 to `index`. `logits` are `(B, W, V)`.
        state: Any nested structure of tensors: what `step` wants to remember.
        max_lengths: Integer tensor of shape `(B,)`: the most tokens, EOS included.
        length: Integer, L. Room for so many tokens, at least the greatest of `max_lengths`.
        bos_id: Integer. Starts every sentence; not part of the result.
        eos_id: Integer. Ends a sentence; part of the result.
        pad_id: Integer. Fills the result up; never chosen.
        beam_size: Integer, W. How many beginnings are kept.
        top_beams: Integer, N. How many hypotheses are returned, at most `beam_size`.
        length_penalty: Float, at least 0. At 0 the most probable hypothesis is the best.
        min_lengths: Integer tensor of shape `(B,)`: the fewest tokens, EOS included.
        prefix: Integer tensor of shape `(B, P)`: tokens to start with, then `pad_id`. They are
            part of the result, and their log-probabilities of the score.
        no_repeat_ngram_size: Integer, n. No n tokens in a row occur twice; 0 allows it.

    Returns:
        `Hypotheses`. Those of a sentence that never ended within `max_lengths` are its best
        beginnings, not `finished`; else only finished ones are returned.

    Raises:
        ValueError: `beam_size`, `top_beams`, `length_penalty` or `no_repeat_ngram_size` makes no
            sense.

    Example: the most probable first token, 3 (.6), leads to .6 * .5 = .3; two beams also follow
    4 (.4) and find .4 * .9 = .36.

    >>> import numpy as np
    >>> table = np.log(np.array([
    ...     [0, 0, 1, 0, 0], [0, 0, 0, 0.6, 0.4], [0, 0, 1, 0, 0],
    ...     [0, 0, 0.5, 0.5, 0], [0, 0, 0.9, 0.1, 0]], "float32") + 1e-9)
    >>> def step(tokens, index, ancestry, state):
    ...     return keras.ops.take(table, tokens, axis=0), state
    >>> options = {"length": 2, "bos_id": 1, "eos_id": 2, "beam_size": 2, "top_beams": 2}
    >>> found = beam_search(step, (), keras.ops.array([2]), **options)
    >>> found.ids.numpy().tolist(), [round(float(p), 2) for p in np.exp(found.log_probs[0])]
    ([[[4, 2], [3, 2]]], [0.36, 0.3])
    """
    search = BeamSearch(
        length, bos_id, eos_id, pad_id, beam_size, top_beams, length_penalty, no_repeat_ngram_size
    )
    limits = SearchLimits(ops.cast(max_lengths, "int32"), min_lengths, prefix)

    def write_one(index, beam_state, state):
        beams = beam_state.live
        logits, state = step(beams.tokens, index, beams.ancestry, state)
        return index + 1, search.step(beam_state, limits, logits, index + 1), state

    _, beam_state, _ = ops.while_loop(
        lambda index, beam_state, state: ops.any(search.is_active(beam_state, limits)),
        write_one,
        (ops.zeros((), "int32"), search.initialize(max_lengths.shape[0]), state),
        maximum_iterations=length,
    )
    return search.finalize(beam_state, limits)


@dataclasses.dataclass(frozen=True)
class BeamSearch:
    """The parts of `beam_search`, whose arguments it has: how a search begins, advances, ends.

    Raises:
        ValueError: As in `beam_search`.
    """

    length: int
    bos_id: int
    eos_id: int
    pad_id: int = 0
    beam_size: int = 4
    top_beams: int = 1
    length_penalty: float = 0.6
    no_repeat_ngram_size: int = 0

    def __post_init__(self):
        if self.beam_size < 1:
            raise ValueError(f"`beam_size` must be at least 1. Received: {self.beam_size}")
        if not 1 <= self.top_beams <= self.beam_size:
            raise ValueError(
                "`top_beams` is how many of the `beam_size` beams are returned: at least 1, at "
                f"most all. Received: top_beams={self.top_beams}, beam_size={self.beam_size}"
            )
        if not 0 <= self.length_penalty < float("inf"):
            raise ValueError(
                "`length_penalty` must be at least 0: 0 for none, 0.6 in the paper. "
                f"Received: {self.length_penalty}"
            )
        if self.no_repeat_ngram_size < 0:
            raise ValueError(
                "`no_repeat_ngram_size` must be at least 0, for no rule. "
                f"Received: {self.no_repeat_ngram_size}"
            )

    def initialize(self, batch, place=0):
        """One empty beginning a sentence, and no other, or all would write the same.

        Args:
            batch: Integer, B.
            place: Integer or scalar tensor. The place of `ancestry` that BOS has.
        """
        B, W, L = batch, self.beam_size, self.length
        here = ops.equal(ops.arange(L, dtype="int32"), place)[:, None]
        own_slot = ops.eye(W, dtype="bool")[None, :, None]
        live = LiveBeams(
            ids=ops.full((B, W, L), self.pad_id, "int32"),
            tokens=ops.full((B, W), self.bos_id, "int32"),
            log_probs=ops.broadcast_to(ops.where(ops.arange(W) == 0, 0.0, IMPOSSIBLE), (B, W)),
            ancestry=ops.broadcast_to(ops.logical_and(here, own_slot), (B, W, L, W)),
        )
        nothing = ops.full((B, W), IMPOSSIBLE, "float32")
        finished = Hypotheses(live.ids, nothing, nothing, ops.zeros((B, W), "bool"))
        return BeamState(ops.zeros((B,), "int32"), live, finished)

    def is_active(self, beam_state, limits):
        """Whether a sentence can find something better, and has room to, `(B,)`."""
        return ops.logical_and(beam_state.index < self.length, self.can_improve(beam_state, limits))

    def can_improve(self, beam_state, limits):
        """Whether a sentence can still find something better, `(B,)`.

        No beginning gets more probable by going on, and none gets longer than `max_lengths`: this
        bounds the scores that can still come.
        """
        bound = beam_state.live.log_probs[:, 0] / self._normalizer(limits.max_lengths)
        worst = beam_state.finished.scores[:, self.top_beams - 1]
        return ops.logical_and(beam_state.index < limits.max_lengths, bound > worst)

    def step(self, beam_state, limits, logits, next_place):
        """Writes one token. A sentence whose search is over keeps what it has.

        Args:
            beam_state: `BeamState`.
            limits: `SearchLimits`.
            logits: Tensor of shape `(B, W, V)`: of every beam's next token.
            next_place: Integer scalar tensor: the place of `ancestry` that the token will have.
        """
        index, live, finished = beam_state
        rules = LogitsRules(
            self.eos_id, self.pad_id, limits.min_lengths, limits.prefix, self.no_repeat_ngram_size
        )
        candidates = self._candidates(live, index, logits, rules)
        ends = ops.equal(candidates.tokens, self.eos_id)
        new = BeamState(
            index + 1,
            self._best_live(candidates, ends, next_place),
            self._best_finished(finished, candidates, ends, self._normalizer(index + 1)[:, None]),
        )
        return select(self.is_active(beam_state, limits), new, beam_state)

    def finalize(self, beam_state, limits):
        """The `top_beams` best that ended; of a sentence that never ended, its beginnings."""
        live, finished = beam_state.live, beam_state.finished
        unfinished = Hypotheses(
            live.ids,
            live.log_probs,
            live.log_probs / self._normalizer(limits.max_lengths)[:, None],
            ops.zeros_like(finished.finished),
        )
        found = where(finished.scores[:, 0] > IMPOSSIBLE, finished, unfinished)
        found = Hypotheses(*(tensor[:, : self.top_beams] for tensor in found))
        exists = found.scores > IMPOSSIBLE
        return found._replace(
            ids=ops.where(exists[..., None], found.ids, self.pad_id),
            finished=ops.logical_and(exists, found.finished),
        )

    def _normalizer(self, lengths):
        return length_normalizer(lengths, self.length_penalty)

    def _candidates(self, live, index, logits, rules):
        """The best continuations of a sentence's beams by one token, as `LiveBeams`, best first."""
        logits = ops.cast(logits, "float32")
        log_totals = ops.logsumexp(logits, axis=-1, keepdims=True)
        allowed = mask_logits(logits, index, live.ids, rules)
        considered = 2 * self.beam_size if self.beam_size > 1 else 1
        # Of one beam, no more than that many can be among that many best of all.
        per_beam = min(considered, logits.shape[-1])
        best, tokens = top_k_two_stage(allowed, per_beam)  # (B, W, per_beam)
        B, W = live.tokens.shape
        totals = ops.reshape(live.log_probs[..., None] + (best - log_totals), (B, W * per_beam))
        totals, order = ops.top_k(totals, min(considered, W * per_beam))
        tokens = ops.take_along_axis(ops.reshape(tokens, (B, W * per_beam)), order, axis=1)
        parents = take_rows(live, ops.floor_divide(order, per_beam))
        here = ops.equal(ops.arange(self.length, dtype="int32"), index[:, None, None])
        ids = ops.where(here, tokens[..., None], parents.ids)
        return LiveBeams(ids, tokens, totals, parents.ancestry)

    def _best_live(self, candidates, ends, next_place):
        """The best candidates that go on, each in a slot of its own from now on."""
        log_probs = ops.where(ends, IMPOSSIBLE, candidates.log_probs)
        log_probs, order = ops.top_k(log_probs, self.beam_size)
        live = take_rows(candidates, order)
        here = ops.equal(ops.arange(self.length, dtype="int32"), next_place)[:, None]
        own_slot = ops.eye(self.beam_size, dtype="bool")[None, :, None]
        ancestry = ops.where(here, own_slot, live.ancestry)
        return live._replace(log_probs=log_probs, ancestry=ancestry)

    def _best_finished(self, finished, candidates, ends, normalizer):
        """The best of what had ended before and what ends now."""
        log_probs = ops.where(ends, candidates.log_probs, IMPOSSIBLE)
        new = Hypotheses(candidates.ids, log_probs, log_probs / normalizer, ends)
        both = Hypotheses(
            *(ops.concatenate(pair, axis=1) for pair in zip(finished, new, strict=True))
        )
        _, order = ops.top_k(both.scores, self.beam_size)
        return take_rows(both, order)


def select(active, new, old):
    """Selects the `BeamState` `new` for active sentences, `(B,)`, and `old` for the rest."""
    return BeamState(
        ops.where(active, new.index, old.index),
        where(active, new.live, old.live),
        where(active, new.finished, old.finished),
    )
