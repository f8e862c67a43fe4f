"""Noisy top-k gates: pure functions that send each token to a few of many experts.

Shape letters: N tokens, E experts.
"""

import math

from keras import ops

EPSILON = 1e-10  # of the squared mean: a batch without tokens has no variation


def top_k_gates(logits, k):
    """Returns the experts of each token and their shares.

    The shares are a softmax over the `k` largest logits alone (equations 3 and 5 in
    [Shazeer et al., 2017](https://arxiv.org/abs/1701.06538)).

    Args:
        logits: Tensor of shape `(N, E)`.
        k: Integer. Number of experts of a token.

    Returns:
        A tuple of the experts, integers of shape `(N, k)`, the largest share first, and the
        shares, `(N, k)`, which sum to 1.

    Example:

    >>> experts, shares = top_k_gates(ops.convert_to_tensor([[1.0, 7.0, 7.0, 3.0]]), k=2)
    >>> experts.numpy().tolist(), shares.numpy().tolist()
    ([[1, 2]], [[0.5, 0.5]])
    """
    largest, experts = ops.top_k(logits, k)
    shares = ops.exp(largest - largest[:, :1])
    return experts, shares / ops.sum(shares, axis=-1, keepdims=True)


def dense_gates(experts, shares, num_experts):
    """Returns the share of every expert, 0 for those that a token is not sent to.

    Args:
        experts: Integer tensor of shape `(N, k)`.
        shares: Tensor of shape `(N, k)`.
        num_experts: Integer E.

    Returns:
        Tensor of shape `(N, E)`.

    Example:

    >>> experts = ops.convert_to_tensor([[2, 0]])
    >>> dense_gates(experts, ops.convert_to_tensor([[0.75, 0.25]]), 3).numpy().tolist()
    [[0.25, 0.0, 0.75]]
    """
    is_chosen = ops.one_hot(experts, num_experts, dtype=shares.dtype)
    return ops.sum(is_chosen * shares[:, :, None], axis=1)


def chances(clean, noisy, deviations, k):
    """Returns how probably each token would be sent to each expert, were its noise drawn anew.

    Unlike the number of tokens that an expert has, it has a gradient (equations 8 and 9 and
    appendix A in [Shazeer et al., 2017](https://arxiv.org/abs/1701.06538)).

    Args:
        clean: Tensor of shape `(N, E)`: logits without noise.
        noisy: Tensor of shape `(N, E)`: the same with noise.
        deviations: Tensor of shape `(N, E)`: standard deviations of the noise.
        k: Integer. Number of experts of a token.

    Returns:
        Tensor of shape `(N, E)`.

    Example: without a lead, one of two experts is chosen half the time.

    >>> logits = ops.zeros((1, 2))
    >>> chances(logits, logits, ops.ones((1, 2)), k=1).numpy().tolist()
    [[0.5, 0.5]]
    """
    if k == clean.shape[-1]:
        return ops.ones_like(clean)
    largest, _ = ops.top_k(noisy, k + 1)
    last, next_one = largest[:, k - 1 : k], largest[:, k:]
    to_beat = ops.where(noisy > next_one, next_one, last)
    return 0.5 * (1 + ops.erf((clean - to_beat) / (deviations * math.sqrt(2))))


def squared_variation(loads):
    """Returns the squared coefficient of variation: variance by squared mean; 0 if all are equal.

    Args:
        loads: Tensor of shape `(E,)`.

    Returns:
        Scalar tensor.

    Example:

    >>> float(squared_variation(ops.convert_to_tensor([1.0, 3.0])))
    0.25
    """
    return ops.var(loads) / (ops.square(ops.mean(loads)) + EPSILON)
