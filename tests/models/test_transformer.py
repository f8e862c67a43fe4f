import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.formats.keras_file import copy_model
from keras_transformer.layers import MultiHeadAttention
from keras_transformer.models import Transformer
from tests import reference
from tests.models.conftest import KINDS, SIZES, SOURCE, TARGET, V, make_model
from tests.weights import of_transformer, random

H = SIZES["num_heads"]


def logits(model, source, target, **others):
    return ops.convert_to_numpy(model({"source": source, "target": target, **others}))


@pytest.mark.parametrize("kind", ["post", "pre"])
def test_it_is_what_the_loops_make(kind, models, ids):
    model = models[kind]
    output = ops.convert_to_numpy(model(ids))
    for b in range(len(SOURCE)):
        source, target = SOURCE[b][SOURCE[b] > 0], TARGET[b][TARGET[b] > 0]
        expected = reference.transformer(
            of_transformer(model), H, model.norm, model.positions, source, target
        )
        np.testing.assert_allclose(output[b, : len(target)], expected, atol=2e-5)


def test_logits_are_float32_as_wide_as_the_targets_vocabulary(model, ids):
    output = model(ids)
    assert output.shape == (3, 5, model.target_vocabulary_size or V)
    assert output.dtype.name == "float32"


def test_one_vocabulary_means_one_table():
    model = make_model()
    assert model.source_embedding is model.target_embedding
    tables = [weight for weight in model.weights if tuple(weight.shape) == (V, 14)]
    assert len(tables) == 1


def test_two_vocabularies_mean_two_tables(models):
    model = models["two vocabularies"]
    shapes = [
        tuple(layer.tokens.embeddings.shape)
        for layer in (model.source_embedding, model.target_embedding)
    ]
    assert shapes == [(V, 14), (31, 14)]
    assert model.count_params() - make_model(positions="learned", max_length=37).count_params() == (
        31 * 14 + 37 * 14
    )


def test_one_table_serves_input_and_output_alike(ids):
    """Moving an id's vector moves its logit at every position, and what follows its use."""
    model = make_model()
    before = ops.convert_to_numpy(model(ids))
    table = ops.convert_to_numpy(model.source_embedding.tokens.embeddings).copy()
    table[10] += 1  # an id that occurs nowhere in the input
    model.source_embedding.tokens.embeddings.assign(table)
    after = ops.convert_to_numpy(model(ids))
    assert (np.abs(after - before)[..., 10] > 1e-3).all()
    np.testing.assert_array_equal(np.delete(after, 10, axis=-1), np.delete(before, 10, axis=-1))


def test_encoder_and_decoder_can_be_of_different_depth(ids):
    model = make_model(num_layers=3, num_decoder_layers=1)
    assert (len(model.encoder.blocks), len(model.decoder.blocks)) == (3, 1)
    assert model(ids).shape == (3, 5, V)


def test_no_two_blocks_share_weights(model):
    variables = [id(v) for stack in (model.encoder, model.decoder) for v in stack.weights]
    assert len(variables) == len(set(variables))
    per_block = [len(block.weights) for block in (*model.encoder.blocks, *model.decoder.blocks)]
    final = 2 * 2 if model.norm == "pre" else 0
    assert len(variables) == sum(per_block) + final


def test_appended_padding_moves_no_real_logit(model):
    output = logits(model, SOURCE, TARGET)
    source, target = np.pad(SOURCE, ((0, 0), (0, 6))), np.pad(TARGET, ((0, 0), (0, 4)))
    padded = logits(model, source, target)
    real = TARGET > 0
    np.testing.assert_allclose(padded[:, : TARGET.shape[1]][real], output[real], atol=1e-5)


def test_a_pair_is_the_same_in_any_company(model):
    together = logits(model, SOURCE, TARGET)
    for b in range(len(SOURCE)):
        source, target = SOURCE[b][SOURCE[b] > 0], TARGET[b][TARGET[b] > 0]
        alone = logits(model, source[None], target[None])
        np.testing.assert_allclose(alone[0], together[b, : len(target)], atol=1e-5)


def test_a_later_target_token_changes_no_bit_of_an_earlier_logit(model):
    output = logits(model, SOURCE, TARGET)
    for t in range(TARGET.shape[1]):
        other = TARGET.copy()
        other[:, t] = (other[:, t] + 5) % V
        changed = logits(model, SOURCE, other)
        np.testing.assert_array_equal(changed[:, :t], output[:, :t])
        assert (changed[:, t] != output[:, t]).any()


