"""How one token is drawn from the distribution that a model gives."""

import dataclasses

import numpy as np
from keras import ops

from keras_transformer.decoding.hypotheses import IMPOSSIBLE
from keras_transformer.decoding.top_k import top_k_two_stage
from keras_transformer.layers.dropout import mix_bits

START = np.uint32(0x9E3779B9)  # any number but 0, which the mixing leaves as it is
COLDEST = 1e-30  # colder makes no difference, and is 0 in float32 in the end
RAREST = 1e-30  # a smaller `top_p` makes no difference, and is 0 in float32 in the end
HALVINGS = 48  # until two numbers of float32 are left, or nearly


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. As it stands: from all of them, as probable as the model says.

    Args:
        temperature: Float, greater than 0. Logits are divided by it: below 1 what is probable gets
            more so, above 1 less.
        top_k: Integer. Only the so many most probable tokens may be drawn; 0 for all.
            [Fan et al., 2018](https://arxiv.org/abs/1805.04833).
        top_p: Float, in (0, 1]. Only the most probable tokens may be drawn that together, and no
            fewer of them, are so probable; 1 for all. The nucleus of
            [Holtzman et al., 2020](https://arxiv.org/abs/1904.09751).
        seed: Integer. The same seed draws the same sentences.

    Raises:
        ValueError: `temperature`, `top_k` or `top_p` is out of its range.

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
                "`temperature` divides the logits: it must be greater than 0, and is 1 for the "
                f"model's own probabilities. Received: {self.temperature}"
            )
        if not self.top_k >= 0:
            raise ValueError(
                "`top_k` is how many of the most probable tokens may be drawn: at least 1, or 0 "
                f"for all. Received: {self.top_k}"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(
                "`top_p` is how probable the tokens that may be drawn are together: greater than "
                f"0, and 1 for all. Received: {self.top_p}"
            )


def sample_token(logits, index, seeds, sampling):
    """Draws a token each from the softmax of logits, which `sampling` changes and filters.

    Of logits to which independent noise of the Gumbel distribution is added, each is the greatest
    as often as its softmax says ([Maddison et al., 2014](https://arxiv.org/abs/1411.0030)).

    Args:
        logits: Tensor of shape `(B, W, V)`, float32; -inf is never drawn if anything else is there.
        index: Integer scalar tensor: the position that is written.
        seeds: Integer tensor of shape `(B,)`.
        sampling: `Sampling`. Its seed is not used.

    Returns:
        Integer tensor of shape `(B, W)`.

    Example:

    >>> logits = keras.ops.array([[[0.0, 9.0, 10.0, 1.0]]])
    >>> sample_token(logits, 0, keras.ops.array([5]), Sampling(top_k=1)).numpy().tolist()
    [[2]]
    """
    logits, tokens = filtered(logits, sampling)
    samples = ops.arange(logits.shape[1], dtype="int32")[:, None]
    noise = -ops.log(-ops.log(uniforms(ops.reshape(seeds, (-1, 1, 1)), samples, index, tokens)))
    best = ops.argmax(logits + noise, axis=-1)[..., None]
    tokens = ops.broadcast_to(tokens, logits.shape)
    return ops.cast(ops.take_along_axis(tokens, best, axis=-1)[..., 0], "int32")


def filtered(logits, sampling):
    """The logits that `sampling` leaves, and the tokens, K of V, that they are of.

    Args:
        logits: Tensor of shape `(B, W, V)`.
        sampling: `Sampling`.

    Returns:
        Logits of shape `(B, W, K)`, -inf where a token may not be drawn, and the tokens, of a
        shape that can be broadcast to that.

    Example:

    >>> logits = keras.ops.log(keras.ops.array([[[0.1, 0.6, 0.3]]]))
    >>> logits, tokens = filtered(logits, Sampling(top_k=2))
    >>> tokens.numpy().tolist()
    [[[1, 2]]]
    """
    V = logits.shape[-1]
    below = logits - ops.max(logits, axis=-1, keepdims=True)  # the greatest is 0 however cold it is
    below = below / max(sampling.temperature, COLDEST)
    logits = ops.where(logits > IMPOSSIBLE, below, IMPOSSIBLE)
    tokens = ops.arange(V, dtype="int32")
    if sampling.top_k:
        logits, tokens = top_k_two_stage(logits, min(sampling.top_k, V))
    if sampling.top_p < 1:
        logits = nucleus(logits, sampling.top_p)
    return logits, tokens


def nucleus(logits, top_p):
    """Sets all but the most probable tokens, the fewest that reach `top_p` together, to -inf.

    How probable the last of them is, is found by halving: sorting 64 x 32,003 numbers in XLA took
    30 times as long on a CPU. Of equal tokens those with the smaller numbers come first.

    Args:
        logits: Tensor of shape `(..., K)`.
        top_p: Float, in (0, 1).

    Returns:
        Tensor of that shape.

    Example: the first two together reach .7.

    >>> logits = keras.ops.log(keras.ops.array([0.1, 0.6, 0.3]))
    >>> (nucleus(logits, 0.7).numpy() > float("-inf")).tolist()
    [False, True, True]
    """
    probabilities, top_p = ops.softmax(logits), max(top_p, RAREST)

    def only(condition):
        return ops.where(condition, probabilities, 0.0)

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        enough = ops.sum(only(probabilities >= middle), axis=-1, keepdims=True) >= top_p
        return ops.where(enough, middle, low), ops.where(enough, high, middle)

    greatest_one = ops.max(probabilities, axis=-1, keepdims=True)
    low, high = ops.fori_loop(0, HALVINGS, halve, (0 * greatest_one, 2 * greatest_one))
    surely = probabilities >= high
    last = ops.logical_and(probabilities >= low, probabilities < high)  # some of them are enough
    before = ops.sum(only(surely), axis=-1, keepdims=True)
    before = before + (ops.cumsum(only(last), axis=-1) - only(last))
    kept = ops.logical_or(surely, ops.logical_and(last, before < top_p))
    return ops.where(kept, logits, IMPOSSIBLE)


def uniforms(seeds, samples, position, tokens):
    """Random numbers that depend on these four alone: a hash, uniform in (0, 1), ends excluded.

    Of integers that can be broadcast to one shape: 23 random bits and a half, float32, the same
    numbers on every backend. The mixing is Wellons' "lowbias32", as in `random_bits`.

    Example:

    >>> tokens = keras.ops.arange(5)
    >>> numbers = uniforms(keras.ops.array([[7], [8], [7]]), 0, 0, tokens)
    >>> bool(keras.ops.all(numbers[0] == numbers[2])), bool(keras.ops.any(numbers[0] == numbers[1]))
    (True, False)
    """
    key = START
    for number in (seeds, samples, position):
        key = mix_bits(ops.bitwise_xor(ops.cast(number, "uint32"), key))
    # Mixed for itself, or two keys that differ in few bits would deal the same numbers anew.
    token = mix_bits(ops.bitwise_xor(ops.cast(tokens, "uint32"), START))
    bits = ops.right_shift(mix_bits(ops.bitwise_xor(key, token)), np.uint32(9))
    return (ops.cast(bits, "float32") + 0.5) * 2**-23
