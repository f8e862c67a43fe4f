"""The Transformer: two stacks between embeddings, ids in, logits out."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_transformer.keras_patches import is_distributed
from keras_transformer.layers import PositionalEmbedding, causal_mask, padding_mask, segment_mask
from keras_transformer.layers.add_and_norm import EPSILON
from keras_transformer.models.decoder import Decoder
from keras_transformer.models.encoder import Encoder
from keras_transformer.models.presets import PRESETS
from keras_transformer.models.swapped import refuse_swapped
from keras_transformer.training.token_trainer import TokenTrainer


@keras.saving.register_keras_serializable(package="keras_transformer")
class Transformer(TokenTrainer):
    """The encoder-decoder of *Attention Is All You Need*.

    Figure 1 in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). One table of vectors
    serves source, target and output (section 3.4), unless the target has a vocabulary of its own
    (`target_vocabulary_size`); then there are two.

    Args:
        vocabulary_size: Integer. Number of ids, V (of the source, if there are two).
        num_layers: Integer. Blocks of the encoder, and of the decoder unless told otherwise.
        d_model: Integer. Width of every position, a multiple of `num_heads`.
        num_heads: Integer. Attention heads in each block.
        d_ff: Integer. Width of the feed-forward networks' hidden layer.
        dropout_rate: Float. Share of sub-layer outputs and embeddings dropped in training.
        num_decoder_layers: Integer. Blocks of the decoder; `None` means `num_layers`.
        target_vocabulary_size: Integer. `None` shares one vocabulary.
        norm: `"post"` (the paper's) or `"pre"`; see `AddAndNorm`.
        positions: `"paper"`, `"t2t"`, `"learned"` or `None`; see `PositionalEmbedding`.
        max_length: Integer. Rows of learned position tables.
        pad_id: Integer. The id that fills rows up and is never seen.
        activation: Name or function of the feed-forward networks' non-linearity.
        use_bias: Boolean. Whether the attentions' projections and the logits add a bias.
        epsilon: Float. What the normalisations add to the variance.

    Call arguments:
        inputs: Dict of integer tensors: `"source"` of shape `(B, S)`, ending with EOS;
            `"target"` of shape `(B, T)`, starting with BOS (the labels, shifted right). Packed
            rows also have `"source_segments"`, `"target_segments"` (which pair of its row each
            token belongs to) and `"source_positions"`, `"target_positions"`.
        training: Boolean. Nothing is dropped outside training.
        return_attention_scores: Boolean. Whether to return the scores too.

    Returns:
        Logits of shape `(B, T, V)`, float32; with `return_attention_scores`, a tuple with a
        dict of lists over the blocks from the bottom up: `"encoder"` `(B, H, S, S)`,
        `"decoder"` `(B, H, T, T)` and `"cross"` `(B, H, T, S)`.

    Raises:
        ValueError: An argument makes no sense; or, when called, `inputs` lacks a side, or rows are
            longer than there are learned positions.

    Example:

    >>> model = Transformer(
    ...     vocabulary_size=11, num_layers=2, d_model=8, num_heads=2, d_ff=16
    ... )
    >>> source, target = keras.ops.array([[4, 7, 2]]), keras.ops.array([[1, 9]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 2, 11)
    """

    projects_loss = True  # `hidden` and `output_vectors` give the same logits as `call`

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
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.num_layers = num_layers
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_ff = d_ff
        self.dropout_rate = dropout_rate
        self.num_decoder_layers = num_decoder_layers
        self.target_vocabulary_size = target_vocabulary_size
        self.norm = norm
        self.positions = positions
        self.max_length = max_length
        self.pad_id = pad_id
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.epsilon = epsilon

        dtype = self.dtype_policy

        def embedding(size, name, use_bias):
            return PositionalEmbedding(
                size, d_model, positions, dropout_rate, max_length, use_bias, dtype=dtype, name=name
            )

        sizes = (d_model, num_heads, d_ff, dropout_rate, norm, activation, use_bias, epsilon)
        decoder_layers = num_layers if num_decoder_layers is None else num_decoder_layers
        shared = target_vocabulary_size is None
        self.source_embedding = embedding(vocabulary_size, "source_embedding", use_bias and shared)
        self.target_embedding = self.source_embedding
        if not shared:
            self.target_embedding = embedding(target_vocabulary_size, "target_embedding", use_bias)
        self.encoder = Encoder(num_layers, *sizes, dtype=dtype, name="encoder")
        self.decoder = Decoder(decoder_layers, *sizes, dtype=dtype, name="decoder")

    @classmethod
    def from_preset(cls, name, vocabulary_size, **changes):
        """A model of a known size: `"base"` and `"big"` (the paper's) or `"tiny"`.

        Args:
            name: String, a key of `keras_transformer.models.PRESETS`.
            vocabulary_size: Integer.
            **changes: Any other argument of the constructor, to differ from the preset.

        Returns:
            A `Transformer`.

        Raises:
            ValueError: There is no such preset, or an argument makes no sense.

        Example:

        >>> Transformer.from_preset("tiny", vocabulary_size=8000, norm="pre").d_model
        128
        """
        if name not in PRESETS:
            known = ", ".join(sorted(PRESETS))
            raise ValueError(f"No preset has this name; there are: {known}. Received: {name!r}")
        return cls(vocabulary_size, **{**PRESETS[name], **changes})

    def build(self, input_shape=None):
        ids, vectors = (None, None), (None, None, self.d_model)
        for part, shapes in (
            (self.source_embedding, [ids]),
            (self.target_embedding, [ids]),
            (self.encoder, [vectors]),
            (self.decoder, [vectors, vectors]),
        ):
            if not part.built:  # the same embedding twice, or built by `encode` or `decode`
                part.build(*shapes)
        self.built = True
        if self._is_called_in_its_own_way():
            self._build_more(input_shape if isinstance(input_shape, dict) else {})

    def _build_more(self, shapes):
        """Builds what a subclass has besides, by a call on ids; else its first call will."""
        shapes = {"source": (None, None), "target": (None, None), **shapes}
        inputs = {name: keras.KerasTensor(shape, "int32") for name, shape in shapes.items()}
        with contextlib.suppress(KeyError, TypeError, ValueError):  # it wants others than these
            self.compute_output_spec(inputs)

    def _is_called_in_its_own_way(self):
        return type(self).call is not Transformer.call

    def example_batch(self):
        """Any ids, unless a subclass with its own `call` may want other inputs."""
        if self._is_called_in_its_own_way() and not is_distributed(self):
            return None
        ids = np.ones((1, 1), "int32")
        return {"source": ids, "target": ids}, ids

    def call(self, inputs, training=None, return_attention_scores=False):
        hidden, scores = self._hidden(inputs, training)
        logits = self.target_embedding.logits(hidden)
        return (logits, scores) if return_attention_scores else logits

    def hidden(self, inputs, training=None):
        """What the decoder gives to the output layer: as `call`, but `(B, T, d_model)`."""
        return self._hidden(inputs, training)[0]

    def output_vectors(self):
        """What `hidden` is multiplied with to be logits, float32 `(V, d_model)`.

        `None` where logits are more than that product: with a bias, or quantised.
        """
        return self.target_embedding.output_vectors()

    def _hidden(self, inputs, training):
        if not isinstance(inputs, dict) or not {"source", "target"} <= inputs.keys():
            received = list(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                '`inputs` must be a dict of ids, "source" of shape (B, S) and "target" (B, T). '
                f"Received: {received}"
            )
        source, target = inputs["source"], inputs["target"]
        encoder_mask, attention_mask, cross_mask = self._masks(inputs)
        encoder_output, encoder_scores = self.encoder(
            self.source_embedding(source, inputs.get("source_positions"), training=training),
            encoder_mask,
            return_attention_scores=True,
            training=training,
        )
        hidden, decoder_scores = self.decoder(
            self.target_embedding(target, inputs.get("target_positions"), training=training),
            encoder_output,
            attention_mask,
            cross_mask,
            return_attention_scores=True,
            training=training,
        )
        return hidden, {
            "encoder": encoder_scores,
            "decoder": [scores["self"] for scores in decoder_scores],
            "cross": [scores["cross"] for scores in decoder_scores],
        }

    def _masks(self, inputs):
        """Who may see whom, once for all blocks: in the encoder, in the decoder, across.

        Padding of the target needs no mask: it stands after all real tokens, which the causal
        mask keeps from seeing it.
        """
        encoder_mask = padding_mask(inputs["source"], self.pad_id)
        attention_mask = causal_mask(ops.shape(inputs["target"])[1])
        if "source_segments" not in inputs:
            return encoder_mask, attention_mask, encoder_mask
        source, target = inputs["source_segments"], inputs["target_segments"]
        real = encoder_mask[:, None, :]
        return (
            ops.logical_and(segment_mask(source, source), real),
            ops.logical_and(segment_mask(target, target), attention_mask),
            ops.logical_and(segment_mask(target, source), real),
        )

    def attention(self, source, target):
        """All attention scores of sentences and their translations, as arrays.

        What the views of `keras_transformer.illustrate` show. Nothing is dropped, and row `t` of
        the decoder's scores is that of the position that reads `target[:, t]`.

        Args:
            source: Integer array of shape `(B, S)`, ending with EOS.
            target: Integer array of shape `(B, T)`, starting with BOS.

        Returns:
            A dict of NumPy arrays, float32, blocks from the bottom up: `"encoder"`
            `(B, layers, H, S, S)`, `"decoder"` `(B, layers, H, T, T)` and `"cross"`
            `(B, layers, H, T, S)`.
        """
        inputs = {"source": ops.convert_to_tensor(source), "target": ops.convert_to_tensor(target)}
        _, scores = self(inputs, training=False, return_attention_scores=True)
        return {
            name: np.stack([ops.convert_to_numpy(block) for block in blocks], axis=1)
            for name, blocks in scores.items()
        }

    def encode(self, source):
        """The source as the decoder sees it.

        Args:
            source: Integer tensor of shape `(B, S)`.

        Returns:
            The encoder's output `(B, S, d_model)` and the mask of its real tokens `(B, S)`.
        """
        mask = padding_mask(source, self.pad_id)
        return self.encoder(self.source_embedding(source), mask), mask

    def decode(self, target, encoder_output, memory_mask=None):
        """Logits of every next token of a target that is known: `(B, T)` to `(B, T, V)`."""
        hidden = self.decoder(
            self.target_embedding(target), encoder_output, memory_mask=memory_mask
        )
        return self.target_embedding.logits(hidden)

    def decode_step(
        self,
        tokens,
        index,
        ancestry,
        cache,
        memory,
        memory_mask=None,
        positions=None,
        output_weights=None,
    ):
        """Logits of the next token, one step of W beams at a time.

        What a beam leaves at step `index` lies at place `index * W + slot` of the cache, where
        `slot` is the one it stands in then (`ancestry`): nothing moves when beams cross.

        Args:
            tokens: Integer tensor of shape `(B, W)`: the tokens of this step.
            index: Integer scalar tensor: which step, counted from 0.
            ancestry: Boolean tensor of shape `(B, W, L, W)`: whether each beam stood in each slot
                at steps 0 to `index`. For a single beam, which steps there were.
            cache: `model.decoder.init_cache(B, L * W)`, or what the last step gave.
            memory: `model.decoder.project_memory(encoder_output)`.
            memory_mask: Boolean tensor of shape `(B, S)`.
            positions: Integer tensor of shape `(B,)`: where in its sentence each token stands;
                `None` means `index`.
            output_weights: `model.target_embedding.output_weights()`, if made beforehand.

        Returns:
            Logits `(B, W, V)`, float32; the blocks' attention scores; the cache for the next step.
        """
        index = ops.cast(index, "int32")
        positions = ops.reshape(index, (1,)) if positions is None else positions
        W = tokens.shape[1]
        x = self.target_embedding(tokens, positions[:, None])
        seen = ops.reshape(ancestry, (*tokens.shape, -1))  # (B, W, L * W)
        hidden, scores, cache = self.decoder.step(x, index * W, cache, seen, memory, memory_mask)
        return self.target_embedding.logits(hidden, output_weights), scores, cache

    def get_config(self):
        if type(self) is Transformer:
            refuse_swapped(self)
        return {
            **super().get_config(),
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
            "pad_id": self.pad_id,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
        }
