"""Generation of images, and their probability, by a trained image model."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from keras import ops

from keras_transformer.decoding.generate import generate
from keras_transformer.decoding.sampling import sample
from keras_transformer.forking import refuse_after_fork, refused_after_fork
from keras_transformer.images.colour_search import colour_search
from keras_transformer.layers import ColourEmbedding, PixelEmbedding
from keras_transformer.training.logistic_mixture import DiscretizedLogisticMixture
from keras_transformer.translation.compilation import compiled

BATCH = 16


class ImageGenerator:
    """A trained model of images, to draw images and to measure them.

    Args:
        model: A `LanguageModel` with a `PixelEmbedding` or a `ColourEmbedding`; see
            `create_image_model`. Or an `EncoderDecoder` with two of them, which enlarges images;
            see `create_enlarging_model`.
        about: Dict of what else is known of the model.

    Raises:
        ValueError: If the model has another embedding.
    """

    def __init__(self, model, about=None):
        refuse_after_fork()
        embedding = getattr(model, "target_embedding", None)
        if not isinstance(embedding, PixelEmbedding | ColourEmbedding):
            raise ValueError(
                "`model` must have a PixelEmbedding or a ColourEmbedding. Received: "
                f"{type(model).__name__} with {type(embedding).__name__}"
            )
        if not model.built:
            model.build()
        self.model, self.about = model, dict(about or {})
        self._draw = compiled(functools.partial(draw_ids, model), model)
        self._bits = compiled(functools.partial(_bits, model), model)

    def save(self, folder: str | Path) -> None:
        """Saves the model to a run folder, from which `load` restores it.

        Args:
            folder: Path of the folder, which is created if it does not exist, or its URL.

        Raises:
            FolderInUseError: If another process writes to the folder.
        """
        from keras_transformer.images.run_folder import save_run

        save_run(self, folder)

    @classmethod
    @refused_after_fork
    def load(cls, folder: str | Path) -> "ImageGenerator":
        """Loads the model of a run folder, written by `save`.

        Args:
            folder: Path of the folder, or its URL, from which the files are fetched.

        Raises:
            RunError: If the folder is missing, incomplete or damaged, or holds another kind of run.
        """
        from keras_transformer.images.run_folder import FILES, load_run
        from keras_transformer.io import fetched_folder

        with fetched_folder(folder, FILES) as local:
            return cls(**load_run(local))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels of an image."""
        return self.model.target_embedding.image_shape

    @property
    def small_shape(self) -> tuple[int, int, int] | None:
        """The same of the images that are enlarged; `None` for a model that reads none."""
        return self.model.source_embedding.image_shape if hasattr(self.model, "encoder") else None

    @refused_after_fork
    def generate(
        self,
        count: int = 1,
        classes=None,
        *,
        temperature: float = 1.0,
        seed: int = 0,
        begin=None,
        rows: int = 0,
        small=None,
        batch_size: int = BATCH,
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Draws images, intensity after intensity, a batch at a time.

        An image depends on its number, the seed and the temperature alone, and on the rows that it
        begins with.

        Args:
            count: Number of images.
            classes: Class of each image, or one for all; `None` for a model without classes.
            temperature: Divisor of the logits; below 1, images are more probable and more alike.
            seed: Seed of the random numbers.
            begin: Images whose first rows are kept, and the rest completed; one of each, uint8
                array of shape `(count, h, w, channels)`.
            rows: Number of rows that are kept; whole blocks of a model that draws block by block.
            small: Images to enlarge, one for each, uint8 array of the model's `small_shape`; `None`
                for a model that reads none.
            batch_size: Number of images that are drawn at the same time.
            progress: Function that is called after each batch, with the number of images that are
                drawn and of all.

        Returns:
            Integer array of shape `(count, h, w, channels)`.

        Raises:
            ValueError: If a number is out of range, or the classes or `begin` do not fit the model.
        """
        embedding = self.model.target_embedding
        if count < 1 or batch_size < 1 or not 0 < temperature < float("inf"):
            raise ValueError(
                "`count` and `batch_size` must be at least 1 and `temperature` greater than 0. "
                f"Received: count={count}, batch_size={batch_size}, temperature={temperature}"
            )
        kept = self._kept(count, begin, rows)
        if classes is not None:
            classes = np.broadcast_to(np.asarray(classes), (count,))
        given = np.zeros((count, *self.image_shape), "int32") if begin is None else begin
        ids, _ = embedding.to_ids(given, classes)
        cells = ids[:, 1 : kept + 1]  # fewer than all
        sources = self._sources(small, count, ids[:, :1])
        drawn = []
        for first in range(0, count, batch_size):
            chosen = np.minimum(np.arange(first, first + batch_size), count - 1)
            seeds = ((seed * 1_000_003 % 2**31 + chosen) % 2**31).astype("int32")
            found = self._draw(
                sources[chosen], cells[chosen], seeds, temperature=float(temperature)
            )
            drawn.append(ops.convert_to_numpy(found)[: count - first])
            if progress is not None:
                progress(min(first + batch_size, count), count)
        return embedding.to_images(np.concatenate(drawn))

    def _sources(self, small, count: int, starts) -> np.ndarray:
        """Returns what is read before an image: its start, or a small image."""
        if (small is None) != (self.small_shape is None):
            raise ValueError(
                "`small` must be given to a model that enlarges images, and to no other. Received: "
                f"{'None' if small is None else 'images'}"
            )
        if small is None:
            return starts
        if len(small) != count:
            raise ValueError(
                f"`small` must have an image for each of the {count}. Received: {len(small)}"
            )
        return self.model.source_embedding.read(small)

    def _kept(self, count, begin, rows) -> int:
        """Returns how many cells are given."""
        embedding = self.model.target_embedding
        if (begin is None) != (rows == 0) or not 0 <= rows < self.image_shape[0]:
            raise ValueError(
                "`begin` and `rows` are given together, and rows are fewer than those of an image, "
                f"{self.image_shape[0]}. Received: rows={rows}, "
                f"begin={'None' if begin is None else 'images'}"
            )
        if begin is not None and len(begin) != count:
            raise ValueError(
                f"`begin` must have an image for each of the {count}. Received: {len(begin)}"
            )
        of_block = 1 if embedding.query_shape is None else embedding.query_shape[0]
        if rows % of_block:
            raise ValueError(
                f"The model draws in blocks of {of_block} rows: `rows` must be a multiple of them. "
                f"Received: {rows}"
            )
        return rows * embedding.grid[1]

    @refused_after_fork
    def bits(self, images, classes=None, small=None, batch_size: int = BATCH) -> np.ndarray:
        """Returns the bits a dimension of images: the mean of -log2 p over their intensities.

        Args:
            images: Integer array of shape `(N, h, w, channels)`.
            classes: Class of each image; `None` for a model without classes.
            small: The small image of each, as in `generate`.
            batch_size: Number of images that are read at the same time.

        Returns:
            Float array of shape `(N,)`.

        Raises:
            ValueError: If the images or the classes do not fit the model.
        """
        return self.bit_maps(images, classes, small, batch_size).mean(axis=(1, 2))

    @refused_after_fork
    def bit_maps(self, images, classes=None, small=None, batch_size: int = BATCH) -> np.ndarray:
        """Returns where the bits of images are: the bits a dimension of every pixel.

        The arguments and errors are those of `bits`.

        Returns:
            Float array of shape `(N, h, w)`.
        """
        embedding = self.model.target_embedding
        ids, labels = embedding.to_ids(images, classes)
        sources = self._sources(small, len(ids), ids[:, :1])
        found = [np.zeros((0, len(embedding.order)))]
        for first in range(0, len(ids), batch_size):
            chosen = np.minimum(np.arange(first, first + batch_size), len(ids) - 1)
            bits = ops.convert_to_numpy(self._bits(sources[chosen], ids[chosen], labels[chosen]))
            found.append(bits[: len(ids) - first])
        cells, (rows, columns) = np.concatenate(found), embedding.grid
        maps = np.zeros((len(ids), rows, columns))
        maps[:, embedding.order[:, 0], embedding.order[:, 1]] = cells
        width = self.image_shape[1]
        return maps.reshape(len(ids), rows, width, columns // width).mean(axis=-1)


def draw_ids(model, sources, prefix, seeds, temperature=1.0):
    """Returns the ids of images, `(B, cells)`.

    Args:
        model: As that of `ImageGenerator`.
        sources: Integer tensor: what is read before an image, its start or a small image.
        prefix: Integer tensor of shape `(B, P)`: the first ids of each image.
        seeds: Integer tensor of shape `(B,)`.
        temperature: Float. Divisor of the logits.
    """
    embedding = model.target_embedding
    length, mixture = embedding.max_positions, _mixture(embedding)
    found = generate(
        model,
        sources,
        ops.full((sources.shape[0],), length, dtype="int32"),
        length=length,
        search=sample if mixture is None else colour_search(embedding, mixture),
        beam_size=1,
        temperature=temperature,
        seeds=seeds,
        prefix=prefix if prefix.shape[1] else None,
        bos_id=1,
        eos_id=embedding.first_cell - 1,  # a start, which is never probable
    )
    return found.ids[:, 0]


def _bits(model, sources, ids, labels):
    """Returns the bits a dimension of each cell of images, `(B, cells)`."""
    inputs = {"target": ids} | ({"source": sources} if hasattr(model, "encoder") else {})
    outputs, mixture = model(inputs, training=False), _mixture(model.target_embedding)
    if mixture is None:
        chosen = ops.take_along_axis(ops.log_softmax(outputs), labels[..., None], axis=-1)[..., 0]
    else:
        chosen = mixture.log_probs(labels, outputs) / mixture.channels
    return -chosen / np.log(2).astype("float32")


def _mixture(embedding):
    """Returns the distribution of the output; `None` if intensities are tokens."""
    is_token = isinstance(embedding, PixelEmbedding)
    return None if is_token else DiscretizedLogisticMixture.of(embedding)
