"""Sampling of one token: temperature, top-k, top-p and reproducible random numbers."""

import dataclasses

import numpy as np
from keras import ops

from keras_transformer.decoding.hypotheses import IMPOSSIBLE
from keras_transformer.decoding.top_k import top_k_two_stage
from keras_transformer.layers.dropout import mix_bits

HASH_SEED = np.uint32(0x9E3779B9)  # arbitrary, but not 0, which `mix_bits` maps to 0
MIN_TEMPERATURE = 1e-30  # lower ones are equivalent, and may underflow to 0 in float32
MIN_TOP_P = 1e-30  # lower ones are equivalent, and may underflow to 0 in float32
BISECTION_STEPS = 48  # enough to narrow an interval down to about two float32 numbers


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Sampling options. The defaults sample from the unmodified distribution of the model.

    Args:
        temperature: Float, greater than 0. Divisor of the logits. Values below 1 make probable
            tokens more probable, values above 1 less.
        top_k: Integer. Samples from the `top_k` most probable tokens; 0 disables it.
            [Fan et al., 2018](https://arxiv.org/abs/1805.04833).
        top_p: Float, in (0, 1]. Samples from the smallest set of most probable tokens whose total
            probability reaches `top_p`; 1 disables it. Also called nucleus sampling,
            [Holtzman et al., 2020](https://arxiv.org/abs/1904.09751).
        seed: Integer. Seed of the random numbers; the same seed draws the same sentences.

    Raises:
        ValueError: If `temperature`, `top_k` or `top_p` is out of range.

    Example:

    >>> Sampling(temperature=0.7, top_p=0.9)
    Sampling(temperature=0.7, top_k=0, top_p=0.9, seed=0)
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if not self.temperature > 0:
            raise ValueError(
                "`temperature` divides the logits: it must be greater than 0, where 1 keeps the "
                f"probabilities of the model. Received: {self.temperature}"
            )
        if not self.top_k >= 0:
            raise ValueError(
                "`top_k` is the number of most probable tokens to sample from: at least 1, or 0 "
                f"for all. Received: {self.top_k}"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(
                "`top_p` is the total probability of the most probable tokens to sample from: "
                f"greater than 0, at most 1, where 1 means all tokens. Received: {self.top_p}"
            )


def sample_token(logits, index, seeds, sampling):
    """Draws a token for each of B x W samples from the softmax of the filtered logits.

    Uses the Gumbel-max trick: with independent Gumbel noise added to the logits, the probability
    that a logit is the largest equals its softmax
    ([Maddison et al., 2014](https://arxiv.org/abs/1411.0030)).

    Args:
        logits: Float32 tensor of shape `(B, W, V)`. A token with logit -inf is never drawn, unless
            all logits are -inf.
        index: Integer scalar tensor: the position of the token in its sentence.
        seeds: Integer tensor of shape `(B,)`.
        sampling: `Sampling`, whose `seed` is ignored.

    Returns:
        Integer tensor of shape `(B, W)`.

    Example:

    >>> logits = keras.ops.array([[[0.0, 9.0, 10.0, 1.0]]])
    >>> sample_token(logits, 0, keras.ops.array([5]), Sampling(top_k=1)).numpy().tolist()
    [[2]]
    """
    logits, tokens = filter_logits(logits, sampling)
    samples = ops.arange(logits.shape[1], dtype="int32")[:, None]
    noise = -ops.log(-ops.log(uniforms(ops.reshape(seeds, (-1, 1, 1)), samples, index, tokens)))
    best = ops.argmax(logits + noise, axis=-1)[..., None]
    tokens = ops.broadcast_to(tokens, logits.shape)
    return ops.cast(ops.take_along_axis(tokens, best, axis=-1)[..., 0], "int32")


def filter_logits(logits, sampling):
    """Applies temperature, top-k and top-p to logits.

    Args:
        logits: Tensor of shape `(B, W, V)`.
        sampling: `Sampling`.

    Returns:
        A tuple of the logits of K of the V tokens, `(B, W, K)`, -inf for tokens that must not be
        drawn; and the ids of these tokens, an integer tensor that can be broadcast to the same
        shape.

    Example:

    >>> logits = keras.ops.log(keras.ops.array([[[0.1, 0.6, 0.3]]]))
    >>> logits, tokens = filter_logits(logits, Sampling(top_k=2))
    >>> tokens.numpy().tolist()
    [[[1, 2]]]
    """
    V = logits.shape[-1]
    # With a maximum of 0, no temperature makes the largest logit overflow.
    scaled = logits - ops.max(logits, axis=-1, keepdims=True)
    scaled = scaled / max(sampling.temperature, MIN_TEMPERATURE)
    logits = ops.where(logits > IMPOSSIBLE, scaled, IMPOSSIBLE)
    tokens = ops.arange(V, dtype="int32")
    if sampling.top_k:
        logits, tokens = top_k_two_stage(logits, min(sampling.top_k, V))
    if sampling.top_p < 1:
        logits = nucleus(logits, sampling.top_p)
    return logits, tokens


def nucleus(logits, top_p):
    """Sets all logits to -inf except those of the smallest set of tokens that reaches `top_p`.

    The set holds the most probable tokens; among equally probable ones, those with smaller indices.
    The probability of the least probable token in the set is found by bisection, since sorting
    64 x 32,003 numbers in XLA took 30 times as long on a CPU.

    Args:
        logits: Tensor of shape `(..., K)`.
        top_p: Float, in (0, 1). Total probability that the set must reach.

    Returns:
        Tensor of the same shape.

    Example: The two most probable tokens reach 0.7.

    >>> logits = keras.ops.log(keras.ops.array([0.1, 0.6, 0.3]))
    >>> (nucleus(logits, 0.7).numpy() > float("-inf")).tolist()
    [False, True, True]
    """
    probabilities, top_p = ops.softmax(logits), max(top_p, MIN_TOP_P)

    def masked(condition):
        return ops.where(condition, probabilities, 0.0)

    def bisect(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        total = ops.sum(masked(probabilities >= middle), axis=-1, keepdims=True)
        return ops.where(total >= top_p, middle, low), ops.where(total >= top_p, high, middle)

    largest = ops.max(probabilities, axis=-1, keepdims=True)
    low, high = ops.fori_loop(0, BISECTION_STEPS, bisect, (0 * largest, 2 * largest))
    above = probabilities >= high
    # Tokens at the threshold: the set needs some of them, or all.
    at_threshold = ops.logical_and(probabilities >= low, probabilities < high)
    preceding = ops.sum(masked(above), axis=-1, keepdims=True)
    preceding = preceding + (ops.cumsum(masked(at_threshold), axis=-1) - masked(at_threshold))
    kept = ops.logical_or(above, ops.logical_and(at_threshold, preceding < top_p))
    return ops.where(kept, logits, IMPOSSIBLE)


def uniforms(seeds, samples, position, tokens):
    """Returns pseudorandom numbers, uniform in the open interval (0, 1): a hash of the arguments.

    A number is `(n + 0.5) * 2**-23`, where n has 23 random bits. The numbers are the same on every
    backend. The hash function is `mix_bits`.

    Args:
        seeds: Integer tensor: the seeds of the sentences.
        samples: Integer or integer tensor: the indices of the samples of a sentence.
        position: Integer or integer tensor: the position in the sentence.
        tokens: Integer tensor: the token ids.

    Returns:
        Float32 tensor of the shape that the arguments are broadcast to.

    Example:

    >>> tokens = keras.ops.arange(5)
    >>> numbers = uniforms(keras.ops.array([[7], [8], [7]]), 0, 0, tokens)
    >>> bool(keras.ops.all(numbers[0] == numbers[2])), bool(keras.ops.any(numbers[0] == numbers[1]))
    (True, False)
    """
    key = HASH_SEED
    for number in (seeds, samples, position):
        key = mix_bits(ops.bitwise_xor(ops.cast(number, "uint32"), key))
    # Tokens are hashed on their own first; otherwise, keys that differ in few bits would yield the
    # same numbers for other tokens.
    token_hash = mix_bits(ops.bitwise_xor(ops.cast(tokens, "uint32"), HASH_SEED))
    bits = ops.right_shift(mix_bits(ops.bitwise_xor(key, token_hash)), np.uint32(9))
    return (ops.cast(bits, "float32") + 0.5) * 2**-23
