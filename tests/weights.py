"""Weights for tests: random ones for every variable, and taken out of layers as plain arrays."""

import numpy as np


def randomize(layer, seed=7):
    """Gives every weight of a built layer a random value: no bias stays 0 and no gain 1, where
    what they do would not be seen."""
    generator = np.random.default_rng(seed)
    for variable in layer.weights:
        shape = tuple(variable.shape)
        values = generator.normal(size=shape)
        if variable.name == "gamma":
            values = 1 + 0.2 * values
        elif len(shape) > 1:
            values = values / np.sqrt(shape[-1])
        else:
            values = 0.3 * values
        variable.assign(values.astype("float32"))
    return layer


def random(*shape, seed=11):
    """Random float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def array(tensor):
    """A tensor or variable of either backend as float64."""
    import keras

    return keras.ops.convert_to_numpy(tensor).astype("float64")


def of_dense(layer):
    kernel = array(layer.kernel)
    return kernel, array(layer.bias) if layer.use_bias else np.zeros(kernel.shape[1])


def of_normalization(layer):
    return array(layer.gamma), array(layer.beta)


def of_attention(layer):
    return {
        "query": of_dense(layer.query_projection),
        "key": of_dense(layer.key_projection),
        "value": of_dense(layer.value_projection),
        "output": of_dense(layer.output_projection),
    }


def of_feed_forward(layer):
    return of_dense(layer.hidden), of_dense(layer.output_projection)


def of_encoder_block(block):
    return {
        "self_attention": of_attention(block.self_attention),
        "self_residual": of_normalization(block.self_attention_residual.normalization),
        "feed_forward": of_feed_forward(block.feed_forward),
        "feed_forward_residual": of_normalization(block.feed_forward_residual.normalization),
    }


def of_decoder_block(block):
    weights = {
        "self_attention": of_attention(block.self_attention),
        "self_residual": of_normalization(block.self_attention_residual.normalization),
        "feed_forward": of_feed_forward(block.feed_forward),
        "feed_forward_residual": of_normalization(block.feed_forward_residual.normalization),
    }
    if block.cross_attention is not None:
        weights["cross_attention"] = of_attention(block.cross_attention)
        weights["cross_residual"] = of_normalization(block.cross_attention_residual.normalization)
    return weights


def of_stack(stack, of_block):
    final = stack.final_normalization
    blocks = [of_block(block) for block in stack.blocks]
    return blocks, None if final is None else of_normalization(final)


def of_transformer(model):
    return {
        "source": array(model.source_embedding.tokens.embeddings),
        "target": array(model.target_embedding.tokens.embeddings),
        "encoder": of_stack(model.encoder, of_encoder_block),
        "decoder": of_stack(model.decoder, of_decoder_block),
    }


def copy_attention(ours, theirs):
    """Into Keras' own layer, which keeps its weights by head; a bias we lack becomes zeros."""
    key_dim, weights = ours.key_dim, of_attention(ours)
    for name in ("query", "key", "value"):
        kernel, bias = weights[name]
        heads = ours.num_heads if name == "query" else ours.num_key_value_heads
        dense = getattr(theirs, f"_{name}_dense")
        values = [kernel.reshape(-1, heads, key_dim), bias.reshape(heads, key_dim)]
        dense.set_weights(values[: len(dense.weights)])
    kernel, bias = weights["output"]
    values = [kernel.reshape(ours.num_heads, key_dim, -1), bias]
    theirs._output_dense.set_weights(values[: len(theirs._output_dense.weights)])