@pytest.mark.slow
def test_every_source_token_changes_every_logit(model):
    output = logits(model, SOURCE[:1], TARGET[:1])
    for s in range(SOURCE.shape[1]):
        other = SOURCE[:1].copy()
        other[:, s] = (other[:, s] + 5) % V or 1
        changed = logits(model, other, TARGET[:1])
        assert (np.abs(changed - output).max(axis=-1) > 0).all()


def test_padding_may_have_any_id():
    zero, seven = make_model(), make_model(pad_id=19)
    source = SOURCE[1:2]
    np.testing.assert_allclose(
        logits(seven, np.where(source == 0, 19, source), TARGET[1:2]),
        logits(zero, source, TARGET[1:2]),
        atol=1e-6,
    )


def test_scores_of_all_three_kinds_come_out(model, ids):
    output, scores = model(ids, return_attention_scores=True)
    np.testing.assert_array_equal(output, model(ids))
    S, T = SOURCE.shape[1], TARGET.shape[1]
    shapes = {"encoder": (3, H, S, S), "decoder": (3, H, T, T), "cross": (3, H, T, S)}
    assert set(scores) == set(shapes)
    for kind, shape in shapes.items():
        assert [tuple(one.shape) for one in scores[kind]] == [shape] * SIZES["num_layers"]
        for one in scores[kind]:
            np.testing.assert_allclose(ops.sum(one, axis=-1), np.ones(shape[:-1]), atol=1e-5)
    for one in scores["decoder"]:
        assert (np.triu(ops.convert_to_numpy(one), k=1) == 0).all()
    for one in scores["encoder"] + scores["cross"]:
        hidden = np.broadcast_to((SOURCE == 0)[:, None, None], one.shape)
        assert (ops.convert_to_numpy(one)[hidden] == 0).all()


def test_encode_and_decode_are_the_halves_of_call(model, ids):
    memory = model.encode(SOURCE)
    np.testing.assert_array_equal(memory.mask, SOURCE > 0)
    np.testing.assert_array_equal(model.decode(TARGET, memory), model(ids))


def test_the_halves_can_be_used_before_the_whole(ids):
    model = Transformer(V, **SIZES)
    output = model.decode(TARGET, model.encode(SOURCE))
    np.testing.assert_array_equal(model(ids), output)
    model.build()
    np.testing.assert_array_equal(model(ids), output)


def one_beam(t, length, first=0):
    """A step of three sentences of one beam each, that began at place `first` of the cache."""
    places = ops.arange(length, dtype="int32")
    seen = ops.logical_and(places >= first, places <= t)
    positions = ops.broadcast_to(ops.maximum(t - first, 0), (3,))
    ancestry = ops.broadcast_to(seen[:, None], (3, 1, length, 1))
    return kt.DecodingStep(t, positions, ops.equal(positions, 0), ancestry)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled by XLA"])
def test_one_token_at_a_time_gives_the_same_logits_as_all_at_once(model, ids, compiled):
    import tensorflow as tf

    output, scores = model(ids, return_attention_scores=True)
    memory, cache = model.encode(SOURCE), model.init_cache(3, 1, 11)

    def step(tokens, t, cache):
        return model.decode_step(
            tokens, cache, one_beam(t, 11), memory, return_attention_scores=True
        )

    if compiled:
        step = tf.function(step, jit_compile=True, autograph=False)
    for t in range(TARGET.shape[1]):
        step_logits, step_scores, cache = step(
            ops.convert_to_tensor(TARGET[:, t : t + 1]), ops.convert_to_tensor(t), cache
        )
        assert tuple(step_logits.shape) == (3, 1, output.shape[-1])
        np.testing.assert_allclose(step_logits[:, 0], output[:, t], atol=2e-5)
        for block in range(SIZES["num_layers"]):
            np.testing.assert_allclose(
                step_scores[block]["cross"][:, :, 0], scores["cross"][block][:, :, t], atol=1e-5
            )


def test_scores_of_a_step_are_made_only_when_asked_for(model):
    memory, cache = model.encode(SOURCE), model.init_cache(3, 1, 11)
    _, scores, _ = model.decode_step(TARGET[:, :1], cache, one_beam(0, 11), memory)
    assert scores is None


def test_a_sentence_may_begin_at_a_later_step(model):
    """What lies in the cache from before is not its own, and its first position is 0."""
    memory, cache = model.encode(SOURCE), model.init_cache(3, 1, 11)
    expected = model.decode(TARGET, memory)
    for t in range(-4, TARGET.shape[1]):
        tokens = ops.convert_to_tensor(TARGET[:, max(t, 0)][:, None])
        at = one_beam(t + 4, 11, first=4 if t >= 0 else 0)
        step_logits, _, cache = model.decode_step(tokens, cache, at, memory)
        if t >= 0:
            np.testing.assert_allclose(step_logits[:, 0], expected[:, t], atol=2e-5)


