"""The architecture of translators without an encoder."""

from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.decoder_only import DecoderOnly


@register_architecture
def decoder_only(**sizes):
    """Returns a `DecoderOnly`, which reads source and target as one sequence, and predicts both.

    `memory_compressed` is the same for long sources.

    Args:
        **sizes: Arguments of `DecoderOnly.from_sizes`.
    """
    return DecoderOnly.from_sizes(**sizes)
