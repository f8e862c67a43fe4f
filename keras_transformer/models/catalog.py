"""The catalogue: the architectures that a recipe can name."""

from keras_transformer.layers import SeparableConvolution
from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.transformer import Transformer


@register_architecture
def transformer(**sizes):
    """Returns a `Transformer`, the model of the paper."""
    return Transformer(**sizes)


@register_architecture
def convolutional(*, kernel_size=3, **sizes):
    """Returns a `Transformer` whose blocks have a `SeparableConvolution` for their self-attention.

    The decoder still attends to the output of the encoder.

    Args:
        kernel_size: Integer, odd. Number of positions that each convolution sees.
        **sizes: Arguments of `Transformer`.
    """
    model = Transformer(**sizes)
    for stack, causal in ((model.encoder, False), (model.decoder, True)):
        for block in stack.blocks:
            block.self_attention = SeparableConvolution(
                model.d_model, kernel_size, causal, dtype=block.dtype_policy
            )
    return model
