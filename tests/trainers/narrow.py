"""A module of a user, to be imported with `--import`: architectures of his own."""

from keras_transformer import FeedForward, Transformer, register_architecture


@register_architecture
def narrow(*, factor=2, rate=0.5, kind="a", deep=False, **sizes):
    """A Transformer whose feed-forward networks have a fraction of the width."""
    sizes["d_ff"] //= factor
    return Transformer(**sizes)


class Unregistered(FeedForward):
    """A layer that Keras could not find again."""


@register_architecture
def unregistered(**sizes):
    """A Transformer that can be trained, but not saved."""
    model = Transformer(**sizes)
    for block in model.encoder.blocks:
        block.feed_forward = Unregistered(model.d_model, model.d_ff)
    return model
