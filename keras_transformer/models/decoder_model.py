"""The parts of models that have an embedding and a decoder, and nothing else."""

from keras_transformer.models.token_model import TokenModel


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

    def get_config(self):
        return {**super().get_config(), "pad_id": self.pad_id}
