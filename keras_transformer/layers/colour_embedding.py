"""Embedding of the colours of images, for models whose output is a mixture of logistics."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.grid_embedding import GridEmbedding


@keras.saving.register_keras_serializable(package="keras_transformer")
class ColourEmbedding(GridEmbedding):
    """Embedding of the pixels of an image, which are generated one after the other, as numbers.

    Section 3.1 in [Parmar et al., 2018](https://arxiv.org/abs/1802.05751), "ordinal": all channels
    of a pixel, scaled to [-1, 1], become a vector by one product. Half of the width encodes the
    row, half the column of the pixel that is predicted: a position reads the pixel before it. The
    method `logits` is the output layer: it returns the parameters of a
    `DiscretizedLogisticMixture` for each pixel.

    Ids are 0 for padding; 1 for the start of an image, or 1 to `num_classes` for that of an image
    of a class; then colours: `first_cell` and the number whose digits are the intensities, the
    first channel's lowest.

    Args:
        image_shape: Tuple of three integers: rows, columns and channels, 1 or 3.
        d_model: Integer. Width of the embeddings, even.
        num_levels: Integer. Number of intensities.
        num_classes: Integer. Number of classes of images; 0 for images without classes.
        query_shape: Tuple of two integers, those of `LocalAttention2D`, to generate the pixels
            block by block; `None` means row by row.
        dropout_rate: Float. Fraction of the sum to drop during training.
        num_mixtures: Integer. Number of components of the mixture.
        enlarged_shape: Tuple of three integers: the shape of the image that a decoder draws from
            this one. The layer then embeds the colours of a given image, without a start, at
            their own places, in the grid of the other image. `None` means that this one is drawn.

    Call arguments:
        ids: Integer tensor of shape `(B, T)`, starting with the start of an image.
        positions: Integer tensor that broadcasts to `(B, T)`: how many pixels were generated
            before. `None` means 0 to T - 1 in every row.

    Returns:
        Tensor of shape `(B, T, d_model)`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if there are more positions than
            pixels.

    Example:

    >>> embedding = ColourEmbedding(image_shape=(2, 2, 3), d_model=8)
    >>> ids, colours = embedding.to_ids(np.zeros((5, 2, 2, 3), "int32"))
    >>> x = embedding(ids)
    >>> tuple(x.shape), tuple(embedding.logits(x).shape), colours.shape
    ((5, 4, 8), (5, 4, 100), (5, 4, 3))
    """

    def __init__(
        self,
        image_shape,
        d_model,
        num_levels=256,
        num_classes=0,
        query_shape=None,
        dropout_rate=0.0,
        num_mixtures=10,
        enlarged_shape=None,
        **kwargs,
    ):
        sizes = (image_shape, d_model, num_levels, num_classes, query_shape, dropout_rate)
        super().__init__(*sizes, enlarged_shape, **kwargs)
        channels = self.image_shape[2]
        if channels not in (1, 3) or num_mixtures < 1:
            raise ValueError(
                "Images must have 1 or 3 channels, and `num_mixtures` be at least 1. Received: "
                f"image_shape={self.image_shape}, num_mixtures={num_mixtures}"
            )
        if num_levels**channels + self.first_cell >= 2**31:
            raise ValueError(
                f"The colours must be numbers of 31 bits. Received: num_levels={num_levels}"
            )
        self._powers = (num_levels ** np.arange(channels)).astype(
            "int32"
        )  # of the digits of a colour
        self.num_mixtures = num_mixtures
        self.num_parameters = num_mixtures * (10 if channels == 3 else 3)
        self.vocabulary_size = self.first_cell + num_levels**channels
        self.starts = keras.layers.Embedding(
            self.first_cell,
            d_model,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0),
            dtype=self.dtype_policy,
            name="starts",
        )

    @property
    def grid(self):
        return self.image_shape[:2]

    def build(self, ids_shape=None):
        ids_shape = ids_shape or (None, None)
        self.starts.build(ids_shape)
        self.dropout.build((*ids_shape, self.d_model))
        options = {"dtype": "float32", "autocast": False}
        shape = (self.image_shape[2], self.d_model)
        self.colours = self.add_weight(shape, "glorot_uniform", **options, name="colours")
        shape = (self.d_model, self.num_parameters)
        small = keras.initializers.RandomNormal(stddev=0.1 * self.d_model**-0.5)
        self.kernel = self.add_weight(shape, small, **options, name="kernel")
        self.bias = self.add_weight(shape[1:], self._spread_means, **options, name="bias")

    def _spread_means(self, shape, dtype=None):
        """Returns the first biases: means spread over all intensities, and scales that overlap."""
        kinds = np.zeros((self.num_parameters // self.num_mixtures, self.num_mixtures), "float32")
        channels = self.image_shape[2]
        kinds[1 : 1 + channels] = np.linspace(-1, 1, self.num_mixtures + 2)[1:-1]
        kinds[1 + channels : 1 + 2 * channels] = -np.log(self.num_mixtures)
        return ops.convert_to_tensor(kinds.reshape(shape), dtype)

    def cell_vectors(self, ids, positions):
        is_start = ids < self.first_cell
        starts = self.starts(ops.where(is_start, ids, 0))
        values = 2 * ops.cast(self.intensities(ids), "float32") / (self.num_levels - 1) - 1
        colours = ops.matmul(values, self.colours) * self.d_model**0.5
        return ops.where(is_start[..., None], ops.cast(starts, "float32"), colours)

    def intensities(self, ids):
        """Returns the intensities of colours, integers `(B, T, C)`; those of other ids are 0."""
        codes = ops.maximum(ops.cast(ids, "int32") - self.first_cell, 0)
        return (
            ops.floor_divide(codes[..., None], ops.convert_to_tensor(self._powers))
            % self.num_levels
        )

    def codes(self, intensities):
        """Returns the ids of colours, whose intensities are `(B, T, C)`."""
        colours = ops.cast(intensities, "int32") * ops.convert_to_tensor(self._powers)
        return ops.sum(colours, axis=-1) + self.first_cell

    def logits(self, hidden, output_weights=None):
        """Returns the parameters of each pixel, float32 `(B, T, num_parameters)`."""
        self.build_if_needed((None, None))
        return ops.matmul(ops.cast(hidden, "float32"), self.kernel) + self.bias

    def to_ids(self, images, classes=None):
        """Returns the ids of images, in the order in which they are generated, and their labels.

        Args:
            images: Integer array of shape `(B, h, w, C)`, intensities.
            classes: Integer array of shape `(B,)`, from 0; `None` without classes.

        Returns:
            A tuple of two int32 arrays: the start and all pixels but the last, `(B, h w)`, and the
            intensities of all, `(B, h w, C)`.
        """
        ids = self.read(images, classes)
        labels = np.asarray(images)[:, self.order[:, 0], self.order[:, 1]].astype("int32")
        return ids[:, :-1], labels

    def cell_ids(self, images):
        cells = images[:, self.order[:, 0], self.order[:, 1]].astype("int64")
        return (cells @ self._powers + self.first_cell).astype("int32")

    def to_images(self, ids):
        """Returns the images of generated ids, `(B, h w)`: intensities, `(B, h, w, C)`."""
        codes = np.asarray(ids).astype("int64") - self.first_cell
        images = np.zeros((len(codes), *self.image_shape), "int32")
        cells = codes[..., None] // self._powers % self.num_levels
        images[:, self.order[:, 0], self.order[:, 1]] = cells
        return images

    def get_config(self):
        return {**super().get_config(), "num_mixtures": self.num_mixtures}
