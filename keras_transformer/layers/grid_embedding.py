"""The common part of embeddings of images: cells of a grid, their order, and their places."""

import numpy as np
from keras import ops

from keras_transformer.layers.dropout import Dropout
from keras_transformer.layers.grid_places import cell_places, checked_shape
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.local_attention_2d import LocalAttention2D
from keras_transformer.layers.position_encoders import sinusoids


class GridEmbedding(Layer):
    """Base class of `PixelEmbedding` and `ColourEmbedding`.

    An image is a grid of cells, which are generated one after the other. Ids are 0 for padding; 1
    for the start of an image, or 1 to `num_classes` for that of an image of a class; then cells,
    from `first_cell` on. A subclass defines `grid`, `cell_vectors` and `cell_ids`.

    A position has the place of the cell that is predicted. With `enlarged_shape` nothing is: the
    image is read, without a start, to draw one of that shape, and a position has the place of its
    own cell, in cells of the other image.
    """

    def __init__(
        self,
        image_shape,
        d_model,
        num_levels,
        num_classes,
        query_shape,
        dropout_rate,
        enlarged_shape=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        shape = checked_shape("image_shape", image_shape)
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
        self.first_cell = 1 + max(1, num_classes)
        blocks = LocalAttention2D(self.grid, self.query_shape or self.grid, (0, 0))
        self.order = blocks.generation_order()
        if enlarged_shape is not None:
            enlarged_shape = checked_shape("enlarged_shape", enlarged_shape)
        self.enlarged_shape = enlarged_shape
        cells = self.grid[1] // shape[1]  # of a pixel
        places = cell_places(shape, cells, self.query_shape, enlarged_shape)
        row, column, cell = places.T
        self.places = np.stack([row, column * cells + cell], axis=-1)
        self.dropout = Dropout(dropout_rate, dtype=self.dtype_policy)

    @property
    def grid(self):
        """Tuple of two integers: rows and columns of the grid."""
        raise NotImplementedError

    @property
    def max_positions(self):
        """Number of cells of an image."""
        return len(self.order)

    def cell_vectors(self, ids, positions):
        """Returns what is embedded at each position, float32 `(B, T, d_model)`.

        Args:
            ids: Integer tensor of shape `(B, T)`: the start, and the cells before each position; of
                an image that is read, its cells.
            positions: Integer tensor that broadcasts to `(B, T)`.
        """
        raise NotImplementedError

    def cell_ids(self, images):
        """Returns the ids of all cells, in the order of generation, int32 `(B, cells)`."""
        raise NotImplementedError

    def read(self, images, classes=None):
        """Returns the start and all cells of images, int32 `(B, cells + 1)`.

        With `enlarged_shape` only the cells, `(B, cells)`: what an encoder reads.

        Args:
            images: Integer array of shape `(B, h, w, C)`, intensities.
            classes: Integer array of shape `(B,)`, from 0; `None` without classes.

        Raises:
            ValueError: If images or classes do not fit.
        """
        images = np.asarray(images)
        starts = self.check_images(images, classes)
        if self.enlarged_shape is not None:
            return self.cell_ids(images)
        return np.concatenate([starts[:, None], self.cell_ids(images)], axis=1)

    def call(self, ids, positions=None):
        cells = self.max_positions
        if positions is None:
            if isinstance(ids.shape[1], int) and ids.shape[1] > cells + 1:
                raise ValueError(
                    f"An image of shape {self.image_shape} has {cells} cells, and a start. "
                    f"Received: ids of shape {tuple(ids.shape)}"
                )
            positions = ops.arange(ops.shape(ids)[1], dtype="int32")[None]
        place = ops.take(self.places, ops.clip(positions, 0, cells - 1), axis=0)
        half = self.d_model // 2
        parts = [sinusoids(place[..., axis], half, "t2t") for axis in (0, 1)]
        x = self.cell_vectors(ids, positions) + ops.concatenate(parts, axis=-1)
        return self.dropout(ops.cast(x, self.compute_dtype))

    def check_images(self, images, classes):
        """Returns the start id of each image; raises a ValueError if something does not fit."""
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise ValueError(
                f"`images` must have the shape (B, {', '.join(map(str, self.image_shape))}). "
                f"Received: {images.shape}"
            )
        if images.dtype.kind not in "iu":
            raise ValueError(
                f"`images` must be integers, from 0 to {self.num_levels - 1}. Received: "
                f"{images.dtype}"
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
        starts = np.ones(len(images), "int32") + (0 if classes is None else np.asarray(classes))
        if len(starts) and not 0 < starts.min() <= starts.max() < self.first_cell:
            raise ValueError(f"`classes` must be from 0 to {self.num_classes - 1}.")
        return starts.astype("int32")

    def output_weights(self):
        """Returns `None`: the output layer is small."""
        return None

    def output_vectors(self):
        """Returns `None`: the output layer is not a product of the embeddings."""
        return None

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
            "enlarged_shape": self.enlarged_shape and list(self.enlarged_shape),
        }
