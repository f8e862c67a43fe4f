"""Sampling: sentences drawn at random, each as often as the model finds it probable."""

from typing import NamedTuple

from keras import ops

from keras_transformer.decoding.beam_search import BeamSearch
from keras_transformer.decoding.hypotheses import (
    IMPOSSIBLE,
    Hypotheses,
    length_normalizer,
    take_rows,
)
from keras_transformer.decoding.logits_processor import LogitsRules, mask_logits
from keras_transformer.decoding.token_sampling import Sampling, sample_token


class Samples(NamedTuple):
    """Sentences while they are drawn, W for each source.

    Attributes:
        ids: `(B, W, L)`: what each has written, then padding.
        tokens: `(B, W)`: the last token of each; at first BOS.
        log_probs: `(B, W)`: the sums of their tokens' log-probabilities; -inf if nothing could
            come next.
        finished: `(B, W)`: whether each ended with EOS.
    """

    ids: object
    tokens: object
    log_probs: object
    finished: object


def sample(
    step,
    state,
    max_lengths,
    *,
    length,
    bos_id,
    eos_id,
    pad_id=0,
    beam_size=1,
    temperature=1.0,
    top_k=0,
    top_p=1.0,
    seeds=None,
    length_penalty=0.6,
    min_lengths=None,
    prefix=None,
    no_repeat_ngram_size=0,
):
    """Draws `beam_size` sentences for each source, independently of one another, token by token.

    Tokens that may not come next are left out first; then come `temperature`, `top_k` and `top_p`,
    in this order. What is left is drawn from. Log-probabilities and scores are the model's own, so
    a sentence has those that `beam_search` would give it.

    A sentence's random numbers are `uniforms` of its seed: they depend on no other sentence and on
    no backend.

    Top-k is section 5 in [Fan et al., 2018](https://arxiv.org/abs/1805.04833), top-p section 3 in
    [Holtzman et al., 2020](https://arxiv.org/abs/1904.09751).

    Args:
        step: Function `(tokens, index, ancestry, state) -> (logits, state)`, as in `beam_search`.
            Every sample stays in its slot, and `ancestry` says so.
        state: Any nested structure of tensors: what `step` wants to remember.
        max_lengths: Integer tensor of shape `(B,)`: the most tokens, EOS included.
        length: Integer, L. Room for so many tokens, at least the greatest of `max_lengths`.
        bos_id: Integer. Starts every sentence; not part of the result.
        eos_id: Integer. Ends a sentence; part of the result.
        pad_id: Integer. Fills the result up; never drawn.
        beam_size: Integer, W. How many sentences are drawn for each source, and returned.
        temperature: Float, greater than 0. See `Sampling`, also for `top_k` and `top_p`.
        top_k: Integer. How many tokens may be drawn; 0 for all.
        top_p: Float. How probable the tokens that may be drawn are together; 1 for all.
        seeds: Integer tensor of shape `(B,)`. `None` for each sentence's place in the batch.
        length_penalty: Float, at least 0. See `length_normalizer`.
        min_lengths: Integer tensor of shape `(B,)`: the fewest tokens, EOS included.
        prefix: Integer tensor of shape `(B, P)`: tokens to start with, then `pad_id`. They are
            part of the result, and their log-probabilities of the score.
        no_repeat_ngram_size: Integer, n. No n tokens in a row occur twice; 0 allows it.

    Returns:
        `Hypotheses`: all that were drawn, best first, the same sentence perhaps more than once.
        Those that reached their `max_lengths` without EOS are not `finished`; one that no token
        could follow does not exist.

    Raises:
        ValueError: `beam_size`, `length_penalty`, `no_repeat_ngram_size`, `temperature`, `top_k` or
            `top_p` makes no sense.

    Example: 3 comes in 7 of 10 sentences, else 4.

    >>> logits = keras.ops.log(keras.ops.array([0, 0, 0, 0.7, 0.3]))
    >>> def step(tokens, index, ancestry, state):
    ...     return keras.ops.broadcast_to(logits, (1, 1000, 5)), state
    >>> found = sample(step, (), keras.ops.array([1]), length=1, bos_id=1, eos_id=2, beam_size=1000)
    >>> round(float(keras.ops.mean(found.ids == 3)), 1), found.ids.shape[1]
    (0.7, 1000)
    """
    given = {"length_penalty": length_penalty, "no_repeat_ngram_size": no_repeat_ngram_size}
    BeamSearch(length, bos_id, eos_id, pad_id, beam_size, **given)  # checks them
    sampling = Sampling(temperature, top_k, top_p)
    rules = LogitsRules(eos_id, pad_id, min_lengths, prefix, no_repeat_ngram_size)
    limits = ops.cast(max_lengths, "int32")
    B = limits.shape[0]
    seeds = ops.arange(B, dtype="int32") if seeds is None else seeds

    def write_one(index, samples, state):
        ancestry = own_slots(index, *samples.ids.shape)
        logits, state = step(samples.tokens, index, ancestry, state)
        new = extend(samples, index, logits, seeds, rules, sampling)
        return index + 1, select(is_active(samples, index, limits), new, samples), state

    _, samples, _ = ops.while_loop(
        lambda index, samples, state: ops.any(is_active(samples, index, limits)),
        write_one,
        (ops.zeros((), "int32"), initialize(B, beam_size, length, bos_id, pad_id), state),
        maximum_iterations=length,
    )
    return best_first(samples, pad_id, length_penalty)


