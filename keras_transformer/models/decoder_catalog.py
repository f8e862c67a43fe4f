"""The architecture of translators without an encoder."""

from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.decoder_only import DecoderOnly


@register_architecture
def decoder_only(*, source_weight=1.0, **sizes):
    """Returns a `DecoderOnly`, which reads source and target as one sequence, and predicts both.

    `memory_compressed` is the same for long sources.

    Args:
        source_weight: Float. Weight of the tokens of the source in training; see `DecoderOnly`.
        **sizes: Arguments of `DecoderOnly.from_sizes`.
    """
    return DecoderOnly.from_sizes(source_weight=source_weight, **sizes)
