"""Discretized mixture of logistics: the distribution of the intensities of a pixel."""

import keras
import numpy as np
from keras import ops

from keras_transformer.forking import RefusedAfterFork, refused_after_fork
from keras_transformer.replicas import sum_over_replicas
from keras_transformer.training.capabilities import DeclaresCapabilities

MIN_LOG_SCALE = -7.0
COEFFICIENTS = ((), (0,), (1, 2))  # of each channel: those by which the channels before count
SMALL = 1e-5  # below it, a probability is the density times the width of an intensity


@keras.saving.register_keras_serializable(package="keras_transformer")
class DiscretizedLogisticMixture(RefusedAfterFork, DeclaresCapabilities, keras.losses.Loss):
    """Mean negative log-likelihood of intensities under mixtures of discretized logistics.

    [Salimans et al., 2017](https://arxiv.org/abs/1701.05517), section 2.1, the "DMOL" of
    [Parmar et al., 2018](https://arxiv.org/abs/1802.05751). Intensities are scaled to [-1, 1]; the
    probability of one is the integral of a logistic density over its width, at both ends over all
    that is beyond, too. A pixel has one component of the mixture for all its channels: the mean of
    green depends on red, that of blue on both.

    The loss is the mean over all intensities, in nats; divided by ln 2, it is bits a dimension.

    Args:
        channels: Integer, 1 or 3.
        num_mixtures: Integer M. Number of components.
        num_levels: Integer. Number of intensities.
        name: String. Name of the loss.
        dtype: As in `keras.losses.Loss`. The loss is computed in float32 in any case.

    Call arguments:
        y_true: Integer tensor of shape `(B, N, channels)`: intensities of N pixels.
        y_pred: Tensor of shape `(B, N, num_parameters)`: of each component the logit, and for each
            channel its mean, its log-scale and, with three channels, its coefficient; M numbers of
            each kind stand side by side.
        sample_weight: Weights of images, shape `(B,)`, or of pixels, shape `(B, N)`.

    Raises:
        ValueError: If an argument is invalid.

    Example: the intensities at both ends are the most probable ones of a wide distribution.

    >>> loss = DiscretizedLogisticMixture(channels=1, num_mixtures=2)
    >>> parameters = keras.ops.zeros((1, 3, loss.num_parameters))
    >>> round(float(loss(keras.ops.array([[[0], [128], [255]]]), parameters)), 3)
    2.952
    """

    rests_on = {"provides_sums": ["__call__"]}  # noqa: RUF012
    provides_sums = True  # `__call__` divides the sums that `sums` returns

    def __init__(
        self,
        channels=3,
        num_mixtures=10,
        num_levels=256,
        name="discretized_logistic_mixture",
        dtype="float32",
    ):
        super().__init__(name=name, dtype=dtype)
        if channels not in (1, 3) or num_mixtures < 1 or num_levels < 2:
            raise ValueError(
                "`channels` must be 1 or 3, `num_mixtures` at least 1 and `num_levels` at least 2. "
                f"Received: channels={channels}, num_mixtures={num_mixtures}, "
                f"num_levels={num_levels}"
            )
        self.channels = channels
        self.num_mixtures = num_mixtures
        self.num_levels = num_levels

    @classmethod
    def of(cls, embedding):
        """Returns the distribution whose parameters a `ColourEmbedding` returns as its logits."""
        channels = embedding.image_shape[2]
        return cls(channels, embedding.num_mixtures, embedding.num_levels)

    @property
    def num_parameters(self):
        """Number of parameters of a pixel: 10 for each component of three channels, 3 of one."""
        return self.num_mixtures * (10 if self.channels == 3 else 3)

    @refused_after_fork
    def log_probs(self, intensities, parameters):
        """Returns the log-probability of all intensities of each pixel, float32 `(...)`.

        Args:
            intensities: Integer tensor of shape `(..., channels)`.
            parameters: Tensor of shape `(..., num_parameters)`.
        """
        logits, means, log_scales, coefficients = self._parts(parameters)
        levels = ops.cast(intensities, "float32")[..., None]  # (..., channels, 1)
        x, width = self._scaled(levels), 2.0 / (self.num_levels - 1)
        means = self._dependent_means(x, means, coefficients)
        precision = ops.exp(-log_scales)
        upper = precision * (x - means + width / 2)
        lower = precision * (x - means - width / 2)
        middle = precision * (x - means)
        probability = ops.sigmoid(upper) - ops.sigmoid(lower)
        density = middle - log_scales - 2 * ops.softplus(middle) + np.log(width)
        inner = ops.where(probability > SMALL, ops.log(ops.maximum(probability, SMALL)), density)
        first, last = ops.equal(levels, 0), ops.equal(levels, self.num_levels - 1)
        edges = ops.where(first, upper - ops.softplus(upper), -ops.softplus(lower))
        of_channels = ops.where(ops.logical_or(first, last), edges, inner)
        joint = ops.sum(of_channels, axis=-2) + ops.log_softmax(logits, axis=-1)
        return ops.logsumexp(joint, axis=-1)

    @refused_after_fork
    def sample(self, parameters, seed=None, temperature=1.0):
        """Draws the intensities of pixels, int32 `(..., channels)`.

        Args:
            parameters: Tensor of shape `(..., num_parameters)`.
            seed: Integer, `keras.random.SeedGenerator` or `None`.
            temperature: Float, greater than 0. Divides the logits, and multiplies the scales.
        """
        seeds = keras.random.SeedGenerator(seed) if isinstance(seed, int | None) else seed
        limits = {"minval": 1e-5, "maxval": 1 - 1e-5, "dtype": "float32", "seed": seeds}
        before = tuple(ops.shape(parameters)[:-1])
        of_components = keras.random.uniform((*before, self.num_mixtures), **limits)
        of_channels = keras.random.uniform((*before, self.channels), **limits)
        return self.draw(parameters, of_components, of_channels, temperature)

    @refused_after_fork
    def draw(self, parameters, of_components, of_channels, temperature=1.0):
        """Returns the intensities of pixels that uniform random numbers stand for.

        Args:
            parameters: As in `sample`.
            of_components: Float tensor of shape `(..., num_mixtures)`, between 0 and 1.
            of_channels: Float tensor of shape `(..., channels)`, between 0 and 1.
            temperature: As in `sample`.
        """
        logits, means, log_scales, coefficients = self._parts(parameters)
        noise = -ops.log(-ops.log(of_components))
        component = ops.argmax(logits / temperature + noise, axis=-1)
        chosen = ops.one_hot(component, self.num_mixtures, dtype="float32")[..., None, :]
        means, log_scales, coefficients = (
            ops.sum(part * chosen, axis=-1) for part in (means, log_scales, coefficients)
        )
        distance = ops.log(of_channels) - ops.log1p(-of_channels)
        spread = temperature * ops.exp(log_scales) * distance
        x = []
        for channel in range(self.channels):
            mean = means[..., channel]
            for before, number in zip(x, COEFFICIENTS[channel], strict=True):
                mean = mean + coefficients[..., number] * before
            drawn = ops.clip(mean + spread[..., channel], -1.0, 1.0)
            x.append(self._scaled(ops.round((drawn + 1) / 2 * (self.num_levels - 1))))
        levels = (ops.stack(x, axis=-1) + 1) / 2 * (self.num_levels - 1)
        return ops.cast(ops.round(levels), "int32")

    def _scaled(self, levels):
        return 2 * levels / (self.num_levels - 1) - 1

    def _parts(self, parameters):
        """Returns logits `(..., M)`, and means, log-scales and coefficients `(..., channels, M)`.

        With one channel, there are no coefficients: theirs have no channels.
        """
        M, C = self.num_mixtures, self.channels
        parameters = ops.cast(parameters, "float32")
        rest = ops.reshape(parameters[..., M:], (*ops.shape(parameters)[:-1], -1, M))
        means, log_scales = rest[..., :C, :], ops.maximum(rest[..., C : 2 * C, :], MIN_LOG_SCALE)
        return parameters[..., :M], means, log_scales, ops.tanh(rest[..., 2 * C :, :])

    def _dependent_means(self, x, means, coefficients):
        """Returns the means of all channels, given the intensities of those before."""
        if self.channels == 1:
            return means
        red, green = x[..., 0, :], x[..., 1, :]
        of_green = means[..., 1, :] + coefficients[..., 0, :] * red
        of_blue = means[..., 2, :] + coefficients[..., 1, :] * red + coefficients[..., 2, :] * green
        return ops.stack([means[..., 0, :], of_green, of_blue], axis=-2)

    def sums(self, y_true, y_pred, sample_weight=None):
        """Returns the sum of the losses of all intensities and their number, both weighted."""
        losses = -self.log_probs(y_true, y_pred)
        weight = ops.ones_like(losses)
        if sample_weight is not None:
            given = ops.cast(sample_weight, "float32")
            weight = weight * ops.reshape(
                given, (*ops.shape(given), *[1] * (len(losses.shape) - len(given.shape)))
            )
        return ops.sum(losses * weight), self.channels * ops.sum(weight)

    @refused_after_fork
    def __call__(self, y_true, y_pred, sample_weight=None):
        total, count = self.sums(y_true, y_pred, sample_weight)
        return ops.divide_no_nan(total, sum_over_replicas(count))

    def get_config(self):
        return {
            "name": self.name,
            "channels": self.channels,
            "num_mixtures": self.num_mixtures,
            "num_levels": self.num_levels,
        }