def initialize(batch, beam_size, length, bos_id, pad_id):
    """`Samples` without a token."""
    return Samples(
        ids=ops.full((batch, beam_size, length), pad_id, "int32"),
        tokens=ops.full((batch, beam_size), bos_id, "int32"),
        log_probs=ops.zeros((batch, beam_size), "float32"),
        finished=ops.zeros((batch, beam_size), "bool"),
    )


def is_active(samples, index, max_lengths):
    """Whether samples are neither finished nor dead, and have room, `(B, W)`."""
    alive = ops.logical_and(samples.log_probs > IMPOSSIBLE, ops.logical_not(samples.finished))
    return ops.logical_and(alive, index < max_lengths[:, None])


def own_slots(index, batch, beam_size, length):
    """The `ancestry`, `(B, W, L, W)`, of samples that stay in their slots, up to `index`."""
    known = (ops.arange(length, dtype="int32") <= index)[:, None]
    own = ops.logical_and(known, ops.eye(beam_size, dtype="bool")[:, None])
    return ops.broadcast_to(own, (batch, beam_size, length, beam_size))


def extend(samples, index, logits, seeds, rules, sampling):
    """Samples with one more token, or, where none is possible, dead."""
    logits = ops.cast(logits, "float32")
    allowed = mask_logits(logits, index, samples.ids, rules)
    tokens = sample_token(allowed, index, seeds, sampling)
    drawn = ops.take_along_axis(allowed, tokens[..., None], axis=-1)[..., 0]
    totals = samples.log_probs + (drawn - ops.logsumexp(logits, axis=-1))
    possible = totals > IMPOSSIBLE  # nor is it if this is NaN: the model allows nothing, either
    here = ops.equal(ops.arange(samples.ids.shape[-1], dtype="int32"), index)
    return Samples(
        ids=ops.where(here, tokens[..., None], samples.ids),
        tokens=tokens,
        log_probs=ops.where(possible, totals, IMPOSSIBLE),
        finished=ops.logical_and(possible, ops.equal(tokens, rules.eos_id)),
    )


def select(active, new, old):
    """Selects `new` for active samples, `(B, W)`, and `old` for the rest."""
    ids = ops.where(active[..., None], new.ids, old.ids)
    rest = (ops.where(active, *both) for both in zip(new[1:], old[1:], strict=True))
    return Samples(ids, *rest)


def best_first(samples, pad_id, length_penalty):
    """The `Hypotheses` that samples came to; the dead ones last, and empty."""
    exists = samples.log_probs > IMPOSSIBLE
    ids = ops.where(exists[..., None], samples.ids, pad_id)
    lengths = ops.sum(ops.cast(ops.not_equal(ids, pad_id), "int32"), axis=-1)
    scores = samples.log_probs / length_normalizer(lengths, length_penalty)
    _, order = ops.top_k(scores, scores.shape[1])
    return take_rows(Hypotheses(ids, samples.log_probs, scores, samples.finished), order)
