"""Position encoders: sinusoids, a pure function, and learned positions, a layer."""

import keras
import numpy as np
from keras import ops

from keras_transformer.forking import RefusedAfterFork, refused_after_fork
from keras_transformer.keras_patches import sizes_are_arbitrary

POSITIONS = ("paper", "t2t", "learned")


@refused_after_fork
def sinusoids(positions, d_model, form="paper"):
    """Returns sinusoidal position encodings, which have no weights and no maximum length.

    `"paper"` interleaves sines and cosines, `PE[p, 2i] = sin(p / 10000^(2i/d))` and
    `PE[p, 2i+1] = cos(p / 10000^(2i/d))` (section 3.5 in
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)). `"t2t"`, the form of Tensor2Tensor
    and of the figures in The Illustrated Transformer, concatenates all sines and all cosines, and
    spaces the wavelengths slightly wider, so that the longest is exactly 10000 * 2 pi. The two
    forms are not permutations of each other.

    Args:
        positions: Integer tensor of any shape `(...)`.
        d_model: Integer. Width of the encodings.
        form: `"paper"` or `"t2t"`.

    Returns:
        Tensor of shape `(..., d_model)`, float32, with values in `[-1, 1]`.

    Raises:
        ValueError: If `form` is neither `"paper"` nor `"t2t"`.

    Example:

    >>> sinusoids(keras.ops.arange(2), 4, form="t2t")[1].numpy().round(4).tolist()
    [0.8414999842643738, 9.999999747378752e-05, 0.5403000116348267, 1.0]
    """
    if form not in ("paper", "t2t"):
        raise ValueError(f"`form` must be 'paper' or 't2t'. Received: {form!r}")
    if form == "paper":
        frequencies = 10000.0 ** -(np.arange(0, d_model, 2) / d_model)
    else:
        half = d_model // 2
        frequencies = 10000.0 ** -(np.arange(half) / max(half - 1, 1))
    angles = ops.cast(positions, "float32")[..., None] * frequencies.astype("float32")
    sines, cosines = ops.sin(angles), ops.cos(angles)
    if form == "paper":
        pairs = ops.stack([sines, cosines], axis=-1)
        return ops.reshape(pairs, (*ops.shape(positions), 2 * len(frequencies)))[..., :d_model]
    padding = ops.zeros_like(sines[..., : d_model % 2])
    return ops.concatenate([sines, cosines, padding], axis=-1)


@keras.saving.register_keras_serializable(package="keras_transformer")
class LearnedPositions(RefusedAfterFork, keras.layers.Embedding):
    """Learned position encodings: a trainable vector for each of `max_length` positions.

    Section 3.5 and row (E) of Table 3 in
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        max_length: Integer. Number of positions.
        d_model: Integer. Width of the encodings.

    Call arguments:
        ids: Integer tensor of shape `(B, T)`, the token ids at the positions to encode.
        positions: Integer tensor that broadcasts to `(B, T)`. `None` means 0 to T - 1 in every
            row.

    Returns:
        Tensor that broadcasts to `(B, T, d_model)`, float32.

    Raises:
        ValueError: If `positions` is `None` and T exceeds `max_length`. In a graph with a dynamic
            length T, the encodings of positions beyond `max_length` are NaN instead.
    """

    def __init__(self, max_length, d_model, **kwargs):
        super().__init__(max_length, d_model, **kwargs)
        self.max_length = max_length
        self.d_model = d_model

    def call(self, ids, positions=None):
        if positions is not None:
            return ops.cast(super().call(positions), "float32")
        length = None if sizes_are_arbitrary() else ids.shape[1]
        if length is not None and length > self.max_length:
            raise ValueError(
                f"There are {self.max_length} learned positions (`max_length`). Received: ids of "
                f"shape {tuple(ids.shape)}. Shorten the sequences, or increase `max_length`."
            )
        positions = ops.arange(ops.shape(ids)[1], dtype="int32")[None]  # (1, T)
        vectors = ops.cast(super().call(positions), "float32")
        if length is not None:
            return vectors
        in_range = ops.less(positions, self.max_length)[..., None]
        return ops.where(in_range, vectors, np.nan)  # XLA clamps indices: it repeats the last row

    def get_config(self):
        config = super().get_config()
        del config["input_dim"], config["output_dim"]
        return {**config, "max_length": self.max_length, "d_model": self.d_model}
