"""The encoder-decoder model, from token ids to logits, of any embeddings and stacks."""

import contextlib
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.keras_patches import is_distributed
from keras_transformer.layers.decoding_step import DecodingStep
from keras_transformer.layers.layer import TracedOutputs
from keras_transformer.layers.masks import AttentionMask, padding_mask
from keras_transformer.layers.parts import TakesParts
from keras_transformer.training.token_trainer import TokenTrainer


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
class EncoderDecoder(TakesParts, TracedOutputs, TokenTrainer):
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
    projects_loss = True  # the product of `hidden` and `output_vectors` is the logits of `call`

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

    def standard_part(self, name):
        return None

    @property
    def max_positions(self):
        """Maximum length of a source or target; `None` means any length."""
        limits = {self.source_embedding.max_positions, self.target_embedding.max_positions}
        return min(limits - {None}, default=None)

    @refused_after_fork
    def build(self, input_shape=None):
        ids, vectors = (None, None), (None, None, self.d_model)
        self.build_part("source_embedding", ids)
        if self.target_embedding is not self.source_embedding:
            self.build_part("target_embedding", ids)
        self.build_part("encoder", vectors)
        self.build_part("decoder", vectors, vectors)
        self.built = True
        if self._overrides_call():
            self._build_added_layers(input_shape if isinstance(input_shape, dict) else {})

    def compute_output_shape(self, inputs_shape):
        target_size = self.target_vocabulary_size or self.vocabulary_size
        return (*inputs_shape["target"], target_size)

    def _build_if_needed(self):
        if not self.built:
            self.build()

    def _build_added_layers(self, shapes):
        """Builds the layers that a subclass adds, by a symbolic call on token ids.

        If the subclass expects other inputs, they are built by its first call instead.
        """
        shapes = {"source": (None, None), "target": (None, None), **shapes}
        inputs = {name: keras.KerasTensor(shape, "int32") for name, shape in shapes.items()}
        with contextlib.suppress(KeyError, TypeError, ValueError):  # other inputs are expected
            self.compute_output_spec(inputs)

    def _overrides_call(self):
        return type(self).call is not EncoderDecoder.call

    def example_batch(self):
        """Returns a batch of arbitrary token ids, from which `fit` builds the model.

        `None`, which lets Keras take a batch of the data instead, for a subclass that overrides
        `call` and may expect other inputs, except in the scope of a `tf.distribute` strategy.
        """
        if self._overrides_call() and not is_distributed(self):
            return None
        ids = np.ones((1, 1), "int32")
        return {"source": ids, "target": ids}, ids

    def id_limits(self):
        """Returns the vocabulary sizes of `"source"`, `"target"` and `"labels"`, as a dict.

        `{}` for a subclass that overrides `call` and may expect other inputs; it defines the method
        to have its ids checked.
        """
        if self._overrides_call():
            return {}
        target = self.target_vocabulary_size or self.vocabulary_size
        return {"source": self.vocabulary_size, "target": target, "labels": target}

    def call(self, inputs, training=None, return_attention_scores=False):
        hidden, scores = self._hidden_and_scores(inputs, training, return_attention_scores)
        logits = self.target_embedding.logits(hidden)
        return (logits, scores) if return_attention_scores else logits

    def hidden(self, inputs, training=None):
        """Returns the decoder's output, the input of the output layer, `(B, T, d_model)`.

        `inputs` and `training` are as in `call`.
        """
        return self._hidden_and_scores(inputs, training, return_attention_scores=False)[0]

    def output_vectors(self):
        """Returns the matrix that projects `hidden` to logits, float32 `(V, d_model)`.

        `None` if the logits are not this product alone; see `PositionalEmbedding.output_vectors`.
        """
        return self.target_embedding.output_vectors()

    def _hidden_and_scores(self, inputs, training, return_attention_scores):
        if not isinstance(inputs, dict) or not {"source", "target"} <= inputs.keys():
            received = list(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                '`inputs` must be a dict of token ids, "source" of shape (B, S) and "target" of '
                f"shape (B, T). Received: {received}"
            )
        source_positions, target_positions = (
            inputs.get(f"{side}_positions") for side in ("source", "target")
        )
        source_mask, target_mask, memory_mask = self._masks(inputs)
        options = {"training": training, "return_attention_scores": return_attention_scores}
        encoder_output, encoder_scores = _pair(
            self.encoder(
                self.source_embedding(inputs["source"], source_positions, training=training),
                attention_mask=source_mask,
                positions=source_positions,
                **options,
            ),
            return_attention_scores,
        )
        hidden, decoder_scores = _pair(
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
        it from them.
        """
        padding = padding_mask(inputs["source"], self.pad_id)
        source, target = (inputs.get(f"{side}_segments") for side in ("source", "target"))
        return (
            AttentionMask(padding, source, source),
            AttentionMask(None, target, target, causal=True),
            AttentionMask(padding, target, source),
        )

    def attention(self, source, target):
        """Returns the attention scores of all blocks for sentences and their translations.

        The functions of `keras_transformer.illustrate` display them. Dropout is not applied. Row
        `t` of the decoder's scores belongs to the position whose input is `target[:, t]`.

        Args:
            source: Integer array of shape `(B, S)`, ending with EOS.
            target: Integer array of shape `(B, T)`, starting with BOS.

        Returns:
            A dict of NumPy arrays, float32, bottom block first: `"encoder"`
            `(B, layers, H, S, S)`, `"decoder"` `(B, layers, H, T, T)` and `"cross"`
            `(B, layers, H, T, S)`.

        Raises:
            ValueError: If a block has no attention scores.
        """
        inputs = {"source": ops.convert_to_tensor(source), "target": ops.convert_to_tensor(target)}
        _, scores = self(inputs, training=False, return_attention_scores=True)
        for name, blocks in scores.items():
            check_scores(name, blocks)
        return {
            name: np.stack([ops.convert_to_numpy(block) for block in blocks], axis=1)
            for name, blocks in scores.items()
        }

    @refused_after_fork
    def encode(self, source):
        """Encodes source sentences for decoding.

        Args:
            source: Integer tensor of shape `(B, S)`.

        Returns:
            `Memory`.
        """
        self._build_if_needed()
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
        self._build_if_needed()
        hidden = self.decoder(
            self.target_embedding(target), memory.encoder_output, memory_mask=memory.mask
        )
        return self.target_embedding.logits(hidden)

    @refused_after_fork
    def init_cache(self, batch_size, num_beams, length):
        """Returns an empty memory of the decoder for `length` places of `num_beams` beams each."""
        self._build_if_needed()
        return self.decoder.init_cache(batch_size, num_beams, length)

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
        self._build_if_needed()
        hidden, scores, cache = self.decoder.step(
            self.target_embedding(tokens, at.positions[:, None]),
            cache,
            at,
            memory.blocks,
            memory.mask,
            return_attention_scores=return_attention_scores,
        )
        return self.target_embedding.logits(hidden, output_weights), scores, cache

    def export(self, filepath, *args, input_signature=None, **kwargs):
        """Exports `call`, from ids to logits, as `keras.Model.export`.

        A program that translates strings is written by `keras_transformer.export`.

        Args:
            filepath: As in `keras.Model.export`.
            *args: As in `keras.Model.export`.
            input_signature: As in `keras.Model.export`. `None` means int32 ids, `"source"` and
                `"target"` of any shape `(B, S)` and `(B, T)`.
            **kwargs: As in `keras.Model.export`.
        """
        if input_signature is None:
            ids = {
                name: keras.InputSpec(dtype="int32", shape=(None, None), name=name)
                for name in ("source", "target")
            }
            input_signature = [ids]
        if not self.built:
            self.build()
        return super().export(filepath, *args, input_signature=input_signature, **kwargs)

    def get_config(self):
        config = super().get_config()
        if self.target_embedding is self.source_embedding:
            config["target_embedding"] = None
        return {**config, "pad_id": self.pad_id}


def check_scores(name, blocks):
    """Raises a ValueError if a block has no attention scores, `None` in a list of scores."""
    for number, scores in enumerate(blocks):
        if scores is None:
            raise ValueError(
                f"Attention scores need attention in every block. Received: a model whose {name} "
                f"has none in block {number}"
            )


def _pair(outputs, return_attention_scores):
    """Returns the outputs of a stack, and its scores or `None`."""
    return outputs if return_attention_scores else (outputs, None)
