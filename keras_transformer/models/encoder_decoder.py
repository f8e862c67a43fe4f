"""The encoder-decoder model, from token ids to logits, of any embeddings and stacks."""

from typing import NamedTuple

import keras
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.layers.decoding_step import DecodingStep
from keras_transformer.layers.masks import AttentionMask, padding_mask
from keras_transformer.models.token_model import TokenModel, outputs_and_scores, stack_scores


class Memory(NamedTuple):
    """An encoded source, as decoding steps use it.

    Attributes:
        encoder_output: Tensor of shape `(B, S, d_model)`.
        mask: Boolean tensor of shape `(B, S)`: the padding mask of the source.
        blocks: What each block of the decoder keeps of the encoder output; see
            `DecoderStack.project_memory`.
    """

    encoder_output: object
    mask: object
    blocks: list


@keras.saving.register_keras_serializable(package="keras_transformer")
class EncoderDecoder(TokenModel):
    """An encoder-decoder model of any embeddings and stacks.

    `Transformer` is the model of this kind that is described by its sizes.

    Args:
        source_embedding: Layer from token ids, `(B, S)`, to vectors, `(B, S, d_model)`, such as
            `PositionalEmbedding`.
        target_embedding: The same for the target; its method `logits` is the output layer. `None`
            means `source_embedding`, for a shared vocabulary.
        encoder: `EncoderStack`, or another layer that is called in the same way.
        decoder: `DecoderStack`, or another layer with the same methods.
        pad_id: Integer. The padding id, which is never attended to.

    Call arguments:
        inputs: Dict of integer tensors: `"source"` of shape `(B, S)`, ending with EOS;
            `"target"` of shape `(B, T)`, starting with BOS (the labels, shifted right). Packed
            rows also have `"source_segments"` and `"target_segments"`, the number of the sentence
            pair within its row that each token belongs to, and `"source_positions"` and
            `"target_positions"`, the position of each token in its sentence.
        training: Boolean. Whether to apply dropout.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Logits of shape `(B, T, V)`, float32. If `return_attention_scores=True`, a tuple of the
        logits and a dict of lists with an element per block, bottom block first: `"encoder"`
        `(B, H, S, S)`, `"decoder"` `(B, H, T, T)` and `"cross"` `(B, H, T, S)`; `None` for a block
        without such scores.

    Raises:
        ValueError: When called, if `inputs` lacks `"source"` or `"target"`, or a sequence is
            longer than the number of learned positions.

    Example:

    >>> from keras_transformer import DecoderBlock, EncoderBlock, PositionalEmbedding
    >>> from keras_transformer.models import DecoderStack, EncoderStack
    >>> model = EncoderDecoder(
    ...     PositionalEmbedding(vocabulary_size=11, d_model=8),
    ...     None,
    ...     EncoderStack([EncoderBlock(d_model=8, num_heads=2, d_ff=16)]),
    ...     DecoderStack([DecoderBlock(d_model=8, num_heads=4, d_ff=12)]),
    ... )
    >>> source, target = keras.ops.array([[4, 7, 2]]), keras.ops.array([[1, 9]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 2, 11)
    """

    PARTS = ("source_embedding", "target_embedding", "encoder", "decoder")
    INPUTS = ("source", "target")

    def __init__(self, source_embedding, target_embedding, encoder, decoder, pad_id=0, **kwargs):
        super().__init__(**kwargs)
        self.source_embedding = source_embedding
        self.target_embedding = source_embedding if target_embedding is None else target_embedding
        self.encoder = encoder
        self.decoder = decoder
        self.pad_id = pad_id
        self.d_model = self.target_embedding.d_model
        self.vocabulary_size = self.source_embedding.vocabulary_size
        self.target_vocabulary_size = None
        if self.target_embedding is not self.source_embedding:
            self.target_vocabulary_size = self.target_embedding.vocabulary_size

    @property
    def max_positions(self):
        """Maximum length of a source or target; `None` means any length."""
        limits = {self.source_embedding.max_positions, self.target_embedding.max_positions}
        return min(limits - {None}, default=None)

    def build_parts(self):
        ids, vectors = (None, None), (None, None, self.d_model)
        self.build_part("source_embedding", ids)
        if self.target_embedding is not self.source_embedding:
            self.build_part("target_embedding", ids)
        self.build_part("encoder", vectors)
        self.build_part("decoder", vectors, vectors)

    def hidden_and_scores(self, inputs, training, return_attention_scores):
        self.check_inputs(inputs)
        source_positions, target_positions = (
            inputs.get(f"{side}_positions") for side in ("source", "target")
        )
        source_mask, target_mask, memory_mask = self._masks(inputs)
        options = {"training": training, "return_attention_scores": return_attention_scores}
        encoder_output, encoder_scores = outputs_and_scores(
            self.encoder(
                self.source_embedding(inputs["source"], source_positions, training=training),
                attention_mask=source_mask,
                positions=source_positions,
                **options,
            ),
            return_attention_scores,
        )
        hidden, decoder_scores = outputs_and_scores(
            self.decoder(
                self.target_embedding(inputs["target"], target_positions, training=training),
                encoder_output,
                attention_mask=target_mask,
                memory_mask=memory_mask,
                positions=target_positions,
                **options,
            ),
            return_attention_scores,
        )
        if not return_attention_scores:
            return hidden, None
        return hidden, {
            "encoder": encoder_scores,
            "decoder": [scores and scores.get("self") for scores in decoder_scores],
            "cross": [scores and scores.get("cross") for scores in decoder_scores],
        }

    def _masks(self, inputs):
        """Returns the attention masks of all blocks: encoder, decoder and cross-attention.

        The target needs no padding mask: padding follows all real tokens, so the causal mask hides
        it from them. Layers that count tokens are told which are real.
        """
        padding = padding_mask(inputs["source"], self.pad_id)
        source, target = (inputs.get(f"{side}_segments") for side in ("source", "target"))
        return (
            AttentionMask(padding, source, source),
            AttentionMask(
                None,
                target,
                target,
                causal=True,
                query_padding=padding_mask(inputs["target"], self.pad_id),
            ),
            AttentionMask(padding, target, source),
        )

    def attention(self, source, target):
        """Returns the attention scores of all blocks for sentences and their translations.

        The functions of `keras_transformer.illustrate` display them. Dropout is not applied. Blocks
        without cross-attention are left out, and so is self-attention if no block has any: its
        array has no layers. Row
        `t` of the decoder's scores belongs to the position whose input is `target[:, t]`.

        Args:
            source: Integer array of shape `(B, S)`, ending with EOS.
            target: Integer array of shape `(B, T)`, starting with BOS.

        Returns:
            A dict of NumPy arrays, float32, bottom block first: `"encoder"`
            `(B, layers, H, S, S)`, `"decoder"` `(B, layers, H, T, T)` and `"cross"`
            `(B, layers, H, T, S)`.

        Raises:
            ValueError: If no block has cross-attention, or some have self-attention and others do
                not.
        """
        inputs = {"source": ops.convert_to_tensor(source), "target": ops.convert_to_tensor(target)}
        _, scores = self(inputs, training=False, return_attention_scores=True)
        return {name: ops.convert_to_numpy(one) for name, one in stack_scores(scores).items()}

    @refused_after_fork
    def encode(self, source):
        """Encodes source sentences for decoding.

        Args:
            source: Integer tensor of shape `(B, S)`.

        Returns:
            `Memory`.
        """
        self.build_if_needed()
        padding = padding_mask(source, self.pad_id)
        encoder_output = self.encoder(
            self.source_embedding(source), attention_mask=AttentionMask(padding)
        )
        return Memory(encoder_output, padding, self.decoder.project_memory(encoder_output))

    @refused_after_fork
    def decode(self, target, memory):
        """Returns the logits of the next token at every position of a given target.

        Args:
            target: Integer tensor of shape `(B, T)`, starting with BOS.
            memory: `Memory`, from `encode`.

        Returns:
            Tensor of shape `(B, T, V)`, float32.
        """
        self.build_if_needed()
        hidden = self.decoder(
            self.target_embedding(target), memory.encoder_output, memory_mask=memory.mask
        )
        return self.target_embedding.logits(hidden)

    @refused_after_fork
    def decode_step(
        self,
        tokens,
        cache,
        at: DecodingStep,
        memory: Memory,
        output_weights=None,
        return_attention_scores=False,
    ):
        """Computes one decoding step: the logits of the next token of each of W beams.

        Args:
            tokens: Integer tensor of shape `(B, W)`: the tokens of this step.
            cache: The decoder's memory of earlier steps, from `init_cache` or the previous step.
            at: `DecodingStep`: where this step stands in the sentences and in the cache.
            memory: `Memory`, from `encode`.
            output_weights: `model.target_embedding.output_weights()`, if computed beforehand.
            return_attention_scores: Boolean. Whether to return the attention scores.

        Returns:
            A tuple of the logits, `(B, W, V)`, float32; the attention scores of each block, or
            `None`; and the updated cache.
        """
        self.build_if_needed()
        hidden, scores, cache = self.decoder.step(
            self.target_embedding(tokens, at.positions[:, None]),
            cache,
            at,
            memory.blocks,
            memory.mask,
            return_attention_scores=return_attention_scores,
        )
        return self.target_embedding.logits(hidden, output_weights), scores, cache

    def get_config(self):
        config = super().get_config()
        if self.target_embedding is self.source_embedding:
            config["target_embedding"] = None
        return {**config, "pad_id": self.pad_id}
