"""The step of a search, by a model that has encoded its sources."""

from keras import ops

from keras_transformer.layers import DecodingStep


def model_step(model, memory, output_weights):
    """Returns the function `step` of a search that begins with all sentences at once.

    Args:
        model: A model with the method `decode_step`.
        memory: What `model.encode` returned of the sources.
        output_weights: Weights of the output layer, computed beforehand, or `None`.
    """

    def step(tokens, index, ancestry, cache):
        index = ops.cast(index, "int32")
        positions = ops.broadcast_to(index, (tokens.shape[0],))
        at = DecodingStep(index, positions, ops.equal(positions, 0), ancestry)
        logits, _, cache = model.decode_step(tokens, cache, at, memory, output_weights)
        return logits, cache

    return step
