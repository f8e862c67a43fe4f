"""The encoder-decoder Transformer, from token ids to logits."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_transformer.forking import refused_after_fork
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
        `(B, H, S, S)`, `"decoder"` `(B, H, T, T)` and `"cross"` `(B, H, T, S)`.

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

    projects_loss = True  # the product of `hidden` and `output_vectors` is the logits of `call`

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

    @refused_after_fork
    def build(self, input_shape=None):
        ids, vectors = (None, None), (None, None, self.d_model)
        for layer, shapes in (
            (self.source_embedding, [ids]),
            (self.target_embedding, [ids]),
            (self.encoder, [vectors]),
            (self.decoder, [vectors, vectors]),
        ):
            if not layer.built:  # a shared embedding, or built already by `encode` or `decode`
                layer.build(*shapes)
        self.built = True
        if self._overrides_call():
            self._build_added_layers(input_shape if isinstance(input_shape, dict) else {})

    def _build_added_layers(self, shapes):
        """Builds the layers that a subclass adds, by a symbolic call on token ids.

        If the subclass expects other inputs, they are built by its first call instead.
        """
        shapes = {"source": (None, None), "target": (None, None), **shapes}
        inputs = {name: keras.KerasTensor(shape, "int32") for name, shape in shapes.items()}
        with contextlib.suppress(KeyError, TypeError, ValueError):  # other inputs are expected
            self.compute_output_spec(inputs)

    def _overrides_call(self):
        return type(self).call is not Transformer.call

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
        hidden, scores = self._hidden_and_scores(inputs, training)
        logits = self.target_embedding.logits(hidden)
        return (logits, scores) if return_attention_scores else logits

    def hidden(self, inputs, training=None):
        """Returns the decoder's output, the input of the output layer, `(B, T, d_model)`.

        `inputs` and `training` are as in `call`.
        """
        return self._hidden_and_scores(inputs, training)[0]

    def output_vectors(self):
        """Returns the matrix that projects `hidden` to logits, float32 `(V, d_model)`.

        `None` if the logits are not this product alone; see `PositionalEmbedding.output_vectors`.
        """
        return self.target_embedding.output_vectors()

    def _hidden_and_scores(self, inputs, training):
        if not isinstance(inputs, dict) or not {"source", "target"} <= inputs.keys():
            received = list(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                '`inputs` must be a dict of token ids, "source" of shape (B, S) and "target" of '
                f"shape (B, T). Received: {received}"
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
        """Returns the attention masks of all blocks: encoder, decoder and cross-attention.

        The target needs no padding mask: padding follows all real tokens, so the causal mask hides
        it from them.
        """
        encoder_mask = padding_mask(inputs["source"], self.pad_id)
        attention_mask = causal_mask(ops.shape(inputs["target"])[1])
        if "source_segments" not in inputs:
            return encoder_mask, attention_mask, encoder_mask
        source, target = inputs["source_segments"], inputs["target_segments"]
        source_mask = encoder_mask[:, None, :]  # (B, 1, S)
        return (
            ops.logical_and(segment_mask(source, source), source_mask),
            ops.logical_and(segment_mask(target, target), attention_mask),
            ops.logical_and(segment_mask(target, source), source_mask),
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
        """
        inputs = {"source": ops.convert_to_tensor(source), "target": ops.convert_to_tensor(target)}
        _, scores = self(inputs, training=False, return_attention_scores=True)
        return {
            name: np.stack([ops.convert_to_numpy(block) for block in blocks], axis=1)
            for name, blocks in scores.items()
        }

    @refused_after_fork
    def encode(self, source):
        """Encodes source sentences.

        Args:
            source: Integer tensor of shape `(B, S)`.

        Returns:
            A tuple of the encoder output, `(B, S, d_model)`, and the padding mask, `(B, S)`.
        """
        mask = padding_mask(source, self.pad_id)
        return self.encoder(self.source_embedding(source), mask), mask

    @refused_after_fork
    def decode(self, target, encoder_output, memory_mask=None):
        """Returns the logits of the next token at every position of a given target.

        Args:
            target: Integer tensor of shape `(B, T)`, starting with BOS.
            encoder_output: Tensor of shape `(B, S, d_model)`, from `encode`.
            memory_mask: Boolean tensor of shape `(B, S)`, from `encode`.

        Returns:
            Tensor of shape `(B, T, V)`, float32.
        """
        hidden = self.decoder(
            self.target_embedding(target), encoder_output, memory_mask=memory_mask
        )
        return self.target_embedding.logits(hidden)

    @refused_after_fork
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
        """Computes one decoding step: the logits of the next token of each of W beams.

        The keys and values of the beam in slot `s` are written to place `index * W + s` of the
        cache and never move: when the search reorders beams, only `ancestry` changes, which gives
        the slot of every beam at every earlier step.

        Args:
            tokens: Integer tensor of shape `(B, W)`: the tokens of this step.
            index: Integer scalar tensor: the number of this step, counted from 0.
            ancestry: Boolean tensor of shape `(B, W, L, W)`: whether each beam was in each slot at
                steps 0 to `index`. With a single beam, `True` at the steps of its sentence.
            cache: `model.decoder.init_cache(B, L * W)`, or the cache from the previous step.
            memory: `model.decoder.project_memory(encoder_output)`.
            memory_mask: Boolean tensor of shape `(B, S)`.
            positions: Integer tensor of shape `(B,)`: the position of the tokens in their
                sentence. `None` means `index`.
            output_weights: `model.target_embedding.output_weights()`, if computed beforehand.

        Returns:
            A tuple of the logits, `(B, W, V)`, float32; the attention scores of each block; and
            the updated cache.
        """
        index = ops.cast(index, "int32")
        positions = ops.reshape(index, (1,)) if positions is None else positions
        W = tokens.shape[1]
        x = self.target_embedding(tokens, positions[:, None])
        attention_mask = ops.reshape(ancestry, (*tokens.shape, -1))  # (B, W, L * W)
        hidden, scores, cache = self.decoder.step(
            x, index * W, cache, attention_mask, memory, memory_mask
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
