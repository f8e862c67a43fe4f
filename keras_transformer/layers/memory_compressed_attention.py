"""Memory-compressed attention: keys and values are made of several positions each."""

import keras
from keras import ops

from keras_transformer.layers.masks import (
    AttentionMask,
    prompt_ends,
    prompt_padding,
    require_parts,
)
from keras_transformer.layers.multi_head_attention import MultiHeadAttention, PromptKeyValue


@keras.saving.register_keras_serializable(package="keras_transformer")
class MemoryCompressedAttention(MultiHeadAttention):
    """Causal self-attention to a shorter memory, made by a strided convolution of the input.

    From [Liu et al., 2018](https://arxiv.org/abs/1801.10198), in the form of Tensor2Tensor: the
    memory holds the first token, and one vector for each `compression` tokens in a row, a linear
    map of them side by side. A position sees the first token, and the vectors of those tokens that
    all stand before it. So it sees itself only if it is the first, and the tokens just before it
    through blocks of another kind, such as those with `LocalAttention`, with which these alternate.

    There are `T // compression + 1` keys instead of T; time and memory still grow with the square
    of the length. In packed rows, where the tokens of a sentence start anywhere, there are T keys,
    most of them hidden. A cache for decoding has a place for each position, too.

    The layer is causal, whatever the mask. It fits `self_attention` of `DecoderBlock`.

    Args:
        d_model: Integer. Width of the input and of the output.
        num_heads: Integer. Number of attention heads.
        compression: Integer. How many tokens become one vector, which is both the size and the
            stride of the convolution.
        key_dim: Integer. As in `MultiHeadAttention`.
        use_bias: Boolean. As in `MultiHeadAttention`. The convolution has a bias in any case.
        **kwargs: Other arguments of `MultiHeadAttention`. Keys have the position of the last of
            their tokens.

    Call arguments:
        inputs: Tensor of shape `(B, T, d_model)`.
        attention_mask: `AttentionMask`, or the padding mask, a boolean tensor of shape `(B, T)`,
            `True` at real tokens. Padding counts as zeros in the convolution.
        positions: Integer tensor of shape `(B or 1, T)`: position of each token in its sentence.
            `None` means 0 to T - 1.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and the scores after the softmax, float32, `(B, num_heads, T, S)`, where S is
        `T // compression + 1`, or T if `positions` are given.

    Raises:
        ValueError: If an argument is invalid; or, when called, if the mask is not one whose parts
            are known.

    Example:

    >>> layer = MemoryCompressedAttention(d_model=8, num_heads=2, compression=3)
    >>> _, scores = layer(keras.ops.ones((1, 7, 8)), return_attention_scores=True)
    >>> (scores[0, 0] > 0).numpy().astype(int).tolist()
    [[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]]
    """

    def __init__(self, d_model, num_heads, compression=3, key_dim=None, use_bias=False, **kwargs):
        super().__init__(d_model, num_heads, key_dim, use_bias, **kwargs)
        if compression < 2:
            raise ValueError(
                f"`compression` must be at least 2. Received: compression={compression}"
            )
        self.compression = compression
        self.convolution = keras.layers.Dense(d_model, dtype=self.dtype_policy, name="convolution")

    def build(self, inputs_shape):
        super().build(inputs_shape)
        self.convolution.build((*inputs_shape[:-1], self.compression * self.d_model))

    def call(self, inputs, attention_mask=None, positions=None, return_attention_scores=False):
        mask = require_parts(attention_mask, positions, self)
        x = inputs
        if mask.padding is not None:
            x = ops.where(mask.padding[:, :, None], x, ops.zeros((), x.dtype))
        memory, key_positions = self._memory(x, positions)
        if positions is None:
            seen = self._sees(ops.arange(ops.shape(x)[1], dtype="int32")[None], key_positions)
        else:
            parts = AttentionMask(None, mask.query_segments, mask.key_segments, causal=True)
            seen = ops.logical_and(parts.expand(ops.shape(x)[1]), self._sees(positions, positions))
        key_value = self.project_key_value(memory, positions=key_positions)
        output, scores = self.attend(
            inputs, key_value, seen, positions, key_positions, return_attention_scores
        )
        return (output, scores) if return_attention_scores else output

    def init_cache(self, batch_size, num_beams, length):
        """Returns an empty KV cache, and the window of the inputs before the first position.

        The cache has a place for each position. Only those are seen later at which `compression`
        tokens are complete, and the first one.
        """
        shape = (batch_size, num_beams, self.compression - 1, self.d_model)
        return (
            super().init_cache(batch_size, num_beams, length),
            ops.zeros(shape, dtype=self.compute_dtype),
        )

    def prefill(self, inputs, attention_mask=None, positions=None):
        """Reads prompts in one pass.

        Args:
            inputs: Tensor of shape `(B, P, d_model)`.
            attention_mask: The padding mask of the prompts, boolean `(B, P)`. Padding follows the
                real tokens; a prompt may be empty. `None` means no padding.
            positions: Integer tensor of shape `(B or 1, P)`. `None` means 0 to P - 1.

        Returns:
            A tuple of the outputs, `(B, P, d_model)`, and for `step` a tuple of the
            `PromptKeyValue` of the first token and of the complete groups, and of the window of
            the `compression - 1` inputs at the end of each prompt, with which the next group
            begins: `(B, compression - 1, d_model)`.
        """
        self.build_if_needed(inputs.shape)
        padding = prompt_padding(attention_mask, inputs)
        outputs = self(inputs, attention_mask=padding, positions=positions)
        memory, key_positions = self._memory(inputs, positions)
        keys, values = self.project_key_value(memory, positions=key_positions)
        if positions is None:
            lengths = ops.sum(ops.cast(padding, "int32"), axis=-1)
            seen = key_positions < lengths[:, None]
        else:
            seen = ops.logical_and(padding, self._is_kept(positions))
        key_positions = ops.broadcast_to(key_positions, ops.shape(seen))
        prompt = PromptKeyValue(ops.swapaxes(keys, -1, -2), values, seen, key_positions)
        return outputs, (prompt, prompt_ends(inputs, padding, self.compression - 1))

    def step(self, inputs, cache, at, return_attention_scores=False, prompt=None):
        """Processes one new position of each beam, as `MultiHeadAttention.step` does.

        The cache is that of `init_cache` or the previous step; `prompt` is what `prefill` returns
        for it. The prompt is seen with its complete groups.
        """
        self.build_if_needed(inputs.shape)
        (cache, window), (before, ends) = cache, prompt or (None, None)
        initial = 0.0 if ends is None else ends[:, None]
        window = ops.concatenate([at.inherit(window, initial), inputs[:, :, None]], axis=2)
        positions = at.beam_positions()
        memory = self._memory_of_windows(inputs, window, positions)
        seen = ops.logical_and(at.visible(), self._sees(positions, at.key_positions()))
        output, scores, cache = self.attend_step(
            inputs, memory, cache, at, seen, return_attention_scores, before
        )
        return output, scores, (cache, window[:, :, 1:])

    def scores_of_tokens(self, scores, positions):
        """Divides the scores of groups of tokens among their tokens, in equal parts.

        Args:
            scores: Those of a call with `positions`, `(B, H, T, T)`: the score of a group stands at
                the last of its tokens.
            positions: Integer tensor of shape `(B or 1, T)`.

        Returns:
            Tensor of the same shape, whose rows have the same sums.
        """
        T = ops.shape(scores)[3]
        to_end = self.compression - 1 - positions % self.compression
        places = ops.minimum(ops.arange(T, dtype="int32") + to_end, T - 1)
        is_whole = ops.equal(ops.take_along_axis(positions, places, axis=1), positions + to_end)
        of_group = ops.take_along_axis(scores, places[:, None, None], axis=3) / self.compression
        of_first = ops.where(ops.equal(positions, 0)[:, None, None], scores, 0.0)
        return ops.where(is_whole[:, None, None], of_group, 0.0) + of_first

    def _memory(self, x, positions):
        """Returns what is attended to, `(B, S, D)`, and the positions of it, `(B or 1, S)`."""
        if positions is None:
            return self._compress(x)
        return self._memory_of_windows(x, self._windows(x), positions), positions

    def _compress(self, x):
        """Returns the memory of whole rows, `(B, S, D)`, and the positions of its keys, `(1, S)`.

        The tokens left over at the end of the row are dropped: no position sees them.
        """
        B, T, D = ops.shape(x)
        count = T // self.compression
        groups = ops.reshape(x[:, : count * self.compression], (B, count, self.compression * D))
        memory = ops.concatenate([x[:, :1], self.convolution(groups)], axis=1)
        ends = ops.arange(count + 1, dtype="int32") * self.compression - 1
        return memory, ops.maximum(ends, 0)[None]

    def _windows(self, x):
        """Returns each input and the `compression - 1` before it, `(B, T, compression, D)`."""
        T = ops.shape(x)[1]
        padded = ops.pad(x, ((0, 0), (self.compression - 1, 0), (0, 0)))
        return ops.stack([padded[:, i : i + T] for i in range(self.compression)], axis=2)

    def _memory_of_windows(self, x, windows, positions):
        """Returns what is kept of every position: the input of the first, else its window's map."""
        groups = ops.reshape(windows, (*ops.shape(x)[:2], self.compression * self.d_model))
        return ops.where((positions == 0)[:, :, None], x, self.convolution(groups))

    def _is_kept(self, positions):
        """Returns whether later positions see a place: the first, and the ends of the groups."""
        is_end = ops.equal(positions % self.compression, self.compression - 1)
        return ops.logical_or(ops.equal(positions, 0), is_end)

    def _sees(self, positions, key_positions):
        """Returns which places are seen, `(B or 1, T, S)`: complete ones before, and the first."""
        query, key = positions[:, :, None], key_positions[:, None, :]
        is_past = ops.logical_or(ops.equal(key, 0), key < query)
        return ops.logical_and(self._is_kept(key), is_past)

    def get_config(self):
        return {**super().get_config(), "compression": self.compression}
