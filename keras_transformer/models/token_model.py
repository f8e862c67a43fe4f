"""What models from token ids to logits have in common, with an encoder or without."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_transformer.forking import refused_after_fork
from keras_transformer.keras_patches import is_distributed
from keras_transformer.layers.layer import TracedOutputs
from keras_transformer.layers.parts import TakesParts
from keras_transformer.training.token_trainer import TokenTrainer


class TokenModel(TakesParts, TracedOutputs, TokenTrainer):
    """Base class of `EncoderDecoder` and `LanguageModel`.

    Subclasses set `decoder`, `target_embedding`, `pad_id`, `vocabulary_size` and
    `target_vocabulary_size`, and define `build_parts` and `hidden_and_scores`.

    Attributes:
        INPUTS: The names of the inputs, which are dicts of token ids.
    """

    INPUTS = ()
    projects_loss = True  # the product of `hidden` and `output_vectors` is the logits of `call`

    def build_parts(self):
        """Builds the parts of the model."""
        raise NotImplementedError

    def hidden_and_scores(self, inputs, training, return_attention_scores):
        """Returns the input of the output layer, and a dict of attention scores or `None`."""
        raise NotImplementedError

    def standard_part(self, name):
        return None

    @refused_after_fork
    def build(self, input_shape=None):
        self.build_parts()
        self.built = True
        if self.overrides_call():
            self._build_added_layers(input_shape if isinstance(input_shape, dict) else {})

    def compute_output_shape(self, inputs_shape):
        target_size = self.target_vocabulary_size or self.vocabulary_size
        return (*inputs_shape["target"], target_size)

    def build_if_needed(self):
        """Builds the model, if its first use is another method than `call`."""
        if not self.built:
            self.build()

    def _build_added_layers(self, shapes):
        """Builds the layers that a subclass adds, by a symbolic call on token ids.

        If the subclass expects other inputs, they are built by its first call instead.
        """
        shapes = {**dict.fromkeys(self.INPUTS, (None, None)), **shapes}
        inputs = {name: keras.KerasTensor(shape, "int32") for name, shape in shapes.items()}
        with contextlib.suppress(KeyError, TypeError, ValueError):  # other inputs are expected
            self.compute_output_spec(inputs)

    def overrides_call(self):
        return type(self).call is not TokenModel.call

    def example_batch(self):
        """Returns a batch of arbitrary token ids, from which `fit` builds the model.

        `None`, which lets Keras take a batch of the data instead, for a subclass that overrides
        `call` and may expect other inputs, except in the scope of a `tf.distribute` strategy.
        """
        if self.overrides_call() and not is_distributed(self):
            return None
        ids = np.ones((1, 1), "int32")
        return dict.fromkeys(self.INPUTS, ids), ids

    def id_limits(self):
        """Returns the vocabulary sizes of the inputs and of `"labels"`, as a dict.

        `{}` for a subclass that overrides `call` and may expect other inputs; it defines the method
        to have its ids checked.
        """
        if self.overrides_call():
            return {}
        target = self.target_vocabulary_size or self.vocabulary_size
        sizes = {"source": self.vocabulary_size, "target": target}
        return {**{name: sizes[name] for name in self.INPUTS}, "labels": target}

    def call(self, inputs, training=None, return_attention_scores=False):
        hidden, scores = self.hidden_and_scores(inputs, training, return_attention_scores)
        logits = self.target_embedding.logits(hidden)
        return (logits, scores) if return_attention_scores else logits

    def hidden(self, inputs, training=None):
        """Returns the decoder's output, the input of the output layer, `(B, T, d_model)`.

        `inputs` and `training` are as in `call`.
        """
        return self.hidden_and_scores(inputs, training, return_attention_scores=False)[0]

    def output_vectors(self):
        """Returns the matrix that projects `hidden` to logits, float32 `(V, d_model)`.

        `None` if the logits are not this product alone; see `PositionalEmbedding.output_vectors`.
        """
        return self.target_embedding.output_vectors()

    @refused_after_fork
    def init_cache(self, batch_size, num_beams, length):
        """Returns an empty memory of the decoder for `length` places of `num_beams` beams each."""
        self.build_if_needed()
        return self.decoder.init_cache(batch_size, num_beams, length)

    def export(self, filepath, *args, input_signature=None, **kwargs):
        """Exports `call`, from ids to logits, as `keras.Model.export`.

        A program from strings to strings is written by `keras_transformer.export`.

        Args:
            filepath: As in `keras.Model.export`.
            *args: As in `keras.Model.export`.
            input_signature: As in `keras.Model.export`. `None` means int32 ids, `(B, S)` and
                `(B, T)` of any size.
            **kwargs: As in `keras.Model.export`.
        """
        if input_signature is None:
            ids = {
                name: keras.InputSpec(dtype="int32", shape=(None, None), name=name)
                for name in self.INPUTS
            }
            input_signature = [ids]
        if not self.built:
            self.build()
        return super().export(filepath, *args, input_signature=input_signature, **kwargs)

    def check_inputs(self, inputs):
        """Raises a ValueError if the inputs are not a dict of token ids that has them all."""
        if isinstance(inputs, dict) and inputs.keys() >= set(self.INPUTS):
            return
        received = list(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        shapes = {"source": '"source" of shape (B, S)', "target": '"target" of shape (B, T)'}
        expected = " and ".join(shapes[name] for name in self.INPUTS)
        raise ValueError(f"`inputs` must be a dict of token ids, {expected}. Received: {received}")


def scores_of(name, blocks):
    """Returns the attention scores of the blocks that have any, `(B, H, T, S)` each, in a list.

    Args:
        name: `"encoder"`, `"decoder"` or `"cross"`: which scores they are.
        blocks: List of the scores of each block, `None` for a block without any. In self-attention,
            either all blocks have scores or none has; the cross-attention may be in some blocks.

    Raises:
        ValueError: Some blocks lack self-attention, or scores differ in shape, so that they cannot
            be stacked.
    """
    found = [scores for scores in blocks if scores is not None]
    if name != "cross" and 0 < len(found) < len(blocks):
        number = next(number for number, scores in enumerate(blocks) if scores is None)
        raise ValueError(
            f"Attention scores need attention in every block, or in none. Received: a model whose "
            f"{name} has none in block {number}"
        )
    shapes = {tuple(scores.shape[1:]) for scores in found}
    if len(shapes) > 1 and not any(None in shape for shape in shapes):
        raise ValueError(
            f"Attention scores of blocks with other numbers of heads or keys do not fit into one "
            "array: call the model with `return_attention_scores=True`, which returns a list. "
            f"Received: a model whose {name} has the shapes (heads, queries, keys) {sorted(shapes)}"
        )
    return found


def stack_scores(scores):
    """Returns the scores of all blocks that have any, stacked: `(B, layers, H, T, S)`, by name.

    Where no block has scores, the array has no layers, and as many heads as that of the
    cross-attention.

    Raises:
        ValueError: There are no scores at all, or `scores_of` raises one.
    """
    found = {name: scores_of(name, blocks) for name, blocks in scores.items()}
    if not (found["cross"] if "cross" in found else found["decoder"]):
        raise ValueError(
            "The model has no attention whose scores can be shown. Received: no scores of any block"
        )
    stacked = {name: ops.stack(blocks, axis=1) for name, blocks in found.items() if blocks}
    if len(stacked) < len(found):
        B, _, H, T, S = ops.shape(stacked["cross"])
        lengths = {"encoder": S, "decoder": T}
        for name in found.keys() - stacked.keys():
            stacked[name] = ops.zeros((B, 0, H, lengths[name], lengths[name]), "float32")
    return {name: stacked[name] for name in found}


def outputs_and_scores(outputs, return_attention_scores):
    """Returns the outputs of a stack, and its scores or `None`."""
    return outputs if return_attention_scores else (outputs, None)
