"""What the sizes of a model do not tell: parts that somebody put in the place of its own."""

from keras_transformer.layers import MultiHeadAttention, PositionalEmbedding
from keras_transformer.layers.feed_forward import FeedForward

OWN = {
    "self_attention": MultiHeadAttention,
    "cross_attention": MultiHeadAttention,
    "feed_forward": FeedForward,
}


def refuse_swapped(model):
    """Raises ValueError if a `Transformer` could not be made again from its sizes.

    A block's attention may be swapped for another. A copy, or the model that is loaded from a file,
    would have the plain one in its place, and other outputs.
    """
    parts = [(PositionalEmbedding, model.source_embedding, "embedding")]
    parts.append((PositionalEmbedding, model.target_embedding, "embedding"))
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        parts += [(own, getattr(block, name, None), name) for name, own in OWN.items()]
    for own, part, name in parts:
        if part is not None and type(part) is not own:
            raise ValueError(
                f"This model has a {type(part).__name__} for {name}, which its sizes do not tell, "
                "so it cannot be copied or saved whole. Make that part in the `__init__` of a "
                "registered subclass of Transformer, or keep its weights alone with `save_weights`."
            )
