"""Sampling of whole sentences from the distribution of a model."""

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
from keras_transformer.forking import refused_after_fork


class Samples(NamedTuple):
    """Partial or finished samples, W for each of B source sentences.

    Attributes:
        ids: Integer tensor of shape `(B, W, L)`: the tokens so far, followed by padding.
        tokens: Integer tensor of shape `(B, W)`: the last token of each sample; initially BOS.
        log_probs: Tensor of shape `(B, W)`: sums of the tokens' log-probabilities; -inf for a dead
            sample, to which no next token was possible.
        finished: Boolean tensor of shape `(B, W)`: whether the sample ends with EOS.
    """

    ids: object
    tokens: object
    log_probs: object
    finished: object


@refused_after_fork
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
    """Draws `beam_size` independent samples for each source sentence, token by token.

    At each step, forbidden tokens are masked first; then `temperature`, `top_k` and `top_p` are
    applied, in this order, and a token is drawn from the resulting distribution. Log-probabilities
    and scores are those of the unmodified model, so a sentence has the same score as in
    `beam_search`.

    The random numbers of a sentence depend on its seed alone (see `uniforms`), not on the rest of
    the batch or on the backend.

    Top-k sampling is from section 5 in [Fan et al., 2018](https://arxiv.org/abs/1805.04833), top-p
    sampling from section 3 in [Holtzman et al., 2020](https://arxiv.org/abs/1904.09751).

    Args:
        step: Function `(tokens, index, ancestry, state) -> (logits, state)`, as in `beam_search`.
            Every sample stays in its slot; `ancestry` is constant except for growing with `index`.
        state: Any nested structure of tensors: the initial state of `step`, such as its KV cache.
        max_lengths: Integer tensor of shape `(B,)`: maximum number of tokens, EOS included.
        length: Integer L. Static length of the results, at least the largest of `max_lengths`.
        bos_id: Integer. The beginning-of-sentence id, which is not part of the results.
        eos_id: Integer. The end-of-sentence id, which is part of the results.
        pad_id: Integer. The padding id, which is never drawn.
        beam_size: Integer W. Number of samples per source sentence, all of which are returned.
        temperature: Float, greater than 0. Divisor of the logits; see `Sampling`.
        top_k: Integer. Number of most probable tokens to sample from; 0 means all.
        top_p: Float, in (0, 1]. Total probability of the most probable tokens to sample from; 1
            means all.
        seeds: Integer tensor of shape `(B,)`. `None` means the index of each sentence in the batch.
        length_penalty: Float, at least 0. Strength of the normalization; see `length_normalizer`.
        min_lengths: Integer tensor of shape `(B,)`: minimum number of tokens, EOS included.
        prefix: Integer tensor of shape `(B, P)`: tokens that all samples start with, followed by
            `pad_id`. They are part of the results and count in log-probability and score.
        no_repeat_ngram_size: Integer n. No n-gram of tokens may occur twice in a sample; 0 allows
            repetition.

    Returns:
        `Hypotheses`: all samples, best first, possibly with duplicates. A sample that reached its
        maximum length without EOS is not `finished`. A sample to which no next token was possible
        is missing: its score is -inf.

    Raises:
        ValueError: If `beam_size`, `length_penalty`, `no_repeat_ngram_size`, `temperature`,
            `top_k` or `top_p` is out of range.

    Example: Token 3 has probability 0.7, token 4 has 0.3.

    >>> logits = keras.ops.log(keras.ops.array([0, 0, 0, 0.7, 0.3]))
    >>> def step(tokens, index, ancestry, state):
    ...     return keras.ops.broadcast_to(logits, (1, 1000, 5)), state
    >>> options = {"length": 1, "bos_id": 1, "eos_id": 2, "beam_size": 1000}
    >>> samples = sample(step, (), keras.ops.array([1]), **options)
    >>> round(float(keras.ops.mean(samples.ids == 3)), 1), samples.ids.shape[1]
    (0.7, 1000)
    """
    options = {"length_penalty": length_penalty, "no_repeat_ngram_size": no_repeat_ngram_size}
    BeamSearch(length, bos_id, eos_id, pad_id, beam_size, **options)  # validates the arguments
    sampling = Sampling(temperature, top_k, top_p)
    rules = LogitsRules(eos_id, pad_id, min_lengths, prefix, no_repeat_ngram_size)
    limits = ops.cast(max_lengths, "int32")
    B = limits.shape[0]
    seeds = ops.arange(B, dtype="int32") if seeds is None else seeds

    def decode_one(index, samples, state):
        ancestry = constant_ancestry(index, *samples.ids.shape)
        logits, state = step(samples.tokens, index, ancestry, state)
        new = extend(samples, index, logits, seeds, rules, sampling)
        return index + 1, select(is_active(samples, index, limits), new, samples), state

    _, samples, _ = ops.while_loop(
        lambda index, samples, state: ops.any(is_active(samples, index, limits)),
        decode_one,
        (ops.zeros((), "int32"), initialize(B, beam_size, length, bos_id, pad_id), state),
        maximum_iterations=length,
    )
    return finalize(samples, pad_id, length_penalty)