def test_steps_are_float32_logits_under_bfloat16():
    model = make_model(dtype="mixed_bfloat16")
    memory, cache = model.encode(SOURCE), model.init_cache(3, 1, 5)
    step_logits, scores, cache = model.decode_step(
        TARGET[:, :1], cache, one_beam(0, 5), memory, return_attention_scores=True
    )
    assert step_logits.dtype.name == "float32"
    assert scores[0]["self"].dtype.name == "float32"
    tensors = keras.tree.flatten((cache, memory.blocks))
    assert {tensor.dtype.name for tensor in tensors} == {"bfloat16"}
    expected = logits(make_model(), SOURCE, TARGET)[:, 0]
    np.testing.assert_allclose(step_logits[:, 0], expected, atol=0.05 * np.abs(expected).max())


def packed(pairs, source_length, target_length):
    """One row that holds several pairs, each with its own segment and its own positions."""
    row = {}
    for side, length in (("source", source_length), ("target", target_length)):
        sentences = [pair[side] for pair in pairs]
        parts = {
            side: sentences,
            f"{side}_segments": [np.full(len(x), i + 1) for i, x in enumerate(sentences)],
            f"{side}_positions": [np.arange(len(x)) for x in sentences],
        }
        for name, arrays in parts.items():
            joined = np.concatenate(arrays)
            row[name] = np.pad(joined, (0, length - len(joined)))[None].astype("int32")
    return row


def test_packed_pairs_do_not_see_each_other(model):
    pairs = [
        {"source": SOURCE[b][SOURCE[b] > 0], "target": TARGET[b][TARGET[b] > 0]} for b in range(3)
    ]
    output = ops.convert_to_numpy(model(packed(pairs, source_length=19, target_length=13)))[0]
    assert np.isfinite(output).all()
    start = 0
    for pair in pairs:
        end = start + len(pair["target"])
        alone = logits(model, pair["source"][None], pair["target"][None])[0]
        np.testing.assert_allclose(output[start:end], alone, atol=1e-5)
        start = end


def test_shuffled_source_without_positions_gives_shuffled_encodings():
    model, order = make_model(positions=None), np.array([3, 0, 6, 5, 1, 4, 2])
    straight, shuffled = (
        ops.convert_to_numpy(model.encode(s).encoder_output) for s in (SOURCE, SOURCE[:, order])
    )
    np.testing.assert_allclose(shuffled, straight[:, order], atol=1e-5)


def test_shuffled_source_with_positions_is_another_sentence(model):
    order = np.array([3, 0, 6, 5, 1, 4, 2])
    straight, shuffled = (
        ops.convert_to_numpy(model.encode(s).encoder_output)[0]
        for s in (SOURCE[:1], SOURCE[:1, order])
    )
    assert np.abs(shuffled - straight[order]).max() > 0.1


