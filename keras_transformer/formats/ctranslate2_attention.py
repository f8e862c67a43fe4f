"""Attentions in CTranslate2's format: which it can compute, and how they are written."""

import keras
import numpy as np

from keras_transformer.layers import LinearBias, MultiHeadAttention, RelativeAttention


def check_attentions(stack, embedding) -> None:
    """Raises a ValueError, which names the attention, if CTranslate2 cannot compute one."""
    for block in stack.blocks:
        if _has_positions(block.self_attention) and embedding.positions is not None:
            raise ValueError(
                "CTranslate2 adds no positions to embeddings if a self-attention has its own. "
                f"Received: {_part_with_positions(block.self_attention)}, and an embedding with "
                f"positions={embedding.positions!r}"
            )
        cross_attention = getattr(block, "cross_attention", None)
        if cross_attention is not None and _has_positions(cross_attention):
            raise ValueError(
                "CTranslate2 knows positions in self-attention only. Received: "
                f"{_part_with_positions(cross_attention)} in a cross-attention"
            )


def has_sizes_of(attention, model) -> bool:
    """Returns whether an attention has the width, the heads and the biases of a model."""
    if type(attention) is not MultiHeadAttention:
        return False
    sizes = (attention.d_model, attention.num_heads, attention.use_bias)
    is_usual_width = attention.key_dim * attention.num_heads == attention.d_model
    return is_usual_width and sizes == (model.d_model, model.num_heads, model.use_bias)


def _has_positions(attention) -> bool:
    knows_positions = isinstance(attention.attention, RelativeAttention | LinearBias)
    return knows_positions or attention.position_encoder is not None


def _part_with_positions(attention) -> str:
    part = attention.position_encoder
    part = attention.attention if part is None else part
    return f"a {type(part).__name__} at {part.path!r}"


def attention_spec(attention, self_attention: bool):
    """Returns an attention in CTranslate2's form, but for the normalization that it contains.

    CTranslate2 fuses the projections of query, key and value into one matrix in self-attention,
    and those of key and value in cross-attention.
    """
    from ctranslate2.specs.attention_spec import MultiHeadAttentionSpec

    spec = MultiHeadAttentionSpec(self_attention, **_options(attention))
    layers = [attention.query_projection, attention.key_projection, attention.value_projection]
    *inputs, output = spec.linear
    groups = [layers] if self_attention else [layers[:1], layers[1:]]
    for linear, fused_layers in zip(inputs, groups, strict=True):
        set_linear(linear, *fused_layers)
    set_linear(output, attention.output_projection)
    if isinstance(attention.attention, RelativeAttention):
        spec.relative_position_keys, spec.relative_position_values = _tables(attention.attention)
    return spec


def _options(attention) -> dict:
    """Returns what CTranslate2 has to know of an attention before its weights."""
    options = {"relative_position": isinstance(attention.attention, RelativeAttention)}
    if attention.num_key_value_heads != attention.num_heads:
        options["num_heads_kv"] = attention.num_key_value_heads
    rotary = attention.position_encoder
    if rotary is not None:
        options["rotary_dim"] = attention.key_dim
        options["rotary_interleave"] = rotary.layout == "interleaved"
        options["rotary_base"] = rotary.max_wavelength
    return options


def _tables(attention):
    """Returns the vectors of keys and of values; zeros for values without any."""
    keys = float32_array(attention.key_table)
    return keys, float32_array(attention.value_table) if attention.values else np.zeros_like(keys)


def set_linear(spec, *layers) -> None:
    """Sets one matrix to the kernels of one or several layers, one below the other."""
    spec.weight = np.concatenate([float32_array(layer.kernel).T for layer in layers])
    if layers[0].use_bias:
        spec.bias = np.concatenate([float32_array(layer.bias) for layer in layers])


def float32_array(tensor):
    """Converts a weight to a float32 array."""
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "CTranslate2 quantizes weights itself, when it loads them: export the model before it "
            f"is quantized. Received: weights of type {dtype}"
        )
    return keras.ops.convert_to_numpy(tensor).astype("float32")
