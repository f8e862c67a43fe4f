"""Vector quantization: every vector becomes the nearest one of a codebook."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import real_tokens
from keras_transformer.replicas import AddsLossOfWholeBatch, of_whole_batch, sum_over_replicas

MODES = ("slice", "project")


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecomposedVectorQuantizer(AddsLossOfWholeBatch, Layer):
    """Decomposed vector quantization: the parts of a vector are quantized independently.

    Section 3 in [Kaiser et al., 2018](https://arxiv.org/abs/1803.03382). A vector has `num_slices`
    parts: slices of its width, or fixed random projections of the whole. Each part has a codebook
    of its own, of which the nearest vector takes its place; the gradient passes through unchanged.
    The code of the whole is the number whose digits are those of the parts, the first one lowest.

    The codebooks are no trained weights: in training, each vector is the moving average of the
    parts that it took the place of, over all real positions of the batch, on all replicas. A loss,
    `commitment` times the mean squared distance, pulls the parts to their vectors.

    Args:
        d_model: Integer. Width of the vectors, a multiple of `num_slices`.
        codes_per_slice: Integer. Number of vectors of each codebook.
        num_slices: Integer. Number of parts.
        mode: `"slice"` or `"project"`.
        decay: Float. What is kept of the averages at each step.
        commitment: Float. Factor on the loss; 0.25 in the paper.
        epsilon: Float. Smooths the numbers of parts, so that no vector is divided by 0.
        seed: Integer or `None`. Seed of the projections, which are weights, but not trained.

    Call arguments:
        inputs: Tensor of shape `(B, M, d_model)`.
        attention_mask: Padding mask, a boolean tensor of shape `(B, M)`, or `AttentionMask`: it
            tells which positions are real. `None` means all.
        training: Boolean. Whether the codebooks follow, and the loss is added.

    Returns:
        Tensor of shape `(B, M, d_model)`.

    Raises:
        ValueError: If an argument is invalid, or there are more than 2^31 - 1 codes.

    Example: 4 codebooks of 8 vectors, 4096 codes.

    >>> layer = DecomposedVectorQuantizer(d_model=12, codes_per_slice=8, num_slices=4)
    >>> codes = layer.codes(keras.ops.ones((3, 5, 12)))
    >>> tuple(codes.shape), layer.num_codes, tuple(layer.embed(codes).shape)
    ((3, 5), 4096, (3, 5, 12))
    """

    needs_whole_batch = True  # its averages are those of a step

    def __init__(
        self,
        d_model,
        codes_per_slice,
        num_slices=2,
        mode="slice",
        decay=0.999,
        commitment=0.25,
        epsilon=1e-5,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_slices < 1 or d_model % num_slices:
            raise ValueError(
                "`d_model` must be a multiple of `num_slices`. Received: "
                f"d_model={d_model}, num_slices={num_slices}"
            )
        if mode not in MODES:
            raise ValueError(f"`mode` must be 'slice' or 'project'. Received: {mode!r}")
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` must be at least 0 and less than 1. Received: {decay}")
        if codes_per_slice < 1 or codes_per_slice**num_slices >= 2**31:
            raise ValueError(
                "The codes of all slices together must be numbers of 31 bits. Received: "
                f"codes_per_slice={codes_per_slice}, num_slices={num_slices}"
            )
        self.d_model = d_model
        self.codes_per_slice = codes_per_slice
        self.num_slices = num_slices
        self.mode = mode
        self.decay = decay
        self.commitment = commitment
        self.epsilon = epsilon
        self.seed = seed

    @property
    def num_codes(self):
        """Number of codes: `codes_per_slice` to the power of `num_slices`."""
        return self.codes_per_slice**self.num_slices

    def build(self, inputs_shape=None):
        S, K, D = self.num_slices, self.codes_per_slice, self.d_model // self.num_slices

        def weight(name, shape, initializer):
            return self.add_weight(
                shape=shape,
                initializer=initializer,
                trainable=False,
                dtype="float32",
                autocast=False,
                aggregation="only_first_replica",  # equal on all
                name=name,
            )

        normal = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.codebooks = weight("codebooks", (S, K, D), normal)
        self.counts = weight("counts", (S, K), "ones")
        self.sums = weight("sums", (S, K, D), lambda *_, **__: ops.copy(self.codebooks))
        self.projections = None
        if self.mode == "project":
            spread = keras.initializers.RandomNormal(stddev=self.d_model**-0.5, seed=self.seed)
            self.projections = weight("projections", (S, self.d_model, D), spread)

    def call(self, inputs, attention_mask=None, training=False):
        parts = self._parts(inputs)
        nearest = self._nearest(parts)
        found = self._look_up(nearest)
        if training:
            self._train(parts, nearest, found, real_tokens(attention_mask))
        x = self._joined(parts)
        return ops.cast(x + ops.stop_gradient(self._joined(found) - x), self.compute_dtype)

    def codes(self, inputs):
        """Returns the code of each vector, integers `(B, M)` below `num_codes`."""
        self.build_if_needed()
        nearest = self._nearest(self._parts(inputs))
        powers = self.codes_per_slice ** np.arange(self.num_slices)
        return ops.sum(nearest * ops.convert_to_tensor(powers.astype("int32")), axis=-1)

    def embed(self, codes):
        """Returns the vector of each code, `(B, M, d_model)`."""
        self.build_if_needed()
        powers = self.codes_per_slice ** np.arange(self.num_slices)
        digits = ops.floor_divide(
            ops.cast(codes, "int32")[..., None], ops.convert_to_tensor(powers.astype("int32"))
        )
        vectors = self._joined(self._look_up(digits % self.codes_per_slice))
        return ops.cast(vectors, self.compute_dtype)

    def _parts(self, inputs):
        """Returns the parts of vectors, float32 `(B, M, S, d_model / S)`."""
        x = ops.cast(inputs, "float32")
        if self.mode == "project":
            return ops.einsum("bmd,sde->bmse", x, self.projections)
        return ops.reshape(
            x, (*ops.shape(x)[:-1], self.num_slices, self.d_model // self.num_slices)
        )

    def _nearest(self, parts):
        """Returns the number of the nearest vector of each part, integers `(B, M, S)`."""
        products = ops.einsum("bmse,ske->bmsk", parts, self.codebooks)
        squares = ops.sum(ops.square(self.codebooks), axis=-1)
        return ops.cast(ops.argmin(squares - 2 * products, axis=-1), "int32")

    def _look_up(self, nearest):
        """Returns vectors of the codebooks, float32 `(B, M, S, d_model / S)`."""
        offsets = self.codes_per_slice * np.arange(self.num_slices)
        width = self.d_model // self.num_slices
        rows = ops.reshape(self.codebooks, (-1, width))
        return ops.take(rows, nearest + ops.convert_to_tensor(offsets.astype("int32")), axis=0)

    def _joined(self, parts):
        return ops.reshape(parts, (*ops.shape(parts)[:-2], self.d_model))

    def _train(self, parts, nearest, found, real):
        chosen = ops.one_hot(nearest, self.codes_per_slice, dtype="float32")
        weight = ops.ones(ops.shape(nearest)[:2]) if real is None else ops.cast(real, "float32")
        chosen = chosen * weight[:, :, None, None]
        still = ops.stop_gradient(parts)
        sums = [ops.sum(chosen, axis=(0, 1)), ops.einsum("bmsk,bmse->ske", chosen, still)]
        counts, sums = sum_over_replicas(sums)
        rest = 1 - self.decay
        self.counts.assign(self.decay * self.counts + rest * counts)
        self.sums.assign(self.decay * self.sums + rest * sums)
        total = ops.sum(self.counts, axis=-1, keepdims=True)
        share = (self.counts + self.epsilon) / (total + self.codes_per_slice * self.epsilon)
        self.codebooks.assign(self.sums / (share * total)[..., None])
        if self.commitment:
            distances = ops.mean(ops.square(parts - ops.stop_gradient(found)), axis=(-2, -1))
            distance = of_whole_batch(ops.sum(distances * weight))
            count = ops.maximum(sum_over_replicas(ops.sum(weight)), 1.0)
            self.add_loss(self.commitment * distance / count)

    def get_config(self):
        return {
            **super().get_config(),
            "d_model": self.d_model,
            "codes_per_slice": self.codes_per_slice,
            "num_slices": self.num_slices,
            "mode": self.mode,
            "decay": self.decay,
            "commitment": self.commitment,
            "epsilon": self.epsilon,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="keras_transformer")
class VectorQuantizer(DecomposedVectorQuantizer):
    """Vector quantization: every vector becomes the nearest one of a single codebook.

    Section 2.2 in [Kaiser et al., 2018](https://arxiv.org/abs/1803.03382), after
    [van den Oord et al., 2017](https://arxiv.org/abs/1711.00937): `DecomposedVectorQuantizer` with
    a single slice. With many codes, few of them come to be used.

    Args:
        d_model: Integer. Width of the vectors.
        num_codes: Integer. Number of codes.
        decay: As in `DecomposedVectorQuantizer`, like the following ones.
        commitment: Float.
        epsilon: Float.
        seed: Integer or `None`.

    It is called as `DecomposedVectorQuantizer`.

    Example:

    >>> layer = VectorQuantizer(d_model=12, num_codes=32)
    >>> tuple(layer(keras.ops.ones((3, 5, 12))).shape)
    (3, 5, 12)
    """

    def __init__(
        self,
        d_model,
        num_codes,
        decay=0.999,
        commitment=0.25,
        epsilon=1e-5,
        seed=None,
        **kwargs,
    ):
        super().__init__(d_model, num_codes, 1, "slice", decay, commitment, epsilon, seed, **kwargs)

    def get_config(self):
        config = super().get_config()
        for name in ("codes_per_slice", "num_slices", "mode"):
            del config[name]
        return {**config, "num_codes": self.codes_per_slice}
