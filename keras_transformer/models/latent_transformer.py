"""The Latent Transformer: all words at once, from latents that are predicted one by one."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.layers.dropout import next_seed, random_bits
from keras_transformer.layers.masks import AttentionMask, causal_mask, padding_mask
from keras_transformer.layers.position_encoders import sinusoids
from keras_transformer.layers.sequence_compression import compressed_mask
from keras_transformer.models.encoder_decoder import Memory
from keras_transformer.models.token_model import TokenModel, outputs_and_scores

PAD, BOS, END, FIRST = range(4)  # ids of latents: codes count from FIRST


class Autoencoded(NamedTuple):
    """Targets as latents.

    Attributes:
        vectors: Tensor of shape `(B, M, d_model)`: what the bottleneck lets through.
        latents: Integer tensor of shape `(B, M)`: ids of latents, then padding.
    """

    vectors: object
    latents: object


@keras.saving.register_keras_serializable(package="keras_transformer")
class LatentTransformer(TokenModel):
    """A translator that predicts a few latents one after the other, then all words at once.

    [Kaiser et al., 2018](https://arxiv.org/abs/1803.03382). In training, the target is compressed,
    2^c positions into one, and passes through a bottleneck of discrete codes. From them and the
    source, a decoder without a causal mask finds all words of the target. Another decoder learns to
    predict the codes from the source, and where they end. To translate, the search is for codes;
    each hypothesis then becomes words in a single pass.

    At the beginning of training, words before each position are seen, too, some of them at random,
    fewer and fewer until `startup_steps`; until then the decoder has a causal mask.

    Args:
        source_embedding: Layer as that of `EncoderDecoder`.
        target_embedding: The same for the target; `None` means `source_embedding`.
        latent_embedding: `PositionalEmbedding` of the bottleneck's codes and three more ids.
        encoder: As in `EncoderDecoder`.
        compressor: `SequenceCompressor`.
        bottleneck: `SemanticHashing`, `VectorQuantizer` or `DecomposedVectorQuantizer`.
        expander: `SequenceExpander`, with as many doublings as the compressor has halvings.
        latent_decoder: `DecoderStack`, which predicts latents.
        decoder: `DecoderStack`, which finds the words.
        pad_id: Integer. The padding id.
        startup_steps: Integer. Number of training steps with words beside the latents;
            micro-batches count one by one.
        latent_weight: Float. Factor on the loss of the latents.
        seed: Integer or `None`. Seed of the choice of words at the beginning of training.

    Call arguments:
        inputs: Dict as that of `EncoderDecoder`, without packed rows.
        training: Boolean. Whether to apply dropout.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Logits of the words of shape `(B, T, V)`, given the latents of the target itself; see
        `EncoderDecoder`.

    Raises:
        ValueError: If the parts do not fit each other; when called, as `EncoderDecoder`, and if
            rows are packed.

    Example:

    >>> from keras_transformer.models import create_model
    >>> sizes = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16}
    >>> model = create_model("latent", {"bits": 4}, vocabulary_size=11, **sizes)
    >>> source, target = keras.ops.array([[4, 7, 2]]), keras.ops.array([[1, 9, 8]])
    >>> tuple(model({"source": source, "target": target}).shape), model.words_per_latent
    ((1, 3, 11), 8)
    """

    PARTS = (
        "source_embedding",
        "target_embedding",
        "latent_embedding",
        "encoder",
        "compressor",
        "bottleneck",
        "expander",
        "latent_decoder",
        "decoder",
    )
    INPUTS = ("source", "target")

    def __init__(
        self,
        source_embedding,
        target_embedding,
        latent_embedding,
        encoder,
        compressor,
        bottleneck,
        expander,
        latent_decoder,
        decoder,
        pad_id=0,
        startup_steps=0,
        latent_weight=1.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if latent_embedding.vocabulary_size != bottleneck.num_codes + FIRST:
            raise ValueError(
                f"`latent_embedding` needs {FIRST} ids more than the bottleneck has codes, "
                f"{bottleneck.num_codes + FIRST}. Received: {latent_embedding.vocabulary_size}"
            )
        if compressor.halvings != expander.doublings:
            raise ValueError(
                "The expander must double as often as the compressor halves. Received: "
                f"halvings={compressor.halvings}, doublings={expander.doublings}"
            )
        self.source_embedding = source_embedding
        self.target_embedding = source_embedding if target_embedding is None else target_embedding
        self.latent_embedding = latent_embedding
        self.encoder = encoder
        self.compressor = compressor
        self.bottleneck = bottleneck
        self.expander = expander
        self.latent_decoder = latent_decoder
        self.decoder = decoder
        self.pad_id = pad_id
        self.startup_steps = startup_steps
        self.latent_weight = latent_weight
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.latent_accuracy = keras.metrics.Mean(name="latent_accuracy")
        self.d_model = self.target_embedding.d_model
        self.vocabulary_size = self.source_embedding.vocabulary_size
        self.target_vocabulary_size = None
        if self.target_embedding is not self.source_embedding:
            self.target_vocabulary_size = self.target_embedding.vocabulary_size

    @property
    def words_per_latent(self):
        """Number of words that a latent stands for: 2^c."""
        return 2**self.compressor.halvings

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
        self.build_part("latent_embedding", ids)
        for name in ("encoder", "compressor", "bottleneck", "expander"):
            self.build_part(name, vectors)
        self.build_part("latent_decoder", vectors, vectors)
        self.build_part("decoder", vectors, vectors)
        self.steps_seen = self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            trainable=False,
            aggregation="only_first_replica",
            name="steps_seen",
        )

    def check_inputs(self, inputs):
        super().check_inputs(inputs)
        if "target_segments" in inputs:
            raise ValueError(
                "A LatentTransformer takes one sentence pair a row. Received: packed rows. Train "
                "it on batches without `target_segments`."
            )

    def hidden_and_scores(self, inputs, training, return_attention_scores):
        self.check_inputs(inputs)
        memory, mask, encoder_scores = self._encode(
            inputs["source"], training, return_attention_scores
        )
        found = self._autoencode(inputs["target"], training)
        hidden, scores = self._find_words(
            found.vectors,
            ops.not_equal(found.latents, PAD),
            memory,
            mask,
            inputs["target"],
            training,
            return_attention_scores,
        )
        hidden = hidden[:, : ops.shape(inputs["target"])[1]]
        if not return_attention_scores:
            return hidden, None
        return hidden, {
            "encoder": encoder_scores,
            "decoder": [one and one.get("self") for one in scores],
            "cross": [one and one.get("cross") for one in scores],
        }

    def _encode(self, source, training=False, return_attention_scores=False):
        """Returns the encoder output, the padding mask of the source, and scores or `None`."""
        mask = padding_mask(source, self.pad_id)
        outputs = self.encoder(
            self.source_embedding(source, training=training),
            attention_mask=AttentionMask(mask),
            training=training,
            return_attention_scores=return_attention_scores,
        )
        encoder_output, scores = outputs_and_scores(outputs, return_attention_scores)
        return encoder_output, mask, scores

    def _autoencode(self, target, training):
        """Returns `Autoencoded` targets; their BOS stands for their EOS, which they lack."""
        real = padding_mask(target, self.pad_id)
        compressed = self.compressor(
            self.target_embedding(target, training=training), attention_mask=real
        )
        left = compressed_mask(real, self.compressor.halvings)
        # Codes first: in training, codebooks move as vectors pass.
        codes = ops.cast(self.bottleneck.codes(ops.stop_gradient(compressed)), "int32")
        vectors = self.bottleneck(compressed, attention_mask=left, training=training)
        return Autoencoded(vectors, ops.where(left, codes + FIRST, PAD))

    def _find_words(self, vectors, real, memory, mask, target, training, return_scores=False):
        """Returns the decoder's output for the words of latents, `(B, 2^c M, d_model)`, and scores.

        Args:
            vectors: Tensor of shape `(B, M, d_model)`.
            real: Boolean tensor of shape `(B, M)`: which latents are real.
            memory: The encoder output.
            mask: The padding mask of the source.
            target: Integer tensor of shape `(B, T)`: the words seen at the beginning of training.
            training: Boolean.
            return_scores: Boolean.
        """
        x = ops.cast(self.expander(vectors, attention_mask=real), "float32")
        length = ops.shape(x)[1]
        x = x + sinusoids(ops.arange(length, dtype="int32"), self.d_model)
        x = ops.cast(x, self.compute_dtype)
        real = ops.repeat(real, self.words_per_latent, axis=1)
        own_mask = AttentionMask(real)
        if training and self.startup_steps:
            share = ops.maximum(1 - self.steps_seen / self.startup_steps, 0.0)
            x = x + self._some_words(target, length, share, training)
            visible = ops.logical_or(causal_mask(length), ops.equal(share, 0.0))
            own_mask = ops.logical_and(visible, real[:, None, :])
            self.steps_seen.assign_add(1.0)
        outputs = self.decoder(
            x,
            memory,
            attention_mask=own_mask,
            memory_mask=AttentionMask(mask),
            training=training,
            return_attention_scores=return_scores,
        )
        return outputs_and_scores(outputs, return_scores)

    def _some_words(self, target, length, share, training):
        """Returns a share of the embedded words before each position, 0 for the others."""
        words = self.target_embedding(target, training=training)
        B, T, _ = ops.shape(words)
        bits = random_bits((B, T), next_seed(self.seed_generator))
        chosen = ops.cast(ops.right_shift(bits, np.uint32(8)), "float32") / 2**24 < share
        words = words * ops.cast(chosen[:, :, None], words.dtype)
        return ops.pad(words, ((0, 0), (0, length - T), (0, 0)))

    def latent_logits(self, latents, memory, mask, training=False):
        """Returns the logits of each latent and of the one after the last, `(B, M + 1, codes + 3)`.

        Args:
            latents: Integer tensor of shape `(B, M)`: ids of latents, then padding.
            memory: The encoder output.
            mask: The padding mask of the source.
            training: Boolean. Whether to apply dropout.
        """
        ids = ops.pad(latents, ((0, 0), (1, 0)), constant_values=BOS)
        hidden = self.latent_decoder(
            self.latent_embedding(ids, training=training),
            memory,
            memory_mask=AttentionMask(mask),
            training=training,
        )
        return self.latent_embedding.logits(hidden)

    def batch_sums(self, x, y, sample_weight, training):
        self.build_if_needed()
        self.check_inputs(x)
        memory, mask, _ = self._encode(x["source"], training)
        found = self._autoencode(x["target"], training)
        real = ops.not_equal(found.latents, PAD)
        hidden, _ = self._find_words(found.vectors, real, memory, mask, x["target"], training)
        logits = self.target_embedding.logits(hidden[:, : ops.shape(y)[1]])
        self.compute_metrics(x, y, logits, sample_weight)
        total, count = self.loss.sums(y, logits, sample_weight)
        weight = 1.0 if sample_weight is None else _of_rows(sample_weight)
        return total + self._latent_sum(found.latents, memory, mask, training, weight), count

    def _latent_sum(self, latents, memory, mask, training, weight=1.0):
        """Returns the summed loss of all latents and their ends, and updates the metric.

        `weight` is a number, or a tensor of shape `(B, 1)`.
        """
        logits = self.latent_logits(latents, memory, mask, training)
        labels = _with_end(latents)
        real = ops.cast(ops.not_equal(labels, PAD), "float32")
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        hits = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)
        self.latent_accuracy.update_state(ops.cast(hits, "float32"), sample_weight=real)
        return self.latent_weight * ops.sum(losses * real * weight)

    def latent_log_probs(self, inputs):
        """Returns the log-probabilities of the latents of targets, where their words begin.

        Args:
            inputs: Dict as that of a call. BOS stands for the EOS of a target, which it lacks.

        Returns:
            Float32 tensor of shape `(B, T)`: at the first word of each latent its log-probability,
            given the source and the latents before it; that of their end is added at the last word.
        """
        memory, mask, _ = self._encode(inputs["source"])
        latents = self._autoencode(inputs["target"], False).latents
        logits = ops.cast(self.latent_logits(latents, memory, mask), "float32")
        labels = _with_end(latents)
        chosen = ops.take_along_axis(ops.log_softmax(logits), labels[..., None], axis=-1)[..., 0]
        T = ops.shape(inputs["target"])[1]
        places = ops.arange(T, dtype="int32")
        at_end = ops.sum(ops.where(ops.equal(labels, END), chosen, 0.0), axis=-1, keepdims=True)
        chosen = ops.where(labels >= FIRST, chosen, 0.0)[:, :-1]
        begins = ops.equal(places % self.words_per_latent, 0)
        spread = ops.where(begins, ops.repeat(chosen, self.words_per_latent, axis=1)[:, :T], 0.0)
        real = ops.cast(padding_mask(inputs["target"], self.pad_id), "int32")
        last = ops.equal(places, ops.sum(real, axis=-1, keepdims=True) - 1)
        return spread + ops.where(last, at_end, 0.0)

    def check_compiled(self):
        super().check_compiled()
        if self.loss is not None and not self.uses_sums():
            raise ValueError(
                "A LatentTransformer learns its latents beside the words, with a loss that "
                "provides `sums`, such as TokenCrossEntropy, without `loss_weights`. Received: "
                f"loss={self.loss!r}"
            )

    @refused_after_fork
    def encode(self, source):
        """Encodes sources, for the search for latents.

        Args:
            source: Integer tensor of shape `(B, S)`.

        Returns:
            `Memory`, whose `blocks` are those of the latent decoder.
        """
        self.build_if_needed()
        encoder_output, mask, _ = self._encode(source)
        return Memory(encoder_output, mask, self.latent_decoder.project_memory(encoder_output))

    @refused_after_fork
    def init_cache(self, batch_size, num_beams, length):
        """Returns an empty memory of the latent decoder for `length` places of each beam."""
        self.build_if_needed()
        return self.latent_decoder.init_cache(batch_size, num_beams, length)

    @refused_after_fork
    def decode_step(self, tokens, cache, at, memory, output_weights=None):
        """Computes a step of the search for latents: the logits of the next one of each beam.

        The arguments and results are those of `EncoderDecoder.decode_step`.
        """
        self.build_if_needed()
        hidden, scores, cache = self.latent_decoder.step(
            self.latent_embedding(tokens, at.positions[:, None]),
            cache,
            at,
            memory.blocks,
            memory.mask,
        )
        return self.latent_embedding.logits(hidden, output_weights), scores, cache

    @refused_after_fork
    def words(self, latents, memory):
        """Returns the words that latents stand for, found in one pass.

        Args:
            latents: Integer tensor of shape `(B, N, L)`: N hypotheses of each sentence, ids of
                latents, END and padding.
            memory: `Memory`, from `encode`.

        Returns:
            Integer tensor of shape `(B, N, 2^c L)`, the most probable word at each position;
            padding behind the last latent's.
        """
        self.build_if_needed()
        B, N, L = ops.shape(latents)
        latents = ops.reshape(latents, (B * N, L))
        real = ops.greater_equal(latents, FIRST)
        vectors = self.bottleneck.embed(ops.maximum(latents - FIRST, 0))
        sources = (ops.repeat(part, N, axis=0) for part in (memory.encoder_output, memory.mask))
        hidden, _ = self._find_words(vectors, real, *sources, None, False)
        logits = self.target_embedding.logits(hidden)
        is_pad = ops.equal(ops.arange(ops.shape(logits)[-1]), self.pad_id)
        ids = ops.argmax(ops.where(is_pad, float("-inf"), logits), axis=-1)
        ids = ops.cast(ids, "int32")
        ids = ops.where(ops.repeat(real, self.words_per_latent, axis=1), ids, self.pad_id)
        return ops.reshape(ids, (B, N, L * self.words_per_latent))

    def get_config(self):
        config = super().get_config()
        if self.target_embedding is self.source_embedding:
            config["target_embedding"] = None
        return {
            **config,
            "pad_id": self.pad_id,
            "startup_steps": self.startup_steps,
            "latent_weight": self.latent_weight,
            "seed": self.seed,
        }


def _of_rows(sample_weight):
    """Returns the weight of each row, `(B, 1)`: the mean of those of its words, if they differ."""
    weights = ops.cast(sample_weight, "float32")
    return ops.mean(ops.reshape(weights, (ops.shape(weights)[0], -1)), axis=-1, keepdims=True)


def _with_end(latents):
    """Returns latents, `(B, M + 1)`, with the end behind the last one of each row that has some."""
    count = ops.sum(ops.cast(ops.not_equal(latents, PAD), "int32"), axis=-1)[:, None]
    longer = ops.pad(latents, ((0, 0), (0, 1)))
    at_end = ops.equal(ops.arange(ops.shape(longer)[1], dtype="int32")[None], count)
    return ops.where(ops.logical_and(at_end, count > 0), END, longer)
