"""Dot-product attention by a fused kernel of the backend, where there is one."""

import keras
from keras import ops

from keras_transformer.layers.attention import DotProductAttention
from keras_transformer.layers.masks import expand_mask

MIN_QUERIES = 8


@keras.saving.register_keras_serializable(package="keras_transformer")
class FusedAttention(DotProductAttention):
    """`DotProductAttention` in one kernel, which does not store the scores.

    By `keras.ops.dot_product_attention`: on the JAX backend with an NVIDIA GPU (compute capability
    8.0 or more), in bfloat16 or float16, with heads of a multiple of 8 wide, up to 128, and an even
    number of queries and of keys, that is cuDNN's flash attention
    ([Dao et al., 2022](https://arxiv.org/abs/2205.14135)), whose memory grows with the length of a
    row, not with its square, except for the mask, which all heads share. Elsewhere it is the same
    in several kernels.

    Where scores are asked for, or dropped (`dropout_rate` of `MultiHeadAttention`), and for fewer
    than 8 queries, as in decoding steps, it computes them as `DotProductAttention` does. It has the
    same call arguments, but not its hooks: subclass `DotProductAttention` to change what is
    computed.

    Example:

    >>> from keras_transformer import MultiHeadAttention
    >>> attention = MultiHeadAttention(8, num_heads=2, attention=FusedAttention())
    >>> tuple(attention(keras.ops.ones((3, 5, 8))).shape)
    (3, 5, 8)
    """

    def call(
        self,
        query,
        key,
        value,
        attention_mask=None,
        positions=None,
        key_positions=None,
        dropout=None,
        return_attention_scores=False,
    ):
        T, S = query.shape[2], key.shape[2]
        if return_attention_scores or dropout is not None or (T is not None and T < MIN_QUERIES):
            return super().call(
                query,
                key,
                value,
                attention_mask,
                positions,
                key_positions,
                dropout,
                return_attention_scores,
            )
        mask = expand_mask(attention_mask, ops.shape(query)[2])
        if mask is not None:
            shape = (ops.shape(query)[0], 1, ops.shape(query)[2], ops.shape(key)[2])
            mask = ops.broadcast_to(ops.expand_dims(mask, 1), shape)
        outputs = ops.dot_product_attention(
            ops.swapaxes(query, 1, 2),
            *(ops.swapaxes(_for_all_heads(x, query.shape[1]), 1, 2) for x in (key, value)),
            mask=mask,
            # `None` lets Keras look whether the kernel is there; it cannot train on odd lengths.
            flash_attention=None if _is_on_gpu() and _is_even(T) and _is_even(S) else False,
        )
        return ops.swapaxes(outputs, 1, 2)


def _for_all_heads(x, num_heads):
    """Repeats the heads of keys or values, `(B, G, S, K)`, for those of the queries they serve."""
    return x if x.shape[1] == num_heads else ops.repeat(x, num_heads // x.shape[1], axis=1)


def _is_even(length):
    return length is not None and length % 2 == 0


def _is_on_gpu():
    """Returns whether JAX computes on a GPU.

    Not on a TPU, whose kernel in Keras takes the mask of one row for all rows.
    """
    devices = keras.distribution.list_devices()
    return keras.backend.backend() == "jax" and devices[0].startswith(("gpu", "cuda"))
