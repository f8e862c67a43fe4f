"""Schema of the options that train a model of images."""

import dataclasses
from typing import ClassVar, Literal

from keras_transformer.io import path_or_url
from trainers.option_checks import check_at_least, check_optimizer
from trainers.recipe import Strategy

DRAWINGS = "drawings"
TFDS = "tfds:"


@dataclasses.dataclass(frozen=True)
class ImageRecipe:
    """Options of a run that trains an Image Transformer, which draws images.

    Args:
        output: Run folder; created if it does not exist. A URL, such as s3://bucket/run, is sent
            every saved state and the finished run; the work is done in a local cache folder.
        overwrite: Whether to replace a finished or interrupted run in that folder.
        data: Images to train on. drawings, shapes and letters that the package draws; tfds:NAME,
            such as tfds:fashion_mnist; or a folder, of idx files named as those of MNIST, or of
            PNG files, in folders named after their classes or without classes.
        data_folder: Of tfds: local folder of prepared datasets (data_dir); by default, that of
            tensorflow-datasets.
        image_size: Of drawings: rows and columns.
        channels: Of drawings: 3 for colours, 1 for grey.
        num_images: Of drawings: number of images to train on.
        held_out_images: Number of images that the model is never trained on: of drawings and PNG
            files, which have no test images; of others, the first ones of their test images; 0
            takes all of these.
        classes: Whether the model knows the classes of the images, and draws those of a class.
        enlarge: Factor by which the model enlarges images: it reads them with so many times fewer
            rows and columns; 0 trains a model that reads none.
        attention: local (blocks of the rows, read one after the other), local_2d or full.
        block_length: Of local: number of tokens of a block.
        query_rows: Of local_2d: rows of a block.
        query_columns: Of local_2d: columns of a block; channels count as columns if they are
            tokens.
        flange_rows: Of local_2d: rows above a block that are seen.
        flange_columns: Of local_2d: columns on either side of a block that are seen.
        distribution: categorical (every intensity is a token) or mixture (a pixel is one, with a
            mixture of discretized logistics).
        num_mixtures: Of mixture: number of components.
        num_layers: Number of blocks.
        d_model: Width of every position.
        num_heads: Attention heads.
        d_ff: Hidden width of the feed-forward networks.
        dropout_rate: Dropout rate.
        norm: Layer normalization, post (the paper's) or pre.
        epochs: Number of epochs.
        steps_per_epoch: Steps per epoch; 0 takes one pass over the images.
        images_per_batch: Number of images of a batch.
        optimizer: adam, with the paper's schedule, or adafactor.
        learning_rate_scale: Factor on the paper's learning rate.
        warmup_steps: Steps over which the learning rate rises.
        checkpoint_steps: Steps between saved states, from which the same command resumes after an
            interruption; 0 saves a state at the end of each epoch only.
        averaged_checkpoints: Number of last epochs whose weights are averaged, if their average is
            better than the last; 0 or 1 disables averaging.
        precision: float32 or mixed_bfloat16.
        compile_with_xla: Whether to compile training steps with XLA.
        strategy: Devices to train on; auto takes all that are available.
        devices: Number of devices of this machine; 0 takes all.
        accumulate_steps: Micro-batches per batch, whose gradients are accumulated to save memory.
        steps_per_execution: Training steps per call of the compiled function.
        tensorboard: Whether to write TensorBoard logs to logs/.
        seed: Seed of all random numbers.

    Raises:
        ValueError: An option is out of its range.
    """

    PRODUCT: ClassVar[str] = "model of images"
    MATERIAL: ClassVar[str] = "images"

    output: str
    overwrite: bool = False
    data: str = DRAWINGS
    data_folder: str = ""
    image_size: int = 16
    channels: int = 3
    num_images: int = 20_000
    held_out_images: int = 1000
    classes: bool = False
    enlarge: int = 0
    attention: Literal["local", "local_2d", "full"] = "local"
    block_length: int = 256
    query_rows: int = 8
    query_columns: int = 16
    flange_rows: int = 8
    flange_columns: int = 8
    distribution: Literal["categorical", "mixture"] = "categorical"
    num_mixtures: int = 10
    num_layers: int = 4
    d_model: int = 128
    num_heads: int = 4
    d_ff: int = 512
    dropout_rate: float = 0.1
    norm: Literal["post", "pre"] = "pre"
    epochs: int = 10
    steps_per_epoch: int = 0
    images_per_batch: int = 16
    optimizer: Literal["adam", "adafactor"] = "adam"
    learning_rate_scale: float = 1.0
    warmup_steps: int = 1000
    checkpoint_steps: int = 0
    averaged_checkpoints: int = 3
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    compile_with_xla: bool = True
    strategy: Strategy = "auto"
    devices: int = 0
    accumulate_steps: int = 1
    steps_per_execution: int = 1
    tensorboard: bool = True
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "output", path_or_url(self.output))
        one = "num_images block_length query_rows query_columns num_mixtures num_layers d_model "
        one += "num_heads d_ff epochs images_per_batch accumulate_steps steps_per_execution"
        zero = "held_out_images enlarge flange_rows flange_columns steps_per_epoch warmup_steps "
        zero += "learning_rate_scale checkpoint_steps averaged_checkpoints devices seed"
        least = dict.fromkeys(one.split(), 1) | dict.fromkeys(zero.split(), 0)
        check_at_least(self, {**least, "image_size": 8})
        if self.optimizer == "adam":
            check_at_least(self, {"warmup_steps": 1})
            if not self.learning_rate_scale:
                raise ValueError("learning_rate_scale must be greater than 0. Received: 0")
        else:
            check_optimizer(self)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3. Received: {self.channels}")
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(
                f"dropout_rate must be at least 0 and less than 1. Received: {self.dropout_rate}"
            )
        if self.enlarge == 1 or (self.enlarge and self.classes):
            raise ValueError(
                "enlarge must be 0, or at least 2 and without classes. Received: "
                f"enlarge={self.enlarge}, classes={self.classes}"
            )
        if self.data_folder and not self.data.startswith(TFDS):
            raise ValueError(
                f"data_folder only applies to data {TFDS}NAME. Received: data {self.data}"
            )
        if not self.held_out_images and self.data == DRAWINGS:
            raise ValueError("held_out_images of drawings must be at least 1. Received: 0")

    @property
    def learning_rate(self) -> float:
        """Float: 0, since the schedule is the paper's."""
        return 0.0
