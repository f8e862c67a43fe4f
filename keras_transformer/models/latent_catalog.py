"""The architecture `latent`: a Latent Transformer of equal sizes."""

from keras_transformer.layers import (
    DecomposedVectorQuantizer,
    PositionalEmbedding,
    SemanticHashing,
    SequenceCompressor,
    SequenceExpander,
)
from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.catalog import transformer
from keras_transformer.models.decoder import Decoder
from keras_transformer.models.latent_transformer import FIRST, LatentTransformer
from keras_transformer.models.transformer import STACK_SIZES

BOTTLENECKS = ("hashing", "quantizer")


@register_architecture
def latent(
    *,
    bottleneck="quantizer",
    bits=8,
    num_slices=2,
    mode="slice",
    decay=0.999,
    halvings=3,
    startup_steps=1000,
    latent_layers=0,
    **sizes,
):
    """Returns a `LatentTransformer`, which translates all words at once.

    From [Kaiser et al., 2018](https://arxiv.org/abs/1803.03382). Encoder, decoder and latent
    decoder are those of a `Transformer` of these sizes. With `norm="pre"` it learns much faster.

    Args:
        bottleneck: `"hashing"` (`SemanticHashing`) or `"quantizer"` (`DecomposedVectorQuantizer`).
        bits: Integer. Of a code: there are 2 to the power of `bits`; 14 in the paper.
        num_slices: Integer, a divisor of `bits` and of `d_model`. Of the quantizer.
        mode: `"slice"` or `"project"`, of the quantizer.
        decay: Float. Of the quantizer: what its codebooks keep of the averages that they follow, at
            each step; trainings of few thousand steps may need less.
        halvings: Integer c: a latent stands for 2^c words.
        startup_steps: Integer. Number of training steps with words beside the latents.
        latent_layers: Integer. Number of blocks of the latent decoder; 0 means `num_layers`.
        **sizes: Arguments of `Transformer`.

    Raises:
        ValueError: If an option is invalid.
    """
    if bottleneck not in BOTTLENECKS:
        raise ValueError(
            f"bottleneck of the architecture latent must be one of {', '.join(BOTTLENECKS)}. "
            f"Received: {bottleneck}"
        )
    if bottleneck == "quantizer" and (num_slices < 1 or bits % num_slices):
        raise ValueError(
            "bits of the architecture latent must be a multiple of num_slices. Received: "
            f"bits={bits}, num_slices={num_slices}"
        )
    model = transformer(**sizes)
    dtype = {"dtype": sizes.get("dtype")}
    D, rate = model.d_model, model.dropout_rate
    if bottleneck == "hashing":
        middle = SemanticHashing(D, bits, **dtype, name="bottleneck")
    else:
        codes = 2 ** (bits // num_slices)
        middle = DecomposedVectorQuantizer(
            D, codes, num_slices, mode, decay, **dtype, name="bottleneck"
        )
    of_blocks = {name: getattr(model, name) for name in STACK_SIZES}
    of_blocks["num_layers"] = latent_layers or len(model.decoder.blocks)
    return LatentTransformer(
        model.source_embedding,
        None if model.target_vocabulary_size is None else model.target_embedding,
        PositionalEmbedding(
            middle.num_codes + FIRST, D, dropout_rate=rate, **dtype, name="latent_embedding"
        ),
        model.encoder,
        SequenceCompressor(D, halvings, **dtype, name="compressor"),
        middle,
        SequenceExpander(D, halvings, **dtype, name="expander"),
        Decoder(**of_blocks, **dtype, name="latent_decoder"),
        model.decoder,
        model.pad_id,
        startup_steps,
        **dtype,
    )