@pytest.mark.slow
def test_dropout_works_in_training_only(ids):
    model = make_model(dropout_rate=0.3)
    np.testing.assert_array_equal(model(ids), model(ids))
    np.testing.assert_array_equal(model(ids, training=False), model(ids))
    first, second = (ops.convert_to_numpy(model(ids, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.1


@pytest.mark.slow
def test_fit_trains_with_dropout_and_evaluate_does_without(ids):
    """Nothing is learnt at rate 0, so that losses can only differ by what was dropped."""
    model = make_model(dropout_rate=0.3)
    model.compile(keras.optimizers.SGD(0.0), kt.TokenCrossEntropy(), run_eagerly=True)
    labels = np.roll(TARGET, -1, axis=1)
    trained = model.fit(ids, labels, epochs=5, verbose=0).history["loss"]
    evaluated = [model.evaluate(ids, labels, verbose=0) for _ in range(2)]
    assert len(set(trained)) == 5
    assert len(set(evaluated)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_weights_move_through_a_file(kind, ids, models, tmp_path):
    models[kind].save_weights(tmp_path / "model.weights.h5")
    other = Transformer(V, **{**SIZES, **KINDS[kind]})
    other.build()
    assert np.abs(other(ids) - models[kind](ids)).max() > 1e-3
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(ids), models[kind](ids))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_back_from_a_keras_file(kind, ids, models, tmp_path):
    models[kind].save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(ids), models[kind](ids))


@keras.saving.register_keras_serializable(package="tests")
class Judge(Transformer):
    """Says one number of each pair, by a layer of its own."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.head = keras.layers.Dense(1)

    def call(self, inputs, training=None, return_attention_scores=False):
        return self.head(ops.mean(self.hidden(inputs, training), axis=1))


@pytest.mark.slow
def test_a_subclass_layers_come_back_too(ids, tmp_path):
    model = Judge(V, **SIZES)
    wanted = model(ids)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(ids), wanted)
    model.save_weights(tmp_path / "model.weights.h5")
    other = Judge(V, **SIZES)
    other.build()
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(ids), wanted)


class Louder(MultiHeadAttention):
    """Another attention, with the same weights."""


@pytest.mark.parametrize("place", ["encoder", "decoder"])
def test_a_part_that_is_not_registered_is_not_lost_in_silence(place, ids, tmp_path):
    model = Transformer(V, **SIZES)
    getattr(model, place).blocks[1].self_attention = Louder(SIZES["d_model"], H)
    model(ids)
    with pytest.raises(ValueError, match="class Louder is not registered with Keras"):
        model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="class Louder is not registered with Keras"):
        copy_model(model)
    model.save_weights(tmp_path / "model.weights.h5")


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match=r"multiple of `num_heads`.*d_model=14, num_heads=3"):
        Transformer(V, **{**SIZES, "num_heads": 3})


@pytest.mark.parametrize("inputs", [(SOURCE, TARGET), {"source": SOURCE}], ids=["tuple", "half"])
def test_inputs_have_names(inputs, model):
    with pytest.raises(
        ValueError, match=r"must be a dict of token ids, .* Received: (tuple|\['source'\])"
    ):
        model(inputs)


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match=r"`norm` must be 'post' or 'pre'. Received: 'middle'"):
        Transformer(V, **SIZES, norm="middle")


def test_unknown_positions_are_refused():
    with pytest.raises(ValueError, match=r"`positions` must be one of.*Received: 'rotary'"):
        Transformer(V, **SIZES, positions="rotary")


def test_a_dropout_rate_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"at least 0, less than 1. Received: 30"):
        Transformer(V, **SIZES, dropout_rate=30)


@pytest.mark.slow
def test_the_stacks_normalise_their_output_where_the_blocks_do_not():
    """In `pre` form the stack's output has mean 0 and variance 1, whatever went in."""
    for stack, arguments in (
        (kt.Encoder(2, 14, 7, 17, norm="pre"), [random(2, 5, 14)]),
        (kt.Decoder(2, 14, 7, 17, norm="pre"), [random(2, 3, 14), random(2, 5, 14)]),
    ):
        output = ops.convert_to_numpy(stack(*arguments))
        np.testing.assert_allclose(output.mean(axis=-1), 0, atol=1e-5)
        np.testing.assert_allclose(output.var(axis=-1), 1, atol=1e-3)


def test_no_two_weights_start_alike():
    model = kt.Transformer(11, 2, 6, 3, 13, positions="learned", max_length=11)
    model.build()
    matrices = [np.asarray(weight) for weight in model.get_weights() if weight.ndim > 1]
    starts = {tuple(matrix.ravel()[:6]) for matrix in matrices}
    assert len(starts) == len(matrices)


class Doubled(Transformer):
    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["new", "packed", "subclass"])
def test_keras_export_writes_a_model_of_ids(kind, tmp_path):
    """Keras takes the shapes of the last batch for the signature, and float32 for its type."""
    tf = pytest.importorskip("tensorflow")
    model = (Doubled if kind == "subclass" else Transformer)(31, 1, 8, 2, 16)
    ids = np.random.default_rng(3).integers(1, 31, (8, 7)).astype("int32")
    if kind != "new":
        model.compile("adam", kt.TokenCrossEntropy())
        inputs = {"source": ids, "target": ids}
        if kind == "packed":
            inputs |= {f"{side}_segments": np.ones_like(ids) for side in ("source", "target")}
            inputs |= {f"{side}_positions": ids * 0 for side in ("source", "target")}
        model.fit(inputs, ids, verbose=0)
    model.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "model"))
    (signature,) = served.signatures["serving_default"].structured_input_signature[1:]
    assert {name: (spec.dtype, spec.shape.rank) for name, spec in signature.items()} == {
        "source": (tf.int32, 2),
        "target": (tf.int32, 2),
    }
    inputs = {"source": ids[:3, :5], "target": ids[:3, :2]}
    logits = served.serve({name: tf.constant(value) for name, value in inputs.items()})
    np.testing.assert_allclose(logits, model(inputs), atol=1e-5)
