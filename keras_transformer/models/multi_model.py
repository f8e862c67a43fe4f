"""MultiModel: one body for several tasks, with a net for each modality."""

from typing import NamedTuple

import keras
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.models.encoder_decoder import EncoderDecoder


class CommandedMemory(NamedTuple):
    """An encoded source with its command, as decoding steps use it.

    Attributes:
        encoder_output: As in `Memory`, like `mask` and `blocks`.
        mask: Boolean tensor; the place of the command is `False`.
        blocks: List.
        command: Integer tensor of shape `(B,)`: the command, or the padding id if there is none.
    """

    encoder_output: object
    mask: object
    blocks: list
    command: object


@keras.saving.register_keras_serializable(package="keras_transformer")
class MultiModel(EncoderDecoder):
    """One encoder-decoder for several tasks, of texts and of images.

    Section 2 in [Kaiser et al., 2017](https://arxiv.org/abs/1706.05137). Texts and images share the
    body, encoder and decoder; what they do not share are small nets, `TextModality` and
    `ImageModality`.

    A text says by its first token, a command, what is to be done with it. The command takes the
    place of BOS at the start of the target, and the encoder does not see it; a source that starts
    with another token is read as by any `EncoderDecoder`. So translation, training and files are
    the same as for other models: with `>>fr<<` as a token, `>>fr<< I am a student.` is a command
    and a text.

    Images are told apart into classes. They go through the encoder alone, as in Tensor2Tensor's
    model. In training they stand beside a batch of texts, as the inputs `"image"` and
    `"image_class"`; the losses of both are added, before they are divided by the number of tokens
    plus that of images times `image_weight`.

    Args:
        source_embedding: `TextModality`, the net of all texts, sources and targets.
        encoder: As in `EncoderDecoder`.
        decoder: As in `EncoderDecoder`.
        image: `ImageModality`. `None` means texts alone.
        image_weight: Float. How many tokens an image counts as much as.
        pad_id: Integer. The padding id.

    Call arguments:
        inputs: Dict as that of `EncoderDecoder`. In training, it may also have `"image"` of shape
            `(N, height, width, channels)` and `"image_class"`, integers of shape `(N,)`.
        training: As in `EncoderDecoder`.
        return_attention_scores: As in `EncoderDecoder`.

    Returns:
        The logits of the text, as `EncoderDecoder`. Those of images come from `classify`.

    Raises:
        ValueError: As in `EncoderDecoder`.

    Example: one model that has a command, 4, and tells digits apart.

    >>> from keras_transformer import DecoderBlock, EncoderBlock, ImageModality, TextModality
    >>> from keras_transformer.models import DecoderStack, EncoderStack
    >>> model = MultiModel(
    ...     TextModality(vocabulary_size=11, d_model=8, commands=[4]),
    ...     EncoderStack([EncoderBlock(d_model=8, num_heads=2, d_ff=16)]),
    ...     DecoderStack([DecoderBlock(d_model=8, num_heads=2, d_ff=16)]),
    ...     image=ImageModality(image_shape=(8, 8, 1), num_classes=10, d_model=8),
    ... )
    >>> source, target = keras.ops.array([[4, 7, 2]]), keras.ops.array([[1, 9]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 2, 11)
    >>> tuple(model.classify(keras.ops.zeros((3, 8, 8, 1))).shape)
    (3, 10)
    """

    PARTS = ("source_embedding", "encoder", "decoder", "image")

    def __init__(
        self, source_embedding, encoder, decoder, image=None, image_weight=1.0, pad_id=0, **kwargs
    ):
        super().__init__(source_embedding, None, encoder, decoder, pad_id, **kwargs)
        self.image = image
        self.image_weight = image_weight
        self.image_accuracy = None
        if image is not None:
            self.image_accuracy = keras.metrics.Mean(name="image_accuracy")

    def build_parts(self):
        super().build_parts()
        if self.image is not None:
            self.build_part("image")

    def hidden_and_scores(self, inputs, training, return_attention_scores):
        self.check_inputs(inputs)
        return super().hidden_and_scores(
            self._with_moved_commands(inputs), training, return_attention_scores
        )

    def _with_moved_commands(self, inputs):
        """Returns inputs in which the commands of the sources are at the starts of the targets."""
        source, target = inputs["source"], inputs["target"]
        is_command = self._commands(source, inputs.get("source_positions"))
        of_row = is_command[:, None, :]  # that each target position (axis 1) could start with
        if "source_segments" in inputs:
            segments = inputs["target_segments"][:, :, None], inputs["source_segments"][:, None, :]
            of_row = ops.logical_and(of_row, ops.equal(*segments))
            is_start = ops.equal(inputs["target_positions"], 0)
        else:
            is_start = ops.equal(ops.arange(ops.shape(target)[1]), 0)[None]
        is_moved = ops.logical_and(is_start, ops.any(of_row, axis=-1))
        is_moved = ops.logical_and(is_moved, ops.not_equal(target, self.pad_id))
        commands = ops.sum(ops.where(of_row, source[:, None, :], 0), axis=-1)
        return {
            **inputs,
            "source": ops.where(is_command, self.pad_id, source),  # so the encoder does not see it
            "target": ops.where(is_moved, commands, target),
        }

    def _commands(self, source, positions=None):
        """Returns which tokens are commands at the start of a source, `(B, S)`."""
        if positions is None:
            positions = ops.arange(ops.shape(source)[1])[None]
        return ops.logical_and(ops.equal(positions, 0), self.source_embedding.is_command(source))

    def classify(self, images, training=None):
        """Returns the logits of the classes of images.

        Args:
            images: Float tensor of shape `(N, height, width, channels)`, from 0 to 1.
            training: Boolean. Whether to apply dropout.

        Returns:
            Tensor of shape `(N, num_classes)`, float32.

        Raises:
            ValueError: If the model has no net of images.
        """
        if self.image is None:
            raise ValueError(
                "This MultiModel has no net of images: create it with `image=ImageModality(...)`."
            )
        self.build_if_needed()
        hidden = self.encoder(self.image(images), training=training)
        return self.image.logits(hidden)

    def batch_sums(self, x, y, sample_weight, training):
        total, count = super().batch_sums(x, y, sample_weight, training)
        if "image" not in x:
            return total, count
        classes = ops.cast(x["image_class"], "int32")
        logits = self.classify(x["image"], training=training)
        losses = keras.losses.sparse_categorical_crossentropy(classes, logits, from_logits=True)
        hits = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), classes)
        self.image_accuracy.update_state(ops.cast(hits, "float32"))
        images = ops.cast(ops.shape(classes)[0], "float32")
        weight = self.image_weight
        return total + weight * ops.sum(losses), count + weight * images

    def check_compiled(self):
        super().check_compiled()
        if self.image is not None and self.loss is not None and not self.uses_sums():
            raise ValueError(
                "A MultiModel with a net of images needs a loss that provides `sums`, such as "
                f"TokenCrossEntropy, without `loss_weights`. Received: loss={self.loss!r}"
            )

    @refused_after_fork
    def encode(self, source):
        """Encodes sources for decoding, without their commands.

        Args:
            source: Integer tensor of shape `(B, S)`.

        Returns:
            `CommandedMemory`.
        """
        self.build_if_needed()
        is_command = self._commands(source)
        memory = super().encode(ops.where(is_command, self.pad_id, source))
        return CommandedMemory(*memory, ops.where(is_command, source, self.pad_id)[:, 0])

    @refused_after_fork
    def decode(self, target, memory):
        has_command = ops.not_equal(memory.command, self.pad_id)
        start = ops.where(has_command, memory.command, target[:, 0])
        return super().decode(ops.concatenate([start[:, None], target[:, 1:]], axis=1), memory)

    @refused_after_fork
    def decode_step(self, tokens, cache, at, memory, output_weights=None, **options):
        """Computes one decoding step, as `EncoderDecoder`; the first one starts at the command."""
        has_command = ops.not_equal(memory.command, self.pad_id)
        starts = ops.logical_and(ops.equal(at.positions, 0), has_command)
        tokens = ops.where(starts[:, None], memory.command[:, None], tokens)
        return super().decode_step(tokens, cache, at, memory, output_weights, **options)

    def get_config(self):
        config = super().get_config()
        del config["target_embedding"]  # always the source's
        return {**config, "image_weight": self.image_weight}
