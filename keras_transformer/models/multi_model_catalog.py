"""The architecture `multimodel`: the body, the experts and the nets of a `MultiModel`."""

from keras_transformer.layers import (
    FeedForwardBlock,
    ImageModality,
    MixtureOfExperts,
    TextModality,
)
from keras_transformer.models.architectures import register_architecture
from keras_transformer.models.catalog import put_experts, transformer
from keras_transformer.models.multi_model import MultiModel
from keras_transformer.models.slicenet import slicenet

FIRST_COMMAND = 4  # the tags of a trained `Tokenizer` follow its special ids
BODIES = ("convolutions", "attention")


@register_architecture
def multimodel(
    *,
    body="convolutions",
    num_experts=4,
    k=2,
    balance_weight=0.01,
    num_commands=0,
    num_classes=0,
    image_size=8,
    image_channels=1,
    image_weight=1.0,
    **sizes,
):
    """Returns a `MultiModel`, one body for several tasks.

    From [Kaiser et al., 2017](https://arxiv.org/abs/1706.05137). The body of the paper,
    `convolutions`, is that of `slicenet`, with a mixture of experts in the middle of encoder and
    decoder. With `attention` it is that of a `Transformer`, with experts for the feed-forward
    network of the middle block of encoder and decoder.

    Args:
        body: `"convolutions"` or `"attention"`.
        num_experts: Integer. Number of experts of each mixture; 0 means none.
        k: Integer. Number of experts of each token.
        balance_weight: Float. What the losses that keep all experts busy are multiplied by.
        num_commands: Integer. Number of commands: the ids from 4, which `Tokenizer.train` gives to
            its tags.
        num_classes: Integer. Number of classes of images; 0 means no net of images.
        image_size: Integer. Height and width of the images.
        image_channels: Integer. 1 or 3, for instance.
        image_weight: Float. How many tokens an image counts as much as.
        **sizes: Arguments of `Transformer`; with `convolutions`, those that `slicenet` takes.

    Raises:
        ValueError: If an option or a size is invalid.
    """
    if body not in BODIES:
        raise ValueError(
            f"body of the architecture multimodel must be one of {', '.join(BODIES)}. Received: "
            f"{body}"
        )
    if sizes.get("target_vocabulary_size") is not None:
        raise ValueError(
            "The architecture multimodel has one net for all texts, so source and target share "
            "a vocabulary. Received: target_vocabulary_size="
            f"{sizes['target_vocabulary_size']} (of a recipe: shared_vocabulary: false)"
        )
    mixture = {"num_experts": num_experts, "k": k, "balance_weight": balance_weight}
    if body == "attention":
        model = transformer(**sizes)
        for stack in (model.encoder, model.decoder) if num_experts else ():
            put_experts(stack.blocks[len(stack.blocks) // 2], **mixture)
    else:
        model = slicenet(groups="1", kernels="3-3-15-15", dilations="1-1-1-8", **sizes)
        for stack in (model.encoder, model.decoder) if num_experts else ():
            sizes_of_experts = {"d_model": model.d_model, "d_ff": sizes.get("d_ff", 2048)}
            block = _experts_block(**sizes_of_experts, dtype=sizes.get("dtype"), **mixture)
            middle = -(-len(stack.blocks) // 2)
            stack.blocks = [*stack.blocks[:middle], block, *stack.blocks[middle:]]
    commands = range(FIRST_COMMAND, FIRST_COMMAND + num_commands)
    image = None
    if num_classes:
        shape = (image_size, image_size, image_channels)
        image = ImageModality(
            shape, num_classes, model.d_model, dtype=sizes.get("dtype"), name="image"
        )
    text = TextModality(**model.source_embedding.get_config(), commands=commands)
    return MultiModel(
        text,
        model.encoder,
        model.decoder,
        image,
        image_weight,
        model.pad_id,
        dtype=sizes.get("dtype"),
    )


def _experts_block(d_model, dtype, **sizes):
    experts = MixtureOfExperts(d_model, **sizes, dtype=dtype)
    return FeedForwardBlock(d_model, experts, dtype=dtype, name="experts")
