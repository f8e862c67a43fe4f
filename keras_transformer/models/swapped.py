"""Detection of sub-layers replaced after construction."""

from keras_transformer.layers import MultiHeadAttention, PositionalEmbedding
from keras_transformer.layers.feed_forward import FeedForward

EXPECTED_LAYERS = {
    "self_attention": MultiHeadAttention,
    "cross_attention": MultiHeadAttention,
    "feed_forward": FeedForward,
}


def refuse_swapped(model):
    """Raises ValueError if a sub-layer of a `Transformer` was replaced after construction.

    The model's config does not describe such a sub-layer: a copy of the model, or the model loaded
    from a file, would have the standard layer in its place, and other outputs.
    """
    found = [("embedding", model.source_embedding, PositionalEmbedding)]
    found.append(("embedding", model.target_embedding, PositionalEmbedding))
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        found += [(name, getattr(block, name, None), cls) for name, cls in EXPECTED_LAYERS.items()]
    for name, layer, expected in found:
        if layer is not None and type(layer) is not expected:
            raise ValueError(
                f"This model has a {type(layer).__name__} as {name}, which its config does not "
                "describe, so it cannot be copied or saved as a whole. Create that layer in the "
                "`__init__` of a registered subclass of Transformer, or save only the weights "
                "with `save_weights`."
            )
