"""Beam search with a static shape, a KV cache that is never reordered and a stop per sentence."""

import dataclasses
from typing import NamedTuple

import numpy as np
from keras import ops

from keras_transformer.decoding.hypotheses import (
    IMPOSSIBLE,
    Hypotheses,
    length_normalizer,
    take_rows,
    where,
)
from keras_transformer.decoding.logits_processor import LogitsRules
from keras_transformer.decoding.next_tokens import most_probable_tokens
from keras_transformer.forking import refused_after_fork


class LiveBeams(NamedTuple):
    """The W live beams of each of B sentences, best first.

    A live beam is a partial hypothesis, which does not end with EOS yet.

    Attributes:
        ids: Integer tensor of shape `(B, W, L)`: the tokens so far, followed by padding.
        tokens: Integer tensor of shape `(B, W)`: the last token of each beam; initially BOS.
        log_probs: Tensor of shape `(B, W)`: sums of the tokens' log-probabilities; -inf in a slot
            without a beam.
        ancestry: Boolean tensor of shape `(B, W, L, W)`: whether each beam was in each of the W
            slots at each position, up to that of its last token.
    """

    ids: object
    tokens: object
    log_probs: object
    ancestry: object


class BeamState(NamedTuple):
    """The state of the beam searches of B sentences.

    Attributes:
        index: Integer tensor of shape `(B,)`: the number of tokens so far.
        live: `LiveBeams`, W for each sentence.
        finished: `Hypotheses`, the W best of each sentence that end with EOS.
    """

    index: object
    live: LiveBeams
    finished: Hypotheses


class SearchLimits(NamedTuple):
    """Length limits and prefixes of the hypotheses of B sentences.

    Attributes:
        max_lengths: Integer tensor of shape `(B,)`: maximum number of tokens, EOS included.
        min_lengths: Integer tensor of shape `(B,)`: minimum number of tokens, EOS included. `None`
            means no minimum.
        prefix: Integer tensor of shape `(B, P)`: tokens that the hypotheses start with, followed
            by padding. `None` means no prefix.
    """

    max_lengths: object
    min_lengths: object = None
    prefix: object = None


@refused_after_fork
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
    """Searches for the hypotheses with the best scores, with `beam_size` live beams per sentence.

    At each step, every live beam is extended by every token, and the `2 * beam_size` most probable
    candidates are considered. A beam has only one candidate that ends with EOS, so at most half of
    them are finished, and at least `beam_size` remain to be the new live beams. Finished hypotheses
    are kept separately and ranked by score: the log-probability divided by `length_normalizer`. The
    search for a sentence stops when no live beam can reach a better score than its `top_beams`
    finished hypotheses.

    With `beam_size=1`, only the most probable candidate is considered, which is greedy search.

    The search does not depend on a model: `step` computes the logits of the next token. When the
    search reorders beams, a cache that `step` keeps of earlier positions is not reordered; `step`
    receives `ancestry` to find the entries of each beam instead.

    Section 6.1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), with the rules of
    the authors' Tensor2Tensor, except that every sentence stops independently: its result does not
    depend on the rest of the batch.

    Args:
        step: Function `(tokens, index, ancestry, state) -> (logits, state)`. `tokens`, `(B, W)`,
            are the tokens at position `index`, an integer scalar tensor; BOS at position 0.
            `ancestry`, boolean `(B, W, L, W)`, is whether each beam was in each slot at positions
            0 to `index`. `logits`, `(B, W, V)`, are those of the next tokens.
        state: Any nested structure of tensors: the initial state of `step`, such as its KV cache.
        max_lengths: Integer tensor of shape `(B,)`: maximum number of tokens, EOS included.
        length: Integer L. Static length of the results, at least the largest of `max_lengths`.
        bos_id: Integer. The beginning-of-sentence id, which is not part of the results.
        eos_id: Integer. The end-of-sentence id, which is part of the results.
        pad_id: Integer. The padding id, which is never chosen as a token.
        beam_size: Integer W. Number of live beams.
        top_beams: Integer N. Number of hypotheses to return, at most `beam_size`.
        length_penalty: Float, at least 0. Strength of the length normalization; at 0, hypotheses
            are ranked by their log-probability.
        min_lengths: Integer tensor of shape `(B,)`: minimum number of tokens, EOS included.
        prefix: Integer tensor of shape `(B, P)`: tokens that all hypotheses start with, followed
            by `pad_id`. They are part of the results and count in log-probability and score.
        no_repeat_ngram_size: Integer n. No n-gram of tokens may occur twice in a hypothesis; 0
            allows repetition.

    Returns:
        `Hypotheses`. If a sentence has finished hypotheses, only these are returned. If it has
        none within `max_lengths`, its best live beams are returned, which are not `finished`.

    Raises:
        ValueError: If `beam_size`, `top_beams`, `length_penalty` or `no_repeat_ngram_size` is out
            of range.

    Example: The most probable first token, 3 (0.6), leads to 0.6 * 0.5 = 0.3 only. With two beams,
    the search also follows 4 (0.4) and finds 0.4 * 0.9 = 0.36.

    >>> import numpy as np
    >>> table = np.log(np.array([
    ...     [0, 0, 1, 0, 0], [0, 0, 0, 0.6, 0.4], [0, 0, 1, 0, 0],
    ...     [0, 0, 0.5, 0.5, 0], [0, 0, 0.9, 0.1, 0]], "float32") + 1e-9)
    >>> def step(tokens, index, ancestry, state):
    ...     return keras.ops.take(table, tokens, axis=0), state
    >>> options = {"length": 2, "bos_id": 1, "eos_id": 2, "beam_size": 2, "top_beams": 2}
    >>> results = beam_search(step, (), keras.ops.array([2]), **options)
    >>> results.ids.numpy().tolist(), [round(float(p), 2) for p in np.exp(results.log_probs[0])]
    ([[[4, 2], [3, 2]]], [0.36, 0.3])
    """
    search = BeamSearch(
        length, bos_id, eos_id, pad_id, beam_size, top_beams, length_penalty, no_repeat_ngram_size
    )
    limits = SearchLimits(ops.cast(max_lengths, "int32"), min_lengths, prefix)

    def decode_one(index, beam_state, state):
        beams = beam_state.live
        logits, state = step(beams.tokens, index, beams.ancestry, state)
        return index + 1, search.step(beam_state, limits, logits, index + 1), state

    _, beam_state, _ = ops.while_loop(
        lambda index, beam_state, state: ops.any(search.is_active(beam_state, limits)),
        decode_one,
        (ops.zeros((), "int32"), search.initialize(max_lengths.shape[0]), state),
        maximum_iterations=length,
    )
    return search.finalize(beam_state, limits)