def initialize(batch, beam_size, length, bos_id, pad_id):
    """Returns `Samples` without tokens."""
    return Samples(
        ids=ops.full((batch, beam_size, length), pad_id, "int32"),
        tokens=ops.full((batch, beam_size), bos_id, "int32"),
        log_probs=ops.zeros((batch, beam_size), "float32"),
        finished=ops.zeros((batch, beam_size), "bool"),
    )


def is_active(samples, index, max_lengths):
    """Returns whether each sample is not yet finished, dead or at its maximum length, `(B, W)`."""
    alive = ops.logical_and(samples.log_probs > IMPOSSIBLE, ops.logical_not(samples.finished))
    return ops.logical_and(alive, index < max_lengths[:, None])


def constant_ancestry(index, batch, beam_size, length):
    """Returns the ancestry, `(B, W, L, W)`, of samples that never change slots, up to `index`."""
    visible = (ops.arange(length, dtype="int32") <= index)[:, None]
    own_slot = ops.logical_and(visible, ops.eye(beam_size, dtype="bool")[:, None])
    return ops.broadcast_to(own_slot, (batch, beam_size, length, beam_size))


def extend(samples, index, logits, seeds, rules, sampling):
    """Extends `Samples` by one token; a sample without a possible next token becomes dead."""
    logits = ops.cast(logits, "float32")
    allowed = mask_logits(logits, index, samples.ids, rules)
    tokens = sample_token(allowed, index, seeds, sampling)
    token_logits = ops.take_along_axis(allowed, tokens[..., None], axis=-1)[..., 0]
    totals = samples.log_probs + (token_logits - ops.logsumexp(logits, axis=-1))
    possible = totals > IMPOSSIBLE  # also `False` for NaN, the total if all logits are -inf
    at_index = ops.equal(ops.arange(samples.ids.shape[-1], dtype="int32"), index)
    return Samples(
        ids=ops.where(at_index, tokens[..., None], samples.ids),
        tokens=tokens,
        log_probs=ops.where(possible, totals, IMPOSSIBLE),
        finished=ops.logical_and(possible, ops.equal(tokens, rules.eos_id)),
    )


def select(active, new, old):
    """Selects `new` for active samples, boolean `(B, W)`, else `old`."""
    ids = ops.where(active[..., None], new.ids, old.ids)
    others = (ops.where(active, *pair) for pair in zip(new[1:], old[1:], strict=True))
    return Samples(ids, *others)


def finalize(samples, pad_id, length_penalty):
    """Returns samples as `Hypotheses`, best first; dead samples come last, without tokens."""
    exists = samples.log_probs > IMPOSSIBLE
    ids = ops.where(exists[..., None], samples.ids, pad_id)
    lengths = ops.sum(ops.cast(ops.not_equal(ids, pad_id), "int32"), axis=-1)
    scores = samples.log_probs / length_normalizer(lengths, length_penalty)
    _, order = ops.top_k(scores, scores.shape[1])
    return take_rows(Hypotheses(ids, samples.log_probs, scores, samples.finished), order)
