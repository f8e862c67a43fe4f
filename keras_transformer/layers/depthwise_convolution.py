"""Depthwise convolution of whole rows, as products of matrices."""

from keras import ops

BLOCK = 16  # positions that one product computes


def depthwise_convolution(x, kernel, before, dilation=1):
    """Convolves every channel over positions with a kernel of its own.

    Rows are cut into blocks. Each block is the product of what its kernels meet, the block itself
    and some positions around it, with the kernel of the channel written as a Toeplitz matrix. On
    CPUs, XLA computes such products, and their gradients, many times as fast as sums of shifted
    rows or its own depthwise convolutions, and compiles them as fast for large kernels as for
    small ones.

    Args:
        x: Tensor of shape `(B, T, D)`.
        kernel: Tensor of shape `(K, D)`.
        before: Integer, at most `(K - 1) * dilation`. How many positions the kernel reaches back;
            outside of the rows it meets zeros.
        dilation: Integer. Distance between the positions that the kernel meets.

    Returns:
        Tensor of shape `(B, T, D)`.

    Example:

    >>> import keras
    >>> x = keras.ops.array([[[1.0], [2.0], [3.0]]])
    >>> kernel = keras.ops.array([[10.0], [1.0]])
    >>> depthwise_convolution(x, kernel, before=1)[0, :, 0].numpy().tolist()
    [1.0, 12.0, 23.0]
    """
    T, span = ops.shape(x)[1], (kernel.shape[0] - 1) * dilation
    windows = _windows(x, before, span)  # (B * N, W, D)
    blocks = ops.einsum("twd,bwd->btd", _toeplitz(_dilated(kernel, dilation)), windows)
    rows = ops.reshape(blocks, (ops.shape(x)[0], -1, x.shape[2]))
    return rows[:, :T]


def _windows(x, before, span):
    """Returns what the kernels meet in each block, `(B * N, BLOCK + span, D)`."""
    (B, T, _), D = ops.shape(x), x.shape[2]
    more = -(-span // BLOCK)  # blocks of which a window holds a part, after its first one
    N = (T + BLOCK - 1) // BLOCK
    length = (N + more) * BLOCK
    x = ops.pad(x, ((0, 0), (before, length - before - T), (0, 0)))
    x = ops.reshape(x, (B, N + more, BLOCK, D))
    windows = ops.concatenate([x[:, i : i + N] for i in range(more + 1)], axis=2)
    return ops.reshape(windows[:, :, : BLOCK + span], (B * N, BLOCK + span, D))


def _dilated(kernel, dilation):
    """Returns a kernel with zeros between its rows."""
    if dilation == 1:
        return kernel
    K, D = kernel.shape
    spread = ops.pad(kernel[:, None], ((0, 0), (0, dilation - 1), (0, 0)))
    return ops.reshape(spread, (K * dilation, D))[: (K - 1) * dilation + 1]


def _toeplitz(kernel):
    """Returns `(BLOCK, W, D)`, in whose row `t` the kernel begins at place `t`.

    In rows one longer than W, side by side, the kernel is one place later from row to row.
    """
    K, D = kernel.shape
    W = BLOCK + K - 1
    longer = ops.pad(kernel, ((0, W + 1 - K), (0, 0)))
    rows = ops.reshape(ops.broadcast_to(longer, (BLOCK, W + 1, D)), (BLOCK * (W + 1), D))
    return ops.reshape(rows[: BLOCK * W], (BLOCK, W, D))
