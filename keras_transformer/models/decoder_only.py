"""The decoder-only translator: source and target are one sequence, of which it predicts all."""

from typing import NamedTuple

import keras
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.layers.decoding_step import DecodingStep
from keras_transformer.layers.masks import padding_mask
from keras_transformer.models.decoder_model import DecoderModel
from keras_transformer.models.joint_sequence import join_pairs, joint_positions, next_tokens
from keras_transformer.models.token_model import stack_scores


class SourcePrompt(NamedTuple):
    """The sources of B sentences, as decoding steps use them.

    Attributes:
        blocks: What each block of the decoder keeps of a source; see `DecoderStack.prefill`.
        lengths: Integer tensor of shape `(B,)`: number of tokens of each source.
    """

    blocks: list
    lengths: object


@keras.saving.register_keras_serializable(package="keras_transformer")
class DecoderOnly(DecoderModel):
    """A translator without an encoder: a language model of source and target in one sequence.

    The T-D of [Liu et al., 2018](https://arxiv.org/abs/1801.10198), section 4.2.3. It takes the
    place of an `EncoderDecoder`: inputs, training, search and files are the same. The target stands
    right behind its source; EOS of the source and BOS of the target are the separator.

    Training minimizes the loss of all tokens, those of the source too, divided by their number.
    BOS is not predicted, nor is the first token of a source, before which nothing stands. Metrics,
    and the loss of `evaluate`, are of the target alone, as in Tensor2Tensor. Weights of tokens
    apply to the target; those of sentences apply to the source, too.

    For translation, the source is read in one pass, and all beams share what the decoder keeps of
    it.

    Args:
        embedding: Layer from token ids, `(B, T)`, to vectors, `(B, T, d_model)`, such as
            `PositionalEmbedding`; its method `logits` is the output layer.
        decoder: `DecoderStack` of blocks without cross-attention, or another layer with the same
            methods.
        pad_id: Integer. The padding id.
        source_weight: Float. Weight of the tokens of the source in training; those of the target
            have 1. 0 trains on the target alone.

    Call arguments:
        inputs: Dict of integer tensors: `"source"` of shape `(B, S)`, ending with EOS, then
            padding; `"target"` of shape `(B, T)`, starting with BOS. Packed rows as in
            `EncoderDecoder`.
        training: Boolean. Whether to apply dropout.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Logits of the target, shape `(B, T, V)`, float32. If `return_attention_scores=True`, a tuple
        of the logits and a dict of lists as that of `EncoderDecoder`: `"encoder"` has the scores of
        source positions, `"decoder"` those of the target for itself, and `"cross"` those of the
        target for the source; the last two are parts of the same rows, which add up to 1. Scores of
        groups of tokens (`MemoryCompressedAttention`) are divided among their tokens.

    Raises:
        ValueError: If `source_weight` is negative; when called, if `inputs` lacks `"source"` or
            `"target"`, or both together are longer than the number of learned positions; when
            compiled, if the loss provides no `sums`, or a subclass overrides `call` or
            `compute_loss`.

    Example:

    >>> sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16}
    >>> model = DecoderOnly.from_sizes(vocabulary_size=11, **sizes)
    >>> source, target = keras.ops.array([[4, 7, 2]]), keras.ops.array([[1, 9]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 2, 11)
    """

    INPUTS = ("source", "target")

    def __init__(self, embedding, decoder, pad_id=0, source_weight=1.0, **kwargs):
        super().__init__(embedding, decoder, pad_id, **kwargs)
        if not source_weight >= 0:
            raise ValueError(f"`source_weight` must be at least 0. Received: {source_weight}")
        self.source_weight = source_weight

    @classmethod
    def from_sizes(
        cls,
        vocabulary_size,
        *,
        max_length=1024,
        num_decoder_layers=None,
        target_vocabulary_size=None,
        source_weight=1.0,
        **sizes,
    ):
        """Returns a decoder-only translator of the paper's blocks, without cross-attention.

        Args:
            vocabulary_size: Integer. Size V of the vocabulary of both languages.
            max_length: Integer. Number of learned positions of each side; there are twice as many.
            num_decoder_layers: `None`, since all blocks are the decoder's; their number is
                `num_layers`.
            target_vocabulary_size: `None`, since both languages share a vocabulary.
            source_weight: As in the constructor.
            **sizes: Other arguments of `LanguageModel.from_sizes`, by name.

        Raises:
            ValueError: If an argument is invalid.

        Example:

        >>> from keras_transformer.models import PRESETS
        >>> DecoderOnly.from_sizes(vocabulary_size=8000, **PRESETS["tiny"]).d_model
        128
        """
        if target_vocabulary_size is not None:
            raise ValueError(
                "A DecoderOnly reads source and target as one sequence, with one vocabulary: use a "
                "shared tokenizer and leave out `target_vocabulary_size`. Received: "
                f"target_vocabulary_size={target_vocabulary_size}"
            )
        if num_decoder_layers not in (None, sizes.get("num_layers")):
            raise ValueError(
                "A DecoderOnly has no encoder, and `num_layers` blocks: leave out "
                f"`num_decoder_layers`. Received: num_decoder_layers={num_decoder_layers}"
            )
        sizes |= {"max_length": 2 * max_length, "source_weight": source_weight}
        return super().from_sizes(vocabulary_size, **sizes)

    @property
    def max_positions(self):
        """Maximum length of a source or target, half of what both may have; `None` means any."""
        positions = self.embedding.max_positions
        return None if positions is None else positions // 2

    def hidden_and_scores(self, inputs, training, return_attention_scores):
        joint = self._join(inputs)
        hidden, scores = self._joint_hidden(inputs, joint, training, return_attention_scores)
        if not return_attention_scores:
            return joint.of_target(hidden), None
        own = self._scores_of_tokens(scores, joint.arrange(*self._positions(inputs)))
        parts = [(None,) * 3 if one is None else joint.scores(one) for one in own]
        names = ("encoder", "decoder", "cross")
        by_name = {name: [one[number] for one in parts] for number, name in enumerate(names)}
        return joint.of_target(hidden), by_name

    def _scores_of_tokens(self, scores, positions):
        """Returns the scores of each block, those of groups of tokens divided among them."""
        own = []
        for block, block_scores in zip(self.decoder.blocks, scores, strict=True):
            of_block = block_scores and block_scores.get("self")
            attention = getattr(block, "self_attention", None)
            if of_block is not None and hasattr(attention, "scores_of_tokens"):
                of_block = attention.scores_of_tokens(of_block, positions)
            own.append(of_block)
        return own

    def _join(self, inputs):
        """Returns how source and target make one sequence."""
        self.check_inputs(inputs)
        segments = _segments(inputs)
        target_real = ops.ones(ops.shape(inputs["target"]), "bool")
        if segments is not None:
            target_real = segments[1] > 0
        return join_pairs(padding_mask(inputs["source"], self.pad_id), target_real, segments)

    def _joint_hidden(self, inputs, joint, training, return_attention_scores):
        """Returns the output of the decoder for all places, `(B, S + T, d_model)`, and scores."""
        segments = positions = None
        if _segments(inputs) is not None:
            segments = joint.arrange(*_segments(inputs))
        # With positions, all layers have a key per token, as their scores are cut.
        if return_attention_scores or "source_positions" in inputs:
            positions = joint.arrange(*self._positions(inputs))
        tokens = joint.arrange(*(inputs[name] for name in self.INPUTS))
        return self.run_decoder(tokens, segments, positions, training, return_attention_scores)

    def _positions(self, inputs):
        """Returns the positions of source and target in their pairs."""
        given = []
        for name in self.INPUTS:
            own = ops.arange(ops.shape(inputs[name])[1], dtype="int32")[None]
            given.append(inputs.get(f"{name}_positions", own))
        real = padding_mask(inputs["source"], self.pad_id)
        return joint_positions(real, *given, _segments(inputs))

    def batch_sums(self, x, y, sample_weight, training):
        """Returns the sums of the loss, in training of source and target, and updates metrics."""
        if not training:
            return super().batch_sums(x, y, sample_weight, training)
        self.build_if_needed()
        joint = self._join(x)
        labels, weights, is_target = self._joint_labels(x, y, sample_weight, joint)
        hidden, _ = self._joint_hidden(x, joint, True, False)
        if sample_weight is None and self.can_project():
            hidden = ops.cast(hidden, "float32")
            projection = hidden, self.output_vectors()
            *sums, statistics = self.loss.projected_sums(labels, *projection, weights)
            for metric in self.token_metrics():
                metric.update_from_statistics(labels, statistics, is_target)
            return tuple(sums)
        logits = self.embedding.logits(hidden)
        self.compute_metrics(x, y, joint.of_target(logits), sample_weight)
        return self.loss.sums(labels, logits, weights)

    def _joint_labels(self, x, y, sample_weight, joint):
        """Returns labels, their weights, and which are of the target, `(B, S + T)` each."""
        source, segments = x["source"], _segments(x)
        real = padding_mask(source, self.pad_id)
        following = next_tokens(source, real, segments, self.loss.pad_id)
        is_source = ops.zeros(ops.shape(source))
        source_weight = ops.full(ops.shape(source), float(self.source_weight))
        weight = ops.ones(ops.shape(y))
        is_target = joint.arrange(is_source, weight)
        if sample_weight is not None:
            given = ops.cast(sample_weight, "float32")
            if len(given.shape) == 1:
                given = given[:, None]
            if given.shape[1] == 1:
                source_weight = source_weight * given
            weight = weight * given
        return joint.arrange(following, y), joint.arrange(source_weight, weight), is_target

    def check_compiled(self):
        super().check_compiled()
        if self.loss is not None and (not self.uses_sums() or self.overrides_call()):
            raise ValueError(
                "A DecoderOnly learns to predict its source too, with a loss that provides `sums`, "
                "such as TokenCrossEntropy, without `loss_weights`, and with the logits of its own "
                f"`call`. Received: {type(self).__name__} with loss={self.loss!r}"
            )

    def attention(self, source, target):
        """Returns the attention scores of all blocks for sentences and their translations.

        Dropout is not applied.

        Args:
            source: Integer array of shape `(B, S)`, ending with EOS.
            target: Integer array of shape `(B, T)`, starting with BOS.

        Returns:
            A dict of NumPy arrays as that of `EncoderDecoder.attention`; see `DecoderOnly` for what
            they mean.

        Raises:
            ValueError: If a block has no attention scores.
        """
        inputs = {"source": ops.convert_to_tensor(source), "target": ops.convert_to_tensor(target)}
        _, scores = self(inputs, training=False, return_attention_scores=True)
        return {name: ops.convert_to_numpy(one) for name, one in stack_scores(scores).items()}

    @refused_after_fork
    def encode(self, source):
        """Reads sources for decoding, in one pass.

        Args:
            source: Integer tensor of shape `(B, S)`, rows ending with EOS, then padding.

        Returns:
            `SourcePrompt`.

        Raises:
            ValueError: If a block cannot read prompts.
        """
        self.build_if_needed()
        real = padding_mask(source, self.pad_id)
        _, blocks = self.decoder.prefill(self.embedding(source), real)
        return SourcePrompt(blocks, ops.sum(ops.cast(real, "int32"), axis=-1))

    @refused_after_fork
    def decode_step(
        self,
        tokens,
        cache,
        at: DecodingStep,
        memory: SourcePrompt,
        output_weights=None,
        return_attention_scores=False,
    ):
        """Computes one decoding step: the logits of the next token of each of W beams.

        Args:
            tokens: Integer tensor of shape `(B, W)`: the tokens of this step.
            cache: The decoder's memory of earlier steps, from `init_cache` or the previous step.
            at: `DecodingStep`: where this step stands in the targets and in the cache.
            memory: `SourcePrompt`, from `encode`.
            output_weights: `model.target_embedding.output_weights()`, if computed beforehand.
            return_attention_scores: Boolean. Whether to return the attention scores.

        Returns:
            A tuple of the logits, `(B, W, V)`, float32; the attention scores of each block, or
            `None`; and the updated cache.
        """
        self.build_if_needed()
        return self.step_after(memory, tokens, cache, at, output_weights, return_attention_scores)

    def get_config(self):
        return {**super().get_config(), "source_weight": self.source_weight}


def _segments(inputs):
    """Returns the segments of source and target of packed rows, or `None`."""
    if "source_segments" not in inputs:
        return None
    return inputs["source_segments"], inputs["target_segments"]
