"""The encoder-decoder Transformer of the paper."""

import keras

from keras_transformer.layers import PositionalEmbedding
from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.layers.parts import deserialize_part
from keras_transformer.models.decoder import Decoder
from keras_transformer.models.encoder import Encoder
from keras_transformer.models.encoder_decoder import EncoderDecoder
from keras_transformer.models.presets import PRESETS

STACK_SIZES = ("num_layers", "d_model", "num_heads", "d_ff", "dropout_rate", "norm")
STACK_SIZES += ("activation", "use_bias", "epsilon")
STACK_SIZES += ("attention_dropout_rate", "feed_forward_dropout_rate")
EMBEDDING_SIZES = ("d_model", "positions", "dropout_rate", "max_length")


@keras.saving.register_keras_serializable(package="keras_transformer")
class Transformer(EncoderDecoder):
    """The encoder-decoder of *Attention Is All You Need*.

    Figure 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). Source embedding, target
    embedding and output layer share their weights (section 3.4). With `target_vocabulary_size`,
    the source has an embedding of its own, and only target embedding and output layer share
    weights.

    Args:
        vocabulary_size: Integer. Vocabulary size V; with `target_vocabulary_size`, that of the
            source.
        num_layers: Integer. Number of encoder blocks, and of decoder blocks unless
            `num_decoder_layers` is given.
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. Number of attention heads of each block.
        d_ff: Integer. Width of the hidden layer of the feed-forward networks.
        dropout_rate: Float. Fraction of sub-layer outputs and embeddings to drop during training.
        num_decoder_layers: Integer. Number of decoder blocks. `None` means `num_layers`.
        target_vocabulary_size: Integer. Vocabulary size V of the target. `None` means a vocabulary
            shared by source and target.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        positions: `"paper"`, `"t2t"`, `"learned"` or `None`; see `PositionalEmbedding`.
        max_length: Integer. Number of learned positions.
        pad_id: Integer. The padding id, which is never attended to.
        activation: String or callable. Activation of the feed-forward networks.
        use_bias: Boolean. Whether the attention projections and the output layer have biases.
        epsilon: Float. Added to the variance in layer normalization.
        attention_dropout_rate: Float. Fraction of the attention scores to drop during training;
            0 in the paper.
        feed_forward_dropout_rate: Float. Fraction of the feed-forward networks' hidden layer to
            drop during training; 0 in the paper.

    It is called as `EncoderDecoder`.

    Raises:
        ValueError: If an argument is invalid; or, when called, if `inputs` lacks `"source"` or
            `"target"`, or a sequence is longer than the number of learned positions.

    Example:

    >>> model = Transformer(
    ...     vocabulary_size=11, num_layers=2, d_model=8, num_heads=2, d_ff=16
    ... )
    >>> source, target = keras.ops.array([[4, 7, 2]]), keras.ops.array([[1, 9]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 2, 11)
    """

    def __init__(
        self,
        vocabulary_size,
        num_layers=6,
        d_model=512,
        num_heads=8,
        d_ff=2048,
        dropout_rate=0.1,
        num_decoder_layers=None,
        target_vocabulary_size=None,
        norm="post",
        positions="paper",
        max_length=1024,
        pad_id=0,
        activation="relu",
        use_bias=False,
        epsilon=EPSILON,
        *,
        attention_dropout_rate=0.0,
        feed_forward_dropout_rate=0.0,
        **kwargs,
    ):
        dtype = keras.dtype_policies.get(kwargs.get("dtype"))

        def embedding(size, name, use_bias):
            return PositionalEmbedding(
                size, d_model, positions, dropout_rate, max_length, use_bias, dtype=dtype, name=name
            )

        sizes = (d_model, num_heads, d_ff, dropout_rate, norm, activation, use_bias, epsilon)
        rates = {
            "attention_dropout_rate": attention_dropout_rate,
            "feed_forward_dropout_rate": feed_forward_dropout_rate,
        }
        decoder_layers = num_layers if num_decoder_layers is None else num_decoder_layers
        shared = target_vocabulary_size is None
        # In this order: initializers and dropout draw their seeds as they are created.
        source_embedding = embedding(vocabulary_size, "source_embedding", use_bias and shared)
        target_embedding = None
        if not shared:
            target_embedding = embedding(target_vocabulary_size, "target_embedding", use_bias)
        encoder = Encoder(num_layers, *sizes, **rates, dtype=dtype, name="encoder")
        decoder = Decoder(decoder_layers, *sizes, **rates, dtype=dtype, name="decoder")
        super().__init__(source_embedding, target_embedding, encoder, decoder, pad_id, **kwargs)

        self.num_layers = num_layers
        self.num_heads = num_heads
        self.d_ff = d_ff
        self.dropout_rate = dropout_rate
        self.num_decoder_layers = num_decoder_layers
        self.norm = norm
        self.positions = positions
        self.max_length = max_length
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.epsilon = epsilon
        self.attention_dropout_rate = attention_dropout_rate
        self.feed_forward_dropout_rate = feed_forward_dropout_rate

    @classmethod
    def from_preset(cls, name, vocabulary_size, **changes):
        """Creates a model of a named size: `"base"` or `"big"` (the paper's), or `"tiny"`.

        Args:
            name: String. A key of `keras_transformer.models.PRESETS`.
            vocabulary_size: Integer.
            **changes: Other arguments of the constructor, which override the preset.

        Returns:
            A `Transformer`.

        Raises:
            ValueError: If there is no preset of this name, or an argument is invalid.

        Example:

        >>> Transformer.from_preset("tiny", vocabulary_size=8000, norm="pre").d_model
        128
        """
        if name not in PRESETS:
            known = ", ".join(sorted(PRESETS))
            raise ValueError(f"`name` must be a preset, one of {known}. Received: {name!r}")
        return cls(vocabulary_size, **{**PRESETS[name], **changes})

    def standard_part(self, name):
        if name in ("encoder", "decoder"):
            sizes = {size: getattr(self, size) for size in STACK_SIZES}
            if name == "decoder" and self.num_decoder_layers is not None:
                sizes["num_layers"] = self.num_decoder_layers
            return (Encoder if name == "encoder" else Decoder), sizes
        shared = self.target_vocabulary_size is None
        is_target = name == "target_embedding" and not shared
        sizes = {size: getattr(self, size) for size in EMBEDDING_SIZES}
        sizes["vocabulary_size"] = (
            self.target_vocabulary_size if is_target else self.vocabulary_size
        )
        sizes["use_bias"] = self.use_bias and (shared or is_target)
        return PositionalEmbedding, sizes

    def get_config(self):
        config = super().get_config()
        parts = {name: config.pop(name) for name in self.PARTS}
        foreign = {name: part for name, part in parts.items() if part is not None}
        is_shared = self.target_embedding is self.source_embedding
        if is_shared and ("source_embedding" in foreign or self.target_vocabulary_size is not None):
            foreign["target_embedding"] = None  # the source's
        return {
            **config,
            "vocabulary_size": self.vocabulary_size,
            "num_layers": self.num_layers,
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "d_ff": self.d_ff,
            "dropout_rate": self.dropout_rate,
            "num_decoder_layers": self.num_decoder_layers,
            "target_vocabulary_size": self.target_vocabulary_size,
            "norm": self.norm,
            "positions": self.positions,
            "max_length": self.max_length,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
            "attention_dropout_rate": self.attention_dropout_rate,
            "feed_forward_dropout_rate": self.feed_forward_dropout_rate,
            **foreign,
        }

    @classmethod
    def from_config(cls, config):
        model = super().from_config({k: v for k, v in config.items() if k not in cls.PARTS})
        for name in cls.PARTS:
            if name in config:
                part = deserialize_part(config[name])
                setattr(model, name, model.source_embedding if part is None else part)
        return model
