"""Embedding of the intensities of images, with positions in two dimensions."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.grid_embedding import GridEmbedding

HIDDEN = -1e9  # logit of what is no intensity


@keras.saving.register_keras_serializable(package="keras_transformer")
class PixelEmbedding(GridEmbedding):
    """Embedding of the intensities of an image, which are generated one after the other.

    Section 3.1 in [Parmar et al., 2018](https://arxiv.org/abs/1802.05751). An image of h rows, w
    columns and C channels is a grid of h rows and `w C` columns, whose cells are intensities: the
    channels of a pixel stand side by side. Each channel has embeddings of its own, scaled by
    `sqrt(d_model)`. Half of the width encodes the row, half the column of the cell that is
    predicted: as in any language model, a position reads the intensity before it. The method
    `logits` is the output layer, the same for all channels; since it starts with zeros, all
    intensities are equally probable at first.

    Ids are 0 for padding; 1 for the start of an image, or 1 to `num_classes` for that of an image
    of a class; then intensities. `first_cell` is the id of intensity 0.

    Args:
        image_shape: Tuple of three integers: rows, columns and channels.
        d_model: Integer. Width of the embeddings, even.
        num_levels: Integer. Number of intensities.
        num_classes: Integer. Number of classes of images; 0 for images without classes.
        query_shape: Tuple of two integers, those of `LocalAttention2D`, to generate the cells block
            by block; `None` means row by row.
        dropout_rate: Float. Fraction of the sum to drop during training.
        enlarged_shape: Tuple of three integers: the shape of the image that a decoder draws from
            this one. The layer then embeds the intensities of a given image, without a start, at
            their own places, in the grid of the other image. `None` means that this one is drawn.

    Call arguments:
        ids: Integer tensor of shape `(B, T)`, starting with the start of an image.
        positions: Integer tensor that broadcasts to `(B, T)`: how many intensities were generated
            before. `None` means 0 to T - 1 in every row.

    Returns:
        Tensor of shape `(B, T, d_model)`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if there are more positions than
            cells.

    Example:

    >>> embedding = PixelEmbedding(image_shape=(2, 2, 3), d_model=8)
    >>> ids = keras.ops.array([[1, 2, 257]])  # the start, and the intensities 0 and 255
    >>> x = embedding(ids)
    >>> tuple(x.shape), tuple(embedding.logits(x).shape)
    ((1, 3, 8), (1, 3, 258))
    """

    def __init__(
        self,
        image_shape,
        d_model,
        num_levels=256,
        num_classes=0,
        query_shape=None,
        dropout_rate=0.0,
        enlarged_shape=None,
        **kwargs,
    ):
        sizes = (image_shape, d_model, num_levels, num_classes, query_shape, dropout_rate)
        super().__init__(*sizes, enlarged_shape, **kwargs)
        self.vocabulary_size = self.first_cell + num_levels
        self.tokens = keras.layers.Embedding(
            self.first_cell + self.image_shape[2] * num_levels,
            d_model,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=d_model**-0.5),
            dtype=self.dtype_policy,
            name="tokens",
        )

    @property
    def grid(self):
        rows, columns, channels = self.image_shape
        return rows, columns * channels

    def build(self, ids_shape=None):
        ids_shape = ids_shape or (None, None)
        self.tokens.build(ids_shape)
        self.dropout.build((*ids_shape, self.d_model))
        options = {"initializer": "zeros", "dtype": "float32", "autocast": False}
        self.kernel = self.add_weight((self.d_model, self.num_levels), **options, name="kernel")
        self.bias = self.add_weight((self.num_levels,), **options, name="bias")

    def cell_vectors(self, ids, positions):
        channels = self.order[:, 1] % self.image_shape[2]
        cell = positions - 1 if self.enlarged_shape is None else positions  # the one that is read
        channel = ops.take(channels, ops.clip(cell, 0, len(channels) - 1), axis=0)
        rows = ops.where(ids < self.first_cell, ids, ids + self.num_levels * channel)
        return ops.cast(self.tokens(rows), "float32") * self.d_model**0.5

    def logits(self, hidden, output_weights=None):
        """Returns the logit of every id, float32 `(B, T, V)`; only intensities are probable."""
        self.build_if_needed((None, None))
        logits = ops.matmul(ops.cast(hidden, "float32"), self.kernel) + self.bias
        others = ops.full_like(logits[..., :1], HIDDEN)
        return ops.concatenate([ops.repeat(others, self.first_cell, axis=-1), logits], axis=-1)

    def to_ids(self, images, classes=None):
        """Returns the ids of images, in the order in which they are generated, and their labels.

        Args:
            images: Integer array of shape `(B, h, w, C)`, intensities.
            classes: Integer array of shape `(B,)`, from 0; `None` without classes.

        Returns:
            A tuple of two int32 arrays of shape `(B, h w C)`: the start and all intensities but the
            last, and the intensities.
        """
        ids = self.read(images, classes)
        return ids[:, :-1], ids[:, 1:]

    def cell_ids(self, images):
        grid = images.reshape(len(images), *self.grid).astype("int32")  # bytes would overflow
        return grid[:, self.order[:, 0], self.order[:, 1]] + np.int32(self.first_cell)

    def to_images(self, ids):
        """Returns the images of generated ids, `(B, h w C)`: intensities, `(B, h, w, C)`."""
        levels = np.asarray(ids) - self.first_cell
        images = np.zeros((len(levels), *self.grid), "int32")
        images[:, self.order[:, 0], self.order[:, 1]] = levels
        return images.reshape(len(levels), *self.image_shape)