@dataclasses.dataclass(frozen=True)
class BeamSearch:
    """The algorithm of `beam_search` as separate operations: initialize, step and finalize.

    For loops other than that of `beam_search`, such as continuous batching. The arguments are those
    of `beam_search`.

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
                "`top_beams` is the number of hypotheses to return: at least 1, at most "
                f"`beam_size`. Received: top_beams={self.top_beams}, beam_size={self.beam_size}"
            )
        if not 0 <= self.length_penalty < float("inf"):
            raise ValueError(
                "`length_penalty` must be at least 0 and finite: 0 for no length normalization, "
                f"0.6 as in the paper. Received: {self.length_penalty}"
            )
        if self.no_repeat_ngram_size < 0:
            raise ValueError(
                "`no_repeat_ngram_size` must be at least 0, where 0 allows repetition. "
                f"Received: {self.no_repeat_ngram_size}"
            )

    def initialize(self, batch, place=0):
        """Returns the initial state: one live beam without tokens for each sentence.

        The other W - 1 slots are empty; if all held the same beam, all would remain the same.

        Args:
            batch: Integer B. Number of sentences.
            place: Integer or scalar tensor. Index of BOS along the axis L of `ancestry`.

        Returns:
            `BeamState`.
        """
        B, W, L = batch, self.beam_size, self.length
        at_place = ops.equal(ops.arange(L, dtype="int32"), place)[:, None]
        own_slot = ops.eye(W, dtype="bool")[None, :, None]
        live = LiveBeams(
            ids=ops.full((B, W, L), self.pad_id, "int32"),
            tokens=ops.full((B, W), self.bos_id, "int32"),
            log_probs=ops.broadcast_to(
                ops.where(ops.arange(W) == 0, np.float32(0), np.float32(IMPOSSIBLE)), (B, W)
            ),
            ancestry=ops.broadcast_to(ops.logical_and(at_place, own_slot), (B, W, L, W)),
        )
        no_scores = ops.full((B, W), IMPOSSIBLE, "float32")
        finished = Hypotheses(live.ids, no_scores, no_scores, ops.zeros((B, W), "bool"))
        return BeamState(ops.zeros((B,), "int32"), live, finished)

    def is_active(self, beam_state, limits):
        """Returns whether each search can improve and is below the static length L, `(B,)`."""
        return ops.logical_and(beam_state.index < self.length, self.can_improve(beam_state, limits))

    def can_improve(self, beam_state, limits):
        """Returns whether each search can still find a better hypothesis, `(B,)`.

        Further tokens never raise the log-probability of a beam, and no hypothesis is longer than
        `max_lengths`, which gives an upper bound of all scores to come.
        """
        bound = beam_state.live.log_probs[:, 0] / self._normalizer(limits.max_lengths)
        worst = beam_state.finished.scores[:, self.top_beams - 1]
        return ops.logical_and(beam_state.index < limits.max_lengths, bound > worst)

    def step(self, beam_state, limits, logits, next_place):
        """Extends the live beams by one token. The state of inactive searches does not change.

        Args:
            beam_state: `BeamState`.
            limits: `SearchLimits`.
            logits: Tensor of shape `(B, W, V)`: logits of the next token of each live beam.
            next_place: Integer scalar tensor. Index of the new token along the axis L of
                `ancestry`.

        Returns:
            `BeamState`.
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
        """Returns the `top_beams` best finished hypotheses, or live beams if there are none.

        Args:
            beam_state: `BeamState`.
            limits: `SearchLimits`.

        Returns:
            `Hypotheses`.
        """
        live, finished = beam_state.live, beam_state.finished
        unfinished = Hypotheses(
            live.ids,
            live.log_probs,
            live.log_probs / self._normalizer(limits.max_lengths)[:, None],
            ops.zeros_like(finished.finished),
        )
        results = where(finished.scores[:, 0] > IMPOSSIBLE, finished, unfinished)
        results = Hypotheses(*(tensor[:, : self.top_beams] for tensor in results))
        exists = results.scores > IMPOSSIBLE
        return results._replace(
            ids=ops.where(exists[..., None], results.ids, self.pad_id),
            finished=ops.logical_and(exists, results.finished),
        )

    def _normalizer(self, lengths):
        return length_normalizer(lengths, self.length_penalty)

    def _candidates(self, live, index, logits, rules):
        """Returns the best one-token extensions of the live beams, as `LiveBeams`, best first."""
        considered = 2 * self.beam_size if self.beam_size > 1 else 1
        # The best `considered` candidates of all beams are among the best `considered` of each.
        per_beam = min(considered, logits.shape[-1])
        logits = ops.cast(logits, "float32")
        log_probs, tokens = most_probable_tokens(logits, index, live.ids, rules, per_beam)
        B, W = live.tokens.shape
        totals = ops.reshape(live.log_probs[..., None] + log_probs, (B, W * per_beam))
        totals, order = ops.top_k(totals, min(considered, W * per_beam))
        tokens = ops.take_along_axis(ops.reshape(tokens, (B, W * per_beam)), order, axis=1)
        parents = take_rows(live, ops.floor_divide(order, per_beam))
        at_index = ops.equal(ops.arange(self.length, dtype="int32"), index[:, None, None])
        ids = ops.where(at_index, tokens[..., None], parents.ids)
        return LiveBeams(ids, tokens, totals, parents.ancestry)

    def _best_live(self, candidates, ends, next_place):
        """Returns the best unfinished candidates; beam w is in slot w at `next_place`."""
        log_probs = ops.where(ends, IMPOSSIBLE, candidates.log_probs)
        log_probs, order = ops.top_k(log_probs, self.beam_size)
        live = take_rows(candidates, order)
        at_place = ops.equal(ops.arange(self.length, dtype="int32"), next_place)[:, None]
        own_slot = ops.eye(self.beam_size, dtype="bool")[None, :, None]
        ancestry = ops.where(at_place, own_slot, live.ancestry)
        return live._replace(log_probs=log_probs, ancestry=ancestry)

    def _best_finished(self, finished, candidates, ends, normalizer):
        """Returns the best of the finished hypotheses and the candidates that end now."""
        log_probs = ops.where(ends, candidates.log_probs, IMPOSSIBLE)
        new = Hypotheses(candidates.ids, log_probs, log_probs / normalizer, ends)
        both = Hypotheses(
            *(ops.concatenate(pair, axis=1) for pair in zip(finished, new, strict=True))
        )
        _, order = ops.top_k(both.scores, self.beam_size)
        return take_rows(both, order)


def select(active, new, old):
    """Selects the `BeamState` `new` for active sentences, boolean `(B,)`, else `old`."""
    return BeamState(
        ops.where(active, new.index, old.index),
        where(active, new.live, old.live),
        where(active, new.finished, old.finished),
    )
