"""Position encoders: sinusoids, a pure function, and a table of learned positions."""

import keras
import numpy as np
from keras import ops

POSITIONS = ("paper", "t2t", "learned")


def sinusoids(positions, d_model, form="paper"):
    """Positional encodings made of sines and cosines; nothing is learned, nothing ends.

    `"paper"` interleaves them, `PE[p, 2i] = sin(p / 10000^(2i/d))` and `PE[p, 2i+1] = cos(...)`
    (section 3.5 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)). `"t2t"`,
    Tensor2Tensor's and the one in the pictures of The Illustrated Transformer, puts all sines
    before all cosines and spaces the wavelengths a little wider, so that the longest is
    exactly 10000 * 2 pi. The two are not permutations of each other.

    Args:
        positions: Integer tensor of any shape `(...)`.
        d_model: Integer. How many numbers encode a position.
        form: `"paper"` or `"t2t"`.

    Returns:
        Tensor of shape `(..., d_model)`, float32, values within [-1, 1].

    Raises:
        ValueError: `form` is another word.

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
class LearnedPositions(keras.layers.Embedding):
    """A trainable vector for each of the first `max_length` positions.

    Section 3.5 and row (E) of Table 3 in
    [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        max_length: Integer. Number of positions.
        d_model: Integer. Width of a vector.

    Call arguments:
        ids: Integer tensor of shape `(B, T)`, the rows whose positions are encoded.
        positions: Integer tensor that broadcasts to `(B, T)`. `None` counts from 0 in every row.

    Returns:
        Tensor that broadcasts to `(B, T, d_model)`, float32.

    Raises:
        ValueError: `positions` is `None` and the rows are longer than `max_length`. Where T is only
            known when a graph runs, the vectors of later positions are NaN instead.
    """

    def __init__(self, max_length, d_model, **kwargs):
        super().__init__(max_length, d_model, **kwargs)
        self.max_length = max_length
        self.d_model = d_model

    def call(self, ids, positions=None):
        if positions is not None:
            return ops.cast(super().call(positions), "float32")
        T = ids.shape[1]
        if T is not None and T > self.max_length:
            raise ValueError(
                f"There are {self.max_length} learned positions (`max_length`). Received: ids of "
                f"shape {tuple(ids.shape)}. Give shorter rows, or make more positions."
            )
        positions = ops.arange(ops.shape(ids)[1], dtype="int32")[None]  # (1, T)
        vectors = ops.cast(super().call(positions), "float32")
        if T is not None:
            return vectors
        known = ops.less(positions, self.max_length)[..., None]
        return ops.where(known, vectors, np.nan)  # XLA would repeat the last row

    def get_config(self):
        config = super().get_config()
        del config["input_dim"], config["output_dim"]
        return {**config, "max_length": self.max_length, "d_model": self.d_model}
