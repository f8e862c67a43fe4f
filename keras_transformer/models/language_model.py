"""The decoder-only language model, from token ids to logits, of any embedding and stack."""

from typing import NamedTuple

import keras
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.layers.decoding_step import DecodingStep
from keras_transformer.layers.masks import padding_mask
from keras_transformer.models.decoder_model import DecoderModel
from keras_transformer.models.token_model import stack_scores


class Prompt(NamedTuple):
    """The prompts of B texts, as decoding steps use them.

    Attributes:
        blocks: What each block of the decoder keeps of a prompt without its last token; see
            `DecoderStack.prefill`. Empty if all prompts have one token.
        lengths: Integer tensor of shape `(B,)`: number of tokens in `blocks`.
        last: Integer tensor of shape `(B,)`: the last token, which the first step begins with.
    """

    blocks: list
    lengths: object
    last: object


@keras.saving.register_keras_serializable(package="keras_transformer")
class LanguageModel(DecoderModel):
    """A decoder-only model of any embedding and stack, which continues texts.

    It is trained, searched and saved as `EncoderDecoder`. A prompt takes the place of the source:
    it is read in one pass, and all beams share what the decoder keeps of it.

    Args:
        embedding: Layer from token ids, `(B, T)`, to vectors, `(B, T, d_model)`, such as
            `PositionalEmbedding`; its method `logits` is the output layer.
        decoder: `DecoderStack` of blocks without cross-attention, or another layer with the same
            methods.
        pad_id: Integer. The padding id.

    Call arguments:
        inputs: Dict of integer tensors: `"target"` of shape `(B, T)`, starting with BOS (the
            labels, shifted right). Packed rows also have `"target_segments"`, the number of the
            text within its row that each token belongs to, and `"target_positions"`, the position
            of each token in its text.
        training: Boolean. Whether to apply dropout.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Logits of shape `(B, T, V)`, float32. If `return_attention_scores=True`, a tuple of the
        logits and a dict of `"decoder"`, a list of the scores of each block, `(B, H, T, T)`, bottom
        block first; `None` for a block without scores.

    Raises:
        ValueError: When called, if `inputs` lacks `"target"`, or a sequence is longer than the
            number of learned positions.

    Example:

    >>> from keras_transformer import DecoderBlock, PositionalEmbedding
    >>> from keras_transformer.models import DecoderStack
    >>> model = LanguageModel(
    ...     PositionalEmbedding(vocabulary_size=11, d_model=8),
    ...     DecoderStack([DecoderBlock(8, num_heads=2, d_ff=16, cross_attention=False)]),
    ... )
    >>> tuple(model({"target": keras.ops.array([[1, 9, 4]])}).shape)
    (1, 3, 11)
    """

    INPUTS = ("target",)

    @property
    def max_positions(self):
        """Maximum length of a text, prompt included; `None` means any length."""
        return self.embedding.max_positions

    def hidden_and_scores(self, inputs, training, return_attention_scores):
        self.check_inputs(inputs)
        segments, positions = (inputs.get(f"target_{name}") for name in ("segments", "positions"))
        hidden, scores = self.run_decoder(
            inputs["target"], segments, positions, training, return_attention_scores
        )
        if not return_attention_scores:
            return hidden, None
        return hidden, {"decoder": [block and block.get("self") for block in scores]}

    def attention(self, target):
        """Returns the attention scores of all blocks for texts. Dropout is not applied.

        Args:
            target: Integer array of shape `(B, T)`, starting with BOS.

        Returns:
            A dict of one NumPy array, float32, bottom block first: `"decoder"`
            `(B, layers, H, T, T)`.

        Raises:
            ValueError: If a block has no attention scores.
        """
        inputs = {"target": ops.convert_to_tensor(target)}
        _, scores = self(inputs, training=False, return_attention_scores=True)
        return {name: ops.convert_to_numpy(one) for name, one in stack_scores(scores).items()}

    @refused_after_fork
    def encode(self, source):
        """Reads prompts for decoding, in one pass.

        Args:
            source: Integer tensor of shape `(B, P)`, rows starting with BOS, then padding.

        Returns:
            `Prompt`, without blocks if P is 1: then nothing stands before the first step.

        Raises:
            ValueError: If a block cannot read prompts.
        """
        self.build_if_needed()
        real = padding_mask(source, self.pad_id)
        lengths = ops.maximum(ops.sum(ops.cast(real, "int32"), axis=-1) - 1, 0)
        last = ops.take_along_axis(source, lengths[:, None], axis=1)[:, 0]
        if source.shape[1] == 1:
            return Prompt([], lengths, last)
        before = source[:, :-1]
        is_before = ops.arange(ops.shape(before)[1], dtype="int32") < lengths[:, None]
        _, blocks = self.decoder.prefill(self.embedding(before), is_before)
        return Prompt(blocks, lengths, last)

    @refused_after_fork
    def decode_step(
        self,
        tokens,
        cache,
        at: DecodingStep,
        memory: Prompt,
        output_weights=None,
        return_attention_scores=False,
    ):
        """Computes one decoding step: the logits of the next token of each of W beams.

        The positions of `at` count from the last token of the prompt, which is the input of the
        first step, whatever `tokens` holds there.

        Args:
            tokens: Integer tensor of shape `(B, W)`: the tokens of this step.
            cache: The decoder's memory of earlier steps, from `init_cache` or the previous step.
            at: `DecodingStep`: where this step stands after the prompts and in the cache.
            memory: `Prompt`, from `encode`.
            output_weights: `model.target_embedding.output_weights()`, if computed beforehand.
            return_attention_scores: Boolean. Whether to return the attention scores.

        Returns:
            A tuple of the logits, `(B, W, V)`, float32; the attention scores of each block, or
            `None`; and the updated cache.
        """
        self.build_if_needed()
        first_tokens = ops.cast(memory.last[:, None], tokens.dtype)
        tokens = ops.where(at.first[:, None], first_tokens, tokens)
        return self.step_after(memory, tokens, cache, at, output_weights, return_attention_scores)
