"""The parts of models that have an embedding and a decoder, and nothing else."""

import keras
from keras import ops

from keras_transformer.layers import DecoderBlock, PositionalEmbedding
from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.layers.masks import AttentionMask, padding_mask
from keras_transformer.models.decoder_stack import DecoderStack
from keras_transformer.models.token_model import TokenModel, outputs_and_scores


class DecoderModel(TokenModel):
    """Base class of `LanguageModel` and `DecoderOnly`, whose arguments it takes."""

    PARTS = ("embedding", "decoder")

    def __init__(self, embedding, decoder, pad_id=0, **kwargs):
        super().__init__(**kwargs)
        self.embedding = embedding
        self.decoder = decoder
        self.pad_id = pad_id
        self.d_model = embedding.d_model
        self.vocabulary_size = embedding.vocabulary_size
        self.target_vocabulary_size = None

    @classmethod
    def from_sizes(
        cls,
        vocabulary_size,
        num_layers=6,
        d_model=512,
        num_heads=8,
        d_ff=2048,
        dropout_rate=0.1,
        norm="post",
        positions="paper",
        max_length=1024,
        attention_dropout_rate=0.0,
        feed_forward_dropout_rate=0.0,
        **kwargs,
    ):
        """Returns a model of the paper's blocks, without their cross-attention.

        Args:
            vocabulary_size: Integer. Vocabulary size V.
            num_layers: Integer. Number of blocks.
            d_model: Integer. Width of every position, a multiple of `num_heads`.
            num_heads: Integer. Number of attention heads of each block.
            d_ff: Integer. Width of the hidden layer of the feed-forward networks.
            dropout_rate: Float. Fraction of sub-layer outputs and embeddings to drop in training.
            norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
            positions: `"paper"`, `"t2t"`, `"learned"` or `None`; see `PositionalEmbedding`.
            max_length: Integer. Number of learned positions.
            attention_dropout_rate: Float. Fraction of the attention scores to drop in training.
            feed_forward_dropout_rate: Float. Fraction of the feed-forward networks' hidden layers
                to drop in training.
            **kwargs: Other arguments of the class, such as `pad_id` and `dtype`.

        Raises:
            ValueError: If an argument is invalid.

        Example:

        >>> from keras_transformer.models import PRESETS, LanguageModel
        >>> LanguageModel.from_sizes(vocabulary_size=8000, **PRESETS["tiny"]).d_model
        128
        """
        dtype = keras.dtype_policies.get(kwargs.get("dtype"))
        embedding = PositionalEmbedding(
            vocabulary_size, d_model, positions, dropout_rate, max_length, dtype=dtype
        )
        blocks = [
            DecoderBlock(
                d_model,
                num_heads,
                d_ff,
                dropout_rate,
                norm,
                cross_attention=False,
                attention_dropout_rate=attention_dropout_rate,
                feed_forward_dropout_rate=feed_forward_dropout_rate,
                dtype=dtype,
            )
            for _ in range(num_layers)
        ]
        final = None
        if norm == "pre":
            final = keras.layers.LayerNormalization(epsilon=EPSILON, dtype=dtype)
        return cls(embedding, DecoderStack(blocks, final, dtype=dtype), **kwargs)

    @property
    def target_embedding(self):
        """The embedding, by the name that it has in `EncoderDecoder`."""
        return self.embedding

    def build_parts(self):
        self.build_part("embedding", (None, None))
        self.build_part("decoder", (None, None, self.d_model))

    def run_decoder(self, ids, segments, positions, training, return_attention_scores):
        """Returns the output of the decoder for whole rows, `(B, T, d_model)`, and its scores."""
        return outputs_and_scores(
            self.decoder(
                self.embedding(ids, positions, training=training),
                attention_mask=AttentionMask(
                    None,
                    segments,
                    segments,
                    causal=True,
                    query_padding=padding_mask(ids, self.pad_id),
                ),
                positions=positions,
                training=training,
                return_attention_scores=return_attention_scores,
            ),
            return_attention_scores,
        )

    def step_after(self, memory, tokens, cache, at, output_weights, return_attention_scores):
        """Computes a decoding step after what `encode` has read, whose `lengths` it adds."""
        at = at._replace(positions=ops.cast(at.positions, "int32") + memory.lengths)
        hidden, scores, cache = self.decoder.step(
            self.embedding(tokens, at.positions[:, None]),
            cache,
            at,
            return_attention_scores=return_attention_scores,
            prompt=memory.blocks or None,
        )
        return self.embedding.logits(hidden, output_weights), scores, cache

    def get_config(self):
        return {**super().get_config(), "pad_id": self.pad_id}
