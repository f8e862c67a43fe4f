"""A module of a user, to be imported with `--import`: an architecture with options."""

from keras_transformer import Transformer, register_architecture


@register_architecture
def narrow(*, factor=2, rate=0.5, kind="a", deep=False, **sizes):
    """A Transformer whose feed-forward networks have a fraction of the width."""
    sizes["d_ff"] //= factor
    return Transformer(**sizes)
