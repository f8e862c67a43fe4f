"""The base class of the package's layers."""

import keras

from keras_transformer.forking import RefusedAfterFork


class TracedOutputs:
    """Mixin: the outputs of a symbolic call are found by tracing `call`.

    Keras would infer them from `compute_output_shape`, which knows neither attention scores nor
    outputs of another dtype.
    """

    def compute_output_spec(self, *args, **kwargs):
        return keras.Operation.compute_output_spec(self, *args, **kwargs)


class Layer(RefusedAfterFork, TracedOutputs, keras.layers.Layer):
    """A Keras layer whose output has the shape of its first input, unless it says otherwise."""

    def __new__(cls, *args, **kwargs):
        """Notes the arguments, from which Keras makes a config for layers without `get_config`.

        It does so for plain values only, and would refuse every layer that was made with
        `dtype=self.dtype_policy`.
        """
        if isinstance(kwargs.get("dtype"), keras.DTypePolicy):
            kwargs["dtype"] = kwargs["dtype"].name
        return super().__new__(cls, *args, **kwargs)

    def compute_output_shape(self, input_shape, *other_shapes, **named_shapes):
        return tuple(input_shape)

    def build_if_needed(self, *shapes):
        """Builds the layer, if its first use is another method than `call`."""
        if not self.built:
            self.build(*shapes)


def read_prompt(layer, inputs, attention_mask, positions, **kwargs):
    """Returns what `layer.prefill` returns.

    Raises:
        ValueError: The layer cannot read prompts.
    """
    if not hasattr(layer, "prefill"):
        raise ValueError(
            f"A {type(layer).__name__} cannot read a prompt: it has no method `prefill` (see "
            "`DecodingStep`)."
        )
    return layer.prefill(inputs, attention_mask, positions, **kwargs)


def with_scores(layer, *args, return_attention_scores=False, **kwargs):
    """Calls a layer and returns a tuple of its output, and its attention scores or `None`.

    A layer that has no scores need not know the argument `return_attention_scores`, as long as
    nobody asks for them.
    """
    if return_attention_scores:
        return layer(*args, return_attention_scores=True, **kwargs)
    return layer(*args, **kwargs), None
