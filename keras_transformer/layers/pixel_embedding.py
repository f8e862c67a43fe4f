"""Embedding of the intensities of images, with positions in two dimensions."""

import keras
import numpy as np
from keras import ops

from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.local_attention_2d import LocalAttention2D
from keras_transformer.layers.position_encoders import sinusoids

HIDDEN = -1e9  # logit of what is no intensity


@keras.saving.register_keras_serializable(package="keras_transformer")
class PixelEmbedding(Layer):
    """Embedding of the intensities of an image, which are generated one after the other.

    Section 3.1 in [Parmar et al., 2018](https://arxiv.org/abs/1802.05751). An image of h rows, w
    columns and C channels is a grid of h rows and `w C` columns, whose cells are intensities: the
    channels of a pixel stand side by side. Each channel has embeddings of its own, scaled by
    `sqrt(d_model)`. Half of the width encodes the row, half the column of the cell that is
    predicted: as in any language model, a position reads the intensity before it. The method
    `logits` is the output layer, the same for all channels; since it starts with zeros, all
    intensities are equally probable at first.

    Ids are 0 for padding; 1 for the start of an image, or 1 to `num_classes` for that of an image
    of a class; then intensities. `first_level` is the id of intensity 0.

    Args:
        image_shape: Tuple of three integers: rows, columns and channels.
        d_model: Integer. Width of the embeddings, even.
        num_levels: Integer. Number of intensities.
        num_classes: Integer. Number of classes of images; 0 for images without classes.
        query_shape: Tuple of two integers, those of `LocalAttention2D`, to generate the cells block
            by block; `None` means row by row.
        dropout_rate: Float. Fraction of the sum to drop during training.

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
        **kwargs,
    ):
        super().__init__(**kwargs)
        shape = tuple(image_shape) if isinstance(image_shape, list | tuple) else ()
        if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
            raise ValueError(
                "`image_shape` must be three integers of at least 1: rows, columns and channels. "
                f"Received: image_shape={image_shape}"
            )
        if d_model < 4 or d_model % 2:
            raise ValueError(f"`d_model` must be even, and at least 4. Received: d_model={d_model}")
        if num_levels < 2 or num_classes < 0:
            raise ValueError(
                "`num_levels` must be at least 2 and `num_classes` at least 0. Received: "
                f"num_levels={num_levels}, num_classes={num_classes}"
            )
        self.image_shape = shape
        self.d_model = d_model
        self.num_levels = num_levels
        self.num_classes = num_classes
        self.query_shape = None if query_shape is None else tuple(query_shape)
        self.dropout_rate = dropout_rate
        self.first_level = 1 + max(1, num_classes)
        self.vocabulary_size = self.first_level + num_levels
        self.order = self._generation_order()
        dtype, width = self.dtype_policy, self.first_level + shape[2] * num_levels
        self.tokens = keras.layers.Embedding(
            width,
            d_model,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=d_model**-0.5),
            dtype=dtype,
            name="tokens",
        )
        self.dropout = Dropout(dropout_rate, dtype=dtype)

    @property
    def grid(self):
        """Tuple of two integers: rows and columns of the grid of intensities."""
        rows, columns, channels = self.image_shape
        return rows, columns * channels

    @property
    def max_positions(self):
        """Number of intensities of an image."""
        return self.grid[0] * self.grid[1]

    def _generation_order(self):
        """Returns row and column of each cell in the order of generation, `(h w C, 2)`."""
        whole = self.query_shape is None
        blocks = LocalAttention2D(self.grid, self.grid if whole else self.query_shape, (0, 0))
        return blocks.generation_order()

    def build(self, ids_shape=None):
        ids_shape = ids_shape or (None, None)
        self.tokens.build(ids_shape)
        self.dropout.build((*ids_shape, self.d_model))
        options = {"initializer": "zeros", "dtype": "float32", "autocast": False}
        self.kernel = self.add_weight((self.d_model, self.num_levels), **options, name="kernel")
        self.bias = self.add_weight((self.num_levels,), **options, name="bias")

    def call(self, ids, positions=None):
        cells = self.max_positions
        if positions is None:
            if isinstance(ids.shape[1], int) and ids.shape[1] > cells:
                raise ValueError(
                    f"An image of shape {self.image_shape} has {cells} intensities. Received: ids "
                    f"of shape {tuple(ids.shape)}"
                )
            positions = ops.arange(ops.shape(ids)[1], dtype="int32")[None]
        channels = self.order[:, 1] % self.image_shape[2]
        before = ops.take(channels, ops.clip(positions - 1, 0, cells - 1), axis=0)
        rows = ops.where(ids < self.first_level, ids, ids + self.num_levels * before)
        x = ops.cast(self.tokens(rows), "float32") * self.d_model**0.5
        place = ops.take(self.order, ops.clip(positions, 0, cells - 1), axis=0)
        half = self.d_model // 2
        parts = [sinusoids(place[..., axis], half, "t2t") for axis in (0, 1)]
        return self.dropout(ops.cast(x + ops.concatenate(parts, axis=-1), self.compute_dtype))

    def logits(self, hidden, output_weights=None):
        """Returns the logit of every id, float32 `(B, T, V)`; only intensities are probable."""
        self.build_if_needed((None, None))
        logits = ops.matmul(ops.cast(hidden, "float32"), self.kernel) + self.bias
        others = ops.full_like(logits[..., :1], HIDDEN)
        return ops.concatenate([ops.repeat(others, self.first_level, axis=-1), logits], axis=-1)

    def output_weights(self):
        """Returns `None`: the output layer is small."""
        return None

    def output_vectors(self):
        """Returns `None`: the logits are not a product of the embeddings."""
        return None

    def to_ids(self, images, classes=None):
        """Returns the ids of images, in the order in which they are generated, and their labels.

        Args:
            images: Integer array of shape `(B, h, w, C)`, intensities.
            classes: Integer array of shape `(B,)`, from 0; `None` without classes.

        Returns:
            A tuple of two int32 arrays of shape `(B, h w C)`: the start and all intensities but the
            last, and the intensities.
        """
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise ValueError(
                f"`images` must have the shape (B, {', '.join(map(str, self.image_shape))}). "
                f"Received: {images.shape}"
            )
        if images.size and not 0 <= images.min() <= images.max() < self.num_levels:
            raise ValueError(
                f"`images` must have intensities from 0 to {self.num_levels - 1}. Received: "
                f"{images.min()} to {images.max()}"
            )
        if (classes is None) != (self.num_classes == 0):
            raise ValueError(
                f"`classes` must be given if, and only if, there are some. Received: "
                f"{'none' if classes is None else 'classes'}, num_classes={self.num_classes}"
            )
        grid = images.reshape(len(images), *self.grid)
        labels = (grid[:, self.order[:, 0], self.order[:, 1]] + self.first_level).astype("int32")
        starts = np.ones(len(images), "int32") + (0 if classes is None else np.asarray(classes))
        if len(starts) and not 0 < starts.min() <= starts.max() < self.first_level:
            raise ValueError(f"`classes` must be from 0 to {self.num_classes - 1}.")
        return np.concatenate([starts[:, None].astype("int32"), labels[:, :-1]], axis=1), labels

    def to_images(self, ids):
        """Returns the images of generated ids, `(B, h w C)`: intensities, `(B, h, w, C)`."""
        levels = np.asarray(ids) - self.first_level
        images = np.zeros((len(levels), *self.grid), "int32")
        images[:, self.order[:, 0], self.order[:, 1]] = levels
        return images.reshape(len(levels), *self.image_shape)

    def compute_output_shape(self, ids_shape, positions_shape=None):
        return (*ids_shape, self.d_model)

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": list(self.image_shape),
            "d_model": self.d_model,
            "num_levels": self.num_levels,
            "num_classes": self.num_classes,
            "query_shape": None if self.query_shape is None else list(self.query_shape),
            "dropout_rate": self.dropout_rate,
        }
