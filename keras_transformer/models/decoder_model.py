"""The parts of models that have an embedding and a decoder, and nothing else."""

from keras import ops

from keras_transformer.layers.masks import AttentionMask
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
                attention_mask=AttentionMask(None, segments, segments, causal=True),
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
            prompt=memory.blocks,
        )
        return self.embedding.logits(hidden, output_weights), scores, cache

    def get_config(self):
        return {**super().get_config(), "pad_id": self.pad_id}
