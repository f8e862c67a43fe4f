"""Models with classes of their own, registered with Keras, for the tests of saving.

`python -m tests.models.own_models FOLDER` loads the runs of a folder on the backend at hand, and
writes their logits beside them.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt

V, D, H, F = 47, 12, 3, 17
IDS = {
    "source": np.array([[4, 9, 5, 2, 0], [7, 3, 11, 6, 2]], "int32"),
    "target": np.array([[1, 8, 12], [1, 5, 0]], "int32"),
}


@keras.saving.register_keras_serializable(package="tests.own")
class Distances(kt.DotProductAttention):
    """Adds to every logit a number for the distance, up to `reach`."""

    def __init__(self, reach=2, **kwargs):
        super().__init__(**kwargs)
        self.reach = reach

    def build(self, query_shape):
        shape = (query_shape[1], 2 * self.reach + 1)
        self.bias = self.add_weight(shape=shape, initializer="random_normal", name="bias")

    def logits(self, query, key, distances):
        places = ops.clip(distances, -self.reach, self.reach) + self.reach
        bias = ops.cast(ops.take(self.bias, places, axis=1), query.dtype)
        return super().logits(query, key, distances) + ops.swapaxes(bias, 0, 1)


@keras.saving.register_keras_serializable(package="tests.own")
class TwiceEncoded(kt.Transformer):
    """Doubles the output of its encoder."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.encoder = TwiceTheOutput(
            self.num_layers, self.d_model, self.num_heads, self.d_ff, self.dropout_rate,
            dtype=self.dtype_policy,
        )  # fmt: skip


@keras.saving.register_keras_serializable(package="tests.own")
class TwiceTheOutput(kt.Encoder):
    def call(self, *args, return_attention_scores=False, **kwargs):
        x, scores = super().call(*args, return_attention_scores=True, **kwargs)
        return (2 * x, scores) if return_attention_scores else 2 * x


def subclass(dtype):
    return TwiceEncoded(V, 2, d_model=D, num_heads=H, d_ff=F, dtype=dtype)


def assigned(dtype):
    model = kt.Transformer(V, 2, d_model=D, num_heads=H, d_ff=F, dtype=dtype)
    attention = kt.MultiHeadAttention(D, H, attention=Distances(reach=3, dtype=dtype), dtype=dtype)
    model.encoder.blocks[1].self_attention = attention
    model.decoder.blocks[0].self_attention.attention = Distances(dtype=dtype)
    model.decoder.blocks[1].feed_forward = kt.FeedForward(D, 5, activation="gelu", dtype=dtype)
    return model


def composed(dtype):
    return kt.EncoderDecoder(
        kt.PositionalEmbedding(V, D, dtype=dtype),
        kt.PositionalEmbedding(53, D, positions="learned", max_length=97, dtype=dtype),
        kt.EncoderStack(
            [kt.EncoderBlock(D, heads, F, dtype=dtype) for heads in (2, 3)], dtype=dtype
        ),
        kt.DecoderStack(
            [
                kt.DecoderBlock(D, 4, 7, cross_attention=False, dtype=dtype),
                kt.DecoderBlock(D, 6, 11, norm="pre", dtype=dtype),
            ],
            keras.layers.LayerNormalization(epsilon=1e-6, dtype=dtype),
            dtype=dtype,
        ),
        dtype=dtype,
    )


def other_embedding(dtype):
    model = kt.Transformer(V, 1, d_model=D, num_heads=H, d_ff=F, dtype=dtype)
    model.source_embedding = kt.PositionalEmbedding(V, D, positions="t2t", dtype=dtype)
    model.target_embedding = model.source_embedding
    return model


def long_memories(dtype):
    model = kt.Transformer(V, 2, d_model=D, num_heads=H, d_ff=F, dtype=dtype)
    for block in model.encoder.blocks:
        block.self_attention.attention = kt.LocalAttention(2, dtype=dtype)
    lower, upper = model.decoder.blocks
    lower.self_attention.attention = kt.LocalAttention2D((3, 3), (2, 2), (1, 0), dtype=dtype)
    upper.self_attention = kt.MemoryCompressedAttention(D, H, compression=2, dtype=dtype)
    return model


def decoder_only(dtype):
    plain = kt.LanguageModel.from_sizes(V, 2, D, H, F, norm="pre", dtype=dtype)
    plain.decoder.blocks[0].self_attention.attention = Distances(dtype=dtype)
    return kt.DecoderOnly(plain.embedding, plain.decoder, dtype=dtype)


MODELS = {
    "a subclass": subclass,
    "assigned parts": assigned,
    "a composed model": composed,
    "another embedding": other_embedding,
    "long memories": long_memories,
    "a decoder alone": decoder_only,
}


def logits(model):
    return np.asarray(ops.convert_to_numpy(ops.cast(model(IDS), "float32")))


def open_lengths():
    """Calls learned positions where the length is open, and then with more than there are."""
    embedding = kt.PositionalEmbedding(V, D, positions="learned", max_length=5)
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, embedding(ids))
    assert model(IDS["source"]).shape == (2, 5, D)
    sizes = {"d_model": D, "num_heads": H, "d_ff": F, "positions": "learned", "max_length": 5}
    subclass = WithHead(V, 1, **sizes)
    subclass.build()
    assert subclass(IDS).shape == (2, 3, 1)
    with pytest.raises(ValueError, match="There are 5 learned positions"):
        embedding(np.ones((1, 6), "int32"))


class WithHead(kt.Transformer):
    """A subclass that adds a layer, which `build` builds by a symbolic call."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.head = keras.layers.Dense(1)

    def call(self, inputs, training=None, return_attention_scores=False):
        return self.head(self.hidden(inputs, training))


def main(folder):
    open_lengths()
    for run in sorted(path for path in folder.iterdir() if (path / "run.json").exists()):
        np.save(folder / f"{run.name}.npy", logits(kt.Translator.load(run).model))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
