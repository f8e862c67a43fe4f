"""Modality nets: what stands between texts or images and the body of a `MultiModel`."""

import keras
from keras import ops

from keras_transformer.layers.downsampling_block import DownsamplingBlock
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.position_encoders import sinusoids
from keras_transformer.layers.positional_embedding import PositionalEmbedding


@keras.saving.register_keras_serializable(package="keras_transformer")
class TextModality(PositionalEmbedding):
    """The net of texts: embedding, output layer and commands.

    Section 2.5 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.05137). A `PositionalEmbedding`
    that knows which tokens are commands: names of tasks, with which a source may start; see
    `MultiModel`.

    Args:
        vocabulary_size: Integer. As in `PositionalEmbedding`, like the following ones.
        d_model: Integer.
        positions: String or `None`.
        dropout_rate: Float.
        max_length: Integer.
        use_bias: Boolean.
        commands: List of integers: the ids of the commands.

    It is called as `PositionalEmbedding`.

    Raises:
        ValueError: If a command is not in the vocabulary; or as in `PositionalEmbedding`.

    Example:

    >>> text = TextModality(vocabulary_size=11, d_model=8, commands=[4, 5])
    >>> text.is_command(keras.ops.array([[5, 9, 2]])).numpy().tolist()
    [[True, False, False]]
    """

    def __init__(
        self,
        vocabulary_size,
        d_model,
        positions="paper",
        dropout_rate=0.0,
        max_length=1024,
        use_bias=False,
        commands=(),
        **kwargs,
    ):
        super().__init__(
            vocabulary_size, d_model, positions, dropout_rate, max_length, use_bias, **kwargs
        )
        self.commands = list(commands)
        if not all(0 <= command < vocabulary_size for command in self.commands):
            raise ValueError(
                f"`commands` must be ids of the vocabulary, below {vocabulary_size}. Received: "
                f"{self.commands}"
            )

    def is_command(self, ids):
        """Returns which ids are commands: a boolean tensor of the shape of `ids`."""
        found = ops.zeros(ops.shape(ids), "bool")
        for command in self.commands:
            found = ops.logical_or(found, ops.equal(ids, command))
        return found

    def get_config(self):
        return {**super().get_config(), "commands": self.commands}


@keras.saving.register_keras_serializable(package="keras_transformer")
class ImageModality(Layer):
    """The net of images that belong to classes: convolutions in, logits of the classes out.

    Section 2.5 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.05137). On the way in, two
    convolutions, of which the first halves height and width, then `DownsamplingBlock`s, which
    halve them again, up to the width of the body; what is left of the image is read row by row,
    with sinusoids for its places, which the paper leaves to its attention. On the way out
    (`logits`), a linear layer and ReLU, the mean over all places, and a linear layer: the paper has
    three more downsampling blocks there, which images of 8 x 8 pixels leave no room for.

    Args:
        image_shape: Tuple of three integers: height, width and channels of the images.
        num_classes: Integer. Number of classes.
        d_model: Integer. Width of the body.
        stem: Two integers: the channels of the two first convolutions.
        widths: List of integers: the channels of the downsampling blocks before the last one,
            which has `d_model`; 128 and 256 in the paper, whose images are larger.

    Call arguments:
        images: Float tensor of shape `(N, height, width, channels)`, with values from 0 to 1.

    Returns:
        Tensor of shape `(N, P, d_model)`, with P places.

    Raises:
        ValueError: If a size is less than 1.

    Example:

    >>> digits = ImageModality(image_shape=(8, 8, 1), num_classes=10, d_model=16)
    >>> vectors = digits(keras.ops.zeros((3, 8, 8, 1)))
    >>> tuple(vectors.shape), tuple(digits.logits(vectors).shape)
    ((3, 4, 16), (3, 10))
    """

    def __init__(self, image_shape, num_classes, d_model, stem=(32, 64), widths=(), **kwargs):
        super().__init__(**kwargs)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.d_model = d_model
        self.stem = list(stem)
        self.widths = list(widths)
        sizes = [*self.image_shape, num_classes, d_model, *self.stem, *self.widths]
        if len(self.image_shape) != 3 or len(self.stem) != 2 or min(sizes) < 1:
            raise ValueError(
                "An ImageModality needs an `image_shape` of height, width and channels, two sizes "
                "as `stem`, and sizes of at least 1. Received: "
                f"image_shape={self.image_shape}, num_classes={num_classes}, d_model={d_model}, "
                f"stem={self.stem}, widths={self.widths}"
            )
        dtype = self.dtype_policy

        def convolution(filters, strides, name):
            return keras.layers.Conv2D(
                filters, 3, strides, "same", activation="relu", dtype=dtype, name=name
            )

        self.convolutions = [
            convolution(self.stem[0], 2, "convolution_0"),
            convolution(self.stem[1], 1, "convolution_1"),
        ]
        self.blocks = [
            DownsamplingBlock(filters, dtype=dtype, name=f"block_{number}")
            for number, filters in enumerate([*self.widths, d_model])
        ]
        self.exit = keras.layers.Dense(2 * d_model, activation="relu", dtype=dtype, name="exit")
        self.classes = keras.layers.Dense(num_classes, dtype=dtype, name="classes")

    def build(self, images_shape=None):
        shape = (None, *self.image_shape)
        for layer in [*self.convolutions, *self.blocks]:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.exit.build((None, None, self.d_model))
        self.classes.build((None, 2 * self.d_model))

    def call(self, images):
        x = ops.cast(images, self.compute_dtype)
        for layer in [*self.convolutions, *self.blocks]:
            x = layer(x)
        _, places, _ = self.compute_output_shape(images.shape)
        x = ops.cast(ops.reshape(x, (-1, places, self.d_model)), "float32")
        x = x + sinusoids(ops.arange(places, dtype="int32"), self.d_model)
        return ops.cast(x, self.compute_dtype)

    def logits(self, hidden):
        """Returns the logits of the classes.

        Args:
            hidden: Tensor of shape `(N, P, d_model)`, the body's output for the places of images.

        Returns:
            Tensor of shape `(N, num_classes)`, float32.
        """
        self.build_if_needed()
        return ops.cast(self.classes(ops.mean(self.exit(hidden), axis=1)), "float32")

    def compute_output_shape(self, images_shape):
        height, width = self.image_shape[:2]
        for _ in range(1 + len(self.blocks)):
            height, width = -(-height // 2), -(-width // 2)
        return (images_shape[0], height * width, self.d_model)

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": list(self.image_shape),
            "num_classes": self.num_classes,
            "d_model": self.d_model,
            "stem": self.stem,
            "widths": self.widths,
        }
