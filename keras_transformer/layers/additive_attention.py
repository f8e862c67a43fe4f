"""Additive attention, that of the recurrent translators."""

import keras
from keras import ops

from keras_transformer.layers.attention import masked_softmax
from keras_transformer.layers.layer import Layer
from keras_transformer.layers.masks import check_attention_mask, expand_mask


@keras.saving.register_keras_serializable(package="keras_transformer")
class AdditiveAttention(Layer):
    """Attention whose logits are a small network of query and key, `v^T tanh(W q + U k)`.

    The attention of [Bahdanau et al., 2015](https://arxiv.org/abs/1409.0473), section 3.1 and
    appendix A.1.2, with a single head. The values are the encoder's outputs themselves. Their
    weighted sum, the context, is projected by one more matrix, so that it can be added to the
    decoder's states.

    The layer is a `cross_attention` of `RecurrentBlock` and `DecoderBlock`. A query's positions are
    of no account: all that it knows of the order of words is in the states.

    The hidden layer of the network is computed for each pair of query and key: a tensor of shape
    `(B, T, S, units)`, `units` times as large as the scores.

    Args:
        d_model: Integer. Width of the queries, of the positions to attend to and of the output.
        units: Integer. Width of the hidden layer. `None` means `d_model`.

    Call arguments:
        query: Tensor of shape `(B, T, d_model)`.
        value: Tensor of shape `(B, S, d_model)`: the positions to attend to. `None` means `query`
            itself, unless `key_value` is given.
        attention_mask: `AttentionMask`, or boolean tensor with three axes that broadcasts to
            `(B, T, S)`, `True` = may be attended to. `None` means no mask.
        positions: Without effect.
        key_positions: Without effect.
        key_value: Projected positions to attend to, as returned by `project_key_value`, instead of
            `value`.
        return_attention_scores: Boolean. Whether to return the attention scores too.

    Returns:
        Tensor of shape `(B, T, d_model)`. If `return_attention_scores=True`, a tuple of that
        tensor and the scores after the softmax, float32, `(B, 1, T, S)`.

    Raises:
        ValueError: If `d_model` or `units` is less than 1; or, when called, if `attention_mask`
            does not have three axes or is of a float dtype.

    Example:

    >>> attention = AdditiveAttention(d_model=8)
    >>> tuple(attention(query=keras.ops.ones((3, 5, 8)), value=keras.ops.ones((3, 7, 8))).shape)
    (3, 5, 8)
    """

    num_heads = 1

    def __init__(self, d_model, units=None, **kwargs):
        super().__init__(**kwargs)
        units = d_model if units is None else units
        if d_model < 1 or units < 1:
            raise ValueError(
                "`d_model` and `units` must be at least 1. "
                f"Received: d_model={d_model}, units={units}"
            )
        self.d_model = d_model
        self.units = units

        options = {"use_bias": False, "dtype": self.dtype_policy}
        self.query_projection = keras.layers.Dense(units, name="query", **options)
        self.key_projection = keras.layers.Dense(units, name="key", **options)
        self.logit_projection = keras.layers.Dense(1, name="logit", **options)
        self.output_projection = keras.layers.Dense(d_model, name="output", **options)

    def build(self, query_shape, value_shape=None):
        value_shape = value_shape or query_shape
        self.query_projection.build(query_shape)
        self.key_projection.build(value_shape)
        self.logit_projection.build((*query_shape[:-1], self.units))
        self.output_projection.build((*query_shape[:-1], value_shape[-1]))

    def project_key_value(self, value, positions=None):
        """Projects the positions to attend to, for use as `key_value` in several calls.

        Args:
            value: As in `call`.
            positions: Without effect.

        Returns:
            Keys, `(B, 1, S, units)`, and values, `(B, 1, S, d_model)`: the positions themselves.
        """
        return self.key_projection(value)[:, None], value[:, None]

    def call(
        self,
        query,
        value=None,
        attention_mask=None,
        positions=None,
        key_positions=None,
        key_value=None,
        return_attention_scores=False,
    ):
        check_attention_mask(attention_mask)
        if key_value is None:
            key_value = self.project_key_value(query if value is None else value)
        keys, values = (heads[:, 0] for heads in key_value)
        hidden = self.query_projection(query)[:, :, None] + keys[:, None]  # (B, T, S, units)
        logits = self.logit_projection(ops.tanh(hidden))[..., 0]
        scores = masked_softmax(logits, expand_mask(attention_mask, ops.shape(query)[1]))
        context = ops.matmul(ops.cast(scores, values.dtype), values)
        output = self.output_projection(context)
        return (output, scores[:, None]) if return_attention_scores else output

    def compute_output_shape(self, query_shape, *other_shapes, **named_shapes):
        return (*query_shape[:-1], self.d_model)

    def get_config(self):
        return {**super().get_config(), "d_model": self.d_model, "units": self.units}
