"""The search of images of colours: every pixel is drawn from its mixture of logistics."""

from keras import ops

from keras_transformer.decoding.hypotheses import Hypotheses
from keras_transformer.decoding.sampling import constant_ancestry
from keras_transformer.decoding.token_sampling import uniforms


def colour_search(embedding, mixture):
    """Returns a function that takes the place of `sample` in `generate`.

    Args:
        embedding: `ColourEmbedding` of the model.
        mixture: `DiscretizedLogisticMixture` of its output.
    """

    def search(
        step,
        state,
        max_lengths,
        *,
        length,
        beam_size,
        pad_id,
        bos_id,
        eos_id,
        seeds,
        temperature=1.0,
        prefix=None,
    ):
        B = max_lengths.shape[0]
        seeds = ops.reshape(seeds, (-1, 1, 1))
        components = ops.arange(mixture.num_mixtures, dtype="int32")[None, None]
        channels = ops.arange(mixture.channels, dtype="int32")[None, None]

        def draw_one(index, ids, tokens, state):
            parameters, state = step(tokens, index, constant_ancestry(index, B, 1, length), state)
            noise = uniforms(seeds, 0, index, components), uniforms(seeds, 1, index, channels)
            new = embedding.codes(mixture.draw(parameters, *noise, temperature))
            if prefix is not None:
                place = ops.minimum(index, prefix.shape[1] - 1)
                given = ops.take(prefix, place, axis=1)[:, None]
                new = ops.where(index < prefix.shape[1], given, new)
            at_index = ops.equal(ops.arange(length, dtype="int32"), index)
            return index + 1, ops.where(at_index, new[..., None], ids), new, state

        _, ids, _, _ = ops.while_loop(
            lambda index, *_: index < length,
            draw_one,
            (
                ops.zeros((), "int32"),
                ops.full((B, 1, length), pad_id, "int32"),
                ops.full((B, 1), bos_id, "int32"),
                state,
            ),
            maximum_iterations=length,
        )
        unknown = ops.zeros((B, 1), "float32")
        return Hypotheses(ids, unknown, unknown, ops.ones((B, 1), "bool"))

    return search
