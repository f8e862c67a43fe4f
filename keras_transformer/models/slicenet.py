"""SliceNet: translation by convolutions, with attention to the source alone."""

from keras_transformer.layers import (
    AttendingConvolutionModule,
    ConvolutionModule,
    InputOutputMixer,
    PositionalEmbedding,
)
from keras_transformer.models.architectures import SIZES, register_architecture
from keras_transformer.models.decoder_stack import DecoderStack
from keras_transformer.models.encoder_decoder import EncoderDecoder
from keras_transformer.models.encoder_stack import EncoderStack

# Sizes of a `Transformer` that would ask for what this model does not have.
ONLY = {
    "positions": "paper",
    "norm": "post",
    "activation": "relu",
    "use_bias": False,
    "attention_dropout_rate": 0.0,
    "feed_forward_dropout_rate": 0.0,
}


@register_architecture
def slicenet(*, groups="2-3", kernels="3-7-15-31", dilations="1-1-1-1", **sizes):
    """Returns SliceNet, which translates with separable convolutions.

    From [Kaiser et al., 2017](https://arxiv.org/abs/1706.03059). The default options are those of
    its largest experiments; the text of the paper has `kernels="3-3-15-15"` and
    `dilations="1-1-1-8"`. The encoder is a stack of `ConvolutionModule`s, 1.5 times as many as the
    `AttendingConvolutionModule`s of the decoder, which stand on an `InputOutputMixer`. With the
    default `num_layers=4` there are six and four.

    Args:
        groups: Integers separated by `-`, used in turns: the numbers of groups of channels of the
            convolutions. `d_model` must be a multiple of each; `"1"` means separable convolutions
            of all channels.
        kernels: Integers separated by `-`, all odd: the kernel sizes of a convolution module.
        dilations: As many integers separated by `-`.
        **sizes: Arguments of `Transformer`. `num_layers` is the number of convolution modules of
            the decoder, unless `num_decoder_layers` is given; `dropout_rate` is that of their
            outputs and of the embeddings; `num_heads` and `d_ff` have no meaning here.

    Raises:
        ValueError: If an option or a size is invalid, or a size asks for what SliceNet does not
            have.
    """
    convolutions = {
        "kernel_sizes": _integers("kernels", kernels),
        "dilations": _integers("dilations", dilations),
        "groups": _integers("groups", groups),
    }
    return _make(convolutions, **_known(sizes))


def _make(
    convolutions,
    vocabulary_size,
    num_layers=4,
    d_model=768,
    dropout_rate=0.1,
    num_decoder_layers=None,
    target_vocabulary_size=None,
    pad_id=0,
    **options,
):
    _check(convolutions, d_model)
    dtype = {"dtype": options.get("dtype")}
    module = {"d_model": d_model, **convolutions, "dropout_rate": dropout_rate, **dtype}
    encoder = [
        ConvolutionModule(**module, causal=False, name=f"block_{number}")
        for number in range(num_layers * 3 // 2)
    ]
    mixer = InputOutputMixer(d_model, convolutions["groups"], name="block_0", **dtype)
    decoder_layers = num_layers if num_decoder_layers is None else num_decoder_layers
    decoder = [
        AttendingConvolutionModule(**module, name=f"block_{number}")
        for number in range(1, decoder_layers + 1)
    ]

    def embedding(size, name):
        return PositionalEmbedding(size, d_model, dropout_rate=dropout_rate, name=name, **dtype)

    target_embedding = None
    if target_vocabulary_size is not None:
        target_embedding = embedding(target_vocabulary_size, "target_embedding")
    return EncoderDecoder(
        embedding(vocabulary_size, "source_embedding"),
        target_embedding,
        EncoderStack(encoder, name="encoder", **dtype),
        DecoderStack([mixer, *decoder], name="decoder", **dtype),
        pad_id,
        **options,
    )


def _known(sizes):
    """Returns the sizes that mean something here.

    Raises:
        ValueError: A size is invalid, or has a value other than the only one that SliceNet knows.
    """
    for name, value in ONLY.items():
        received = sizes.get(name, value)
        if received != value:
            raise ValueError(
                f"The architecture slicenet has {name}={value!r} only: leave out `{name}`. "
                f"Received: {name}={received!r}"
            )
    unknown = sorted(sizes.keys() - SIZES)
    if unknown:
        raise ValueError(
            "The architecture slicenet takes its options and the arguments of `Transformer`. "
            f"Received: {', '.join(unknown)}"
        )
    for name in ("num_layers", "num_decoder_layers", "d_model"):
        if sizes.get(name) is not None and sizes[name] < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={sizes[name]}")
    meaningless = {*ONLY, "num_heads", "d_ff", "max_length"}
    return {name: value for name, value in sizes.items() if name not in meaningless}


def _integers(name, text):
    """Returns the integers of an option such as `"3-7-15-31"`."""
    parts = text.split("-")
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise ValueError(
            f"{name} of the architecture slicenet must be integers of at least 1, separated by -, "
            f"such as 2-3. Received: {text}"
        )
    return [int(part) for part in parts]


def _check(convolutions, d_model):
    """Raises a ValueError if the options do not fit each other, or the width of the model."""
    kernels, dilations, groups = (
        convolutions[name] for name in ("kernel_sizes", "dilations", "groups")
    )
    shown = {name: "-".join(map(str, values)) for name, values in convolutions.items()}
    if len(kernels) % 2 or len(kernels) != len(dilations):
        raise ValueError(
            "kernels and dilations of the architecture slicenet must be as many, an even number, "
            "such as kernels=3-3-15-15 and dilations=1-1-1-8. Received: "
            f"kernels={shown['kernel_sizes']}, dilations={shown['dilations']}"
        )
    if any(size % 2 == 0 for size in kernels):
        raise ValueError(
            "kernels of the architecture slicenet must be odd, so that as many positions count "
            f"before as after in the encoder. Received: kernels={shown['kernel_sizes']}"
        )
    if any(d_model % count for count in groups):
        raise ValueError(
            f"d_model must be a multiple of all groups of the architecture slicenet, here "
            f"{shown['groups']}, such as 192 for 2-3; groups=1 takes any width. "
            f"Received: d_model={d_model}"
        )
