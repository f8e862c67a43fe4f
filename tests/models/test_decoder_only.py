"""Translators without an encoder: source and target are one sequence, of which all is learned."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.models import DecoderOnly, create_model
from keras_transformer.models.joint_sequence import join_pairs, next_tokens
from tests.models.conftest import SIZES, V
from tests.weights import randomize

SOURCE = np.array([[9, 4, 13, 22, 7, 2], [5, 2, 0, 0, 0, 0], [11, 8, 19, 2, 0, 0]], "int32")
TARGET = np.array([[1, 14, 7, 3, 21], [1, 6, 0, 0, 0], [1, 17, 9, 0, 0]], "int32")
LABELS = np.array([[14, 7, 3, 21, 2], [6, 2, 0, 0, 0], [17, 9, 2, 0, 0]], "int32")
IDS = {"source": SOURCE, "target": TARGET}
KINDS = {
    "plain": ("decoder_only", None, {}),
    "learned": ("decoder_only", None, {"norm": "pre", "positions": "learned", "max_length": 7}),
    "compressed": (
        "memory_compressed",
        {"block_length": 4, "compression": 3},
        {"num_layers": 3},
    ),
}


def make(kind, **changes):
    architecture, options, sizes = KINDS[kind]
    sizes = {**SIZES, "dropout_rate": 0.0, **sizes, **changes}
    model = create_model(architecture, options, vocabulary_size=V, **sizes)
    model.build()
    return randomize(model)


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    return make(request.param)


def rows():
    """Real tokens of each source, and of what the model reads and what it writes."""
    for source, target, labels in zip(SOURCE, TARGET, LABELS, strict=True):
        count = np.count_nonzero(labels)
        yield source[source > 0], target[:count], labels[:count]


def language_model_of(model):
    """A language model with the same weights."""
    config = model.get_config()
    del config["source_weight"]
    plain = kt.LanguageModel.from_config(config)
    plain.build()
    plain.set_weights(model.get_weights())
    return plain


def as_language_model(model):
    """The logits of that for one row without padding."""
    plain = language_model_of(model)
    return lambda ids: ops.convert_to_numpy(plain({"target": ops.convert_to_tensor(ids[None])}))[0]


def test_it_is_a_language_model_of_each_source_with_its_target(model):
    """Whatever padding stands between them."""
    found, language_model = ops.convert_to_numpy(model(IDS)), as_language_model(model)
    for row, (source, target, _) in enumerate(rows()):
        wanted = language_model(np.concatenate([source, target]))[len(source) :]
        np.testing.assert_allclose(found[row, : len(target)], wanted, atol=1e-5)


def entropies(logits, labels, smoothing):
    """The cross-entropy of each label, with the lowest possible one taken off, by hand."""
    logits = logits.astype("float64")
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    low = smoothing / (V - 1)
    smoothed = np.full(logits.shape, low)
    smoothed[np.arange(len(labels)), labels] = 1 - smoothing
    lowest = np.sum(smoothed * np.log(smoothed + 1e-300), axis=-1)
    return lowest - np.sum(smoothed * log_probs, axis=-1)


def by_hand(model, smoothing=0.1):
    """The losses of the tokens of source and target, BOS and the first one left out, by row."""
    language_model = as_language_model(model)
    for source, target, labels in rows():
        logits = language_model(np.concatenate([source, target]))
        yield (
            entropies(logits[: len(source) - 1], source[1:], smoothing),
            entropies(logits[len(source) :], labels, smoothing),
        )


def compiled(model, metrics=None):
    """For steps of one batch: eager, since they are over before they would be compiled."""
    metrics = [kt.TokenAccuracy(), kt.Perplexity()] if metrics is None else metrics
    loss, options = kt.TokenCrossEntropy(0.1), {"run_eagerly": True, "jit_compile": False}
    model.compile(keras.optimizers.SGD(0.0), loss, metrics=metrics, **options)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("metrics", [None, ["sparse_categorical_accuracy"]])
def test_the_loss_is_that_of_all_tokens_and_metrics_are_those_of_the_target(model, metrics):
    """With the output projection in the loss, and without."""
    logs = compiled(model, metrics).train_on_batch(IDS, LABELS, return_dict=True)
    losses = list(by_hand(model))
    whole = np.concatenate([part for row in losses for part in row])
    assert len(whole) == (6 + 2 + 4 - 3) + (5 + 2 + 3)
    assert logs["loss"] == pytest.approx(whole.mean(), rel=1e-5)
    if metrics is None:
        targets = np.concatenate([target for _, target in by_hand(model, 0.0)])
        assert logs["perplexity"] == pytest.approx(np.exp(targets.mean()), rel=1e-5)
        hits = np.argmax(ops.convert_to_numpy(model(IDS)), -1)[LABELS > 0] == LABELS[LABELS > 0]
        assert logs["accuracy"] == pytest.approx(hits.mean())


@pytest.mark.slow
@pytest.mark.parametrize("metrics", [None, ["sparse_categorical_accuracy"]])
@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_the_source_may_have_another_weight(weight, metrics):
    model = make("compressed", source_weight=weight)
    logs = compiled(model, metrics).train_on_batch(IDS, LABELS, return_dict=True)
    source, target = (np.concatenate(side) for side in zip(*by_hand(model), strict=True))
    total, count = weight * source.sum() + target.sum(), weight * len(source) + len(target)
    assert logs["loss"] == pytest.approx(total / count, rel=1e-5)
    assert DecoderOnly.from_config(model.get_config()).source_weight == weight


def test_a_weight_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"`source_weight` must be at least 0. Received: -1.0"):
        create_model("decoder_only", {"source_weight": -1.0}, vocabulary_size=V, **SIZES)


@pytest.mark.slow
def test_evaluation_counts_the_target_alone(model):
    found = compiled(model).evaluate(IDS, LABELS, verbose=0, return_dict=True)
    targets = np.concatenate([target for _, target in by_hand(model)])
    assert found["loss"] == pytest.approx(targets.mean(), rel=1e-5)


def test_padding_of_labels_may_have_another_id():
    """The end of a source predicts nothing then, either."""
    model = make("plain")
    wanted = compiled(model).train_on_batch(IDS, LABELS, return_dict=True)["loss"]
    loss, options = kt.TokenCrossEntropy(0.1, pad_id=-100), {"run_eagerly": True}
    model.compile(keras.optimizers.SGD(0.0), loss, jit_compile=False, **options)
    found = model.train_on_batch(IDS, np.where(LABELS, LABELS, -100), return_dict=True)["loss"]
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("shape", ["sentences", "tokens"])
def test_weights_of_sentences_weigh_both_sides_and_those_of_tokens_the_target(model, shape):
    weights = np.array([0.5, 2.0, 3.0], "float32")
    if shape == "tokens":
        weights = np.random.default_rng(3).uniform(0, 2, LABELS.shape).astype("float32")
    logs = compiled(model).train_on_batch(IDS, LABELS, weights, return_dict=True)
    total = count = 0
    for weight, (source, target) in zip(weights, by_hand(model), strict=True):
        of_source = weight if shape == "sentences" else 1
        of_target = np.broadcast_to(weight, LABELS.shape[1:])[: len(target)]
        total += np.sum(of_source * source) + np.sum(of_target * target)
        count += of_source * len(source) + of_target.sum()
    assert logs["loss"] == pytest.approx(total / count, rel=1e-5)


def test_what_is_read_of_the_source_does_not_depend_on_the_target(model):
    """Nor on what stands in other rows: logits and scores of a prefix are those of all."""
    other = {"source": SOURCE, "target": np.where(TARGET > 1, (TARGET + 5) % V, TARGET)}
    one, another = (model.attention(*ids.values())["encoder"] for ids in (IDS, other))
    for row, (source, _, _) in enumerate(rows()):
        found, same = (scores[row, ..., : len(source), :] for scores in (one, another))
        assert found.max() > 0.1
        np.testing.assert_array_equal(found, same)
    changed = {"source": SOURCE, "target": TARGET.copy()}
    changed["target"][0, 3] = 11
    logits, others = (ops.convert_to_numpy(model(ids)) for ids in (IDS, changed))
    np.testing.assert_allclose(logits[0, :3], others[0, :3], atol=1e-6)
    assert np.abs(logits[0, 3] - others[0, 3]).max() > 1e-3


def test_scores_of_source_and_target_make_whole_rows(model):
    scores = model.attention(SOURCE, TARGET)
    layers = len(model.decoder.blocks)
    for name, shape in {"encoder": (6, 6), "decoder": (5, 5), "cross": (5, 6)}.items():
        assert scores[name].shape == (3, layers, 7, *shape)
    for row, (source, target, _) in enumerate(rows()):
        S, T = len(source), len(target)
        np.testing.assert_allclose(scores["encoder"][row, ..., :S, :].sum(-1), 1, atol=1e-5)
        both = scores["cross"].sum(-1) + scores["decoder"].sum(-1)
        np.testing.assert_allclose(both[row, ..., :T], 1, atol=1e-5)
        assert not scores["cross"][row, ..., :T, S:].any()
        assert not np.triu(scores["decoder"][row], 1)[..., :T, :T].any()


def test_scores_of_groups_are_divided_among_their_tokens():
    model = make("compressed")
    plain = language_model_of(model)
    ids = np.concatenate([SOURCE[0], TARGET[0]])[None]
    positions = np.arange(11, dtype="int32")[None]
    inputs = {"target": ids, "target_positions": positions}
    groups = ops.convert_to_numpy(plain(inputs, return_attention_scores=True)[1]["decoder"][1])[0]
    wanted = np.zeros_like(groups)
    wanted[..., 0] = groups[..., 0]
    for end in (2, 5, 8):
        wanted[..., end - 2 : end + 1] += groups[..., end : end + 1] / 3
    found = model.attention(SOURCE[:1], TARGET[:1])
    assert groups[..., 8].max() > 0.01
    np.testing.assert_allclose(found["encoder"][0, 1], wanted[:, :6, :6], atol=1e-6)
    np.testing.assert_allclose(found["cross"][0, 1], wanted[:, 6:, :6], atol=1e-6)
    np.testing.assert_allclose(found["decoder"][0, 1], wanted[:, 6:, 6:], atol=1e-6)


PACKED = {
    "source": np.array([[9, 4, 2, 5, 2, 11, 8, 19, 2, 0]], "int32"),
    "source_segments": np.array([[1, 1, 1, 2, 2, 3, 3, 3, 3, 0]], "int32"),
    "source_positions": np.array([[0, 1, 2, 0, 1, 0, 1, 2, 3, 0]], "int32"),
    "target": np.array([[1, 14, 7, 3, 1, 1, 17, 0]], "int32"),
    "target_segments": np.array([[1, 1, 1, 1, 2, 3, 3, 0]], "int32"),
    "target_positions": np.array([[0, 1, 2, 3, 0, 0, 1, 0]], "int32"),
}
PACKED_LABELS = np.array([[14, 7, 3, 2, 2, 17, 2, 0]], "int32")


@pytest.mark.slow
def test_packed_pairs_are_the_pairs_alone(model):
    """Logits of each, and the loss of all."""
    logits, language_model = ops.convert_to_numpy(model(PACKED))[0], as_language_model(model)
    losses = []
    for segment in (1, 2, 3):
        of_source, of_target = (
            PACKED[f"{side}_segments"][0] == segment for side in ("source", "target")
        )
        source, target = PACKED["source"][0][of_source], PACKED["target"][0][of_target]
        alone = language_model(np.concatenate([source, target]))
        np.testing.assert_allclose(logits[of_target], alone[len(source) :], atol=1e-5)
        losses.append(entropies(alone[: len(source) - 1], source[1:], 0.1))
        losses.append(entropies(alone[len(source) :], PACKED_LABELS[0][of_target], 0.1))
    found = compiled(model).train_on_batch(PACKED, PACKED_LABELS, return_dict=True)
    assert found["loss"] == pytest.approx(np.concatenate(losses).mean(), rel=1e-5)


def test_a_joint_sequence_has_no_gaps_and_comes_apart_again():
    real = SOURCE != 0
    joint = join_pairs(ops.convert_to_tensor(real), ops.ones(TARGET.shape, "bool"))
    ids = ops.convert_to_numpy(joint.arrange(SOURCE, TARGET))
    assert ids[1].tolist() == [5, 2, 1, 6, 0, 0, 0, 0, 0, 0, 0]
    vectors = ops.convert_to_tensor(ids[..., None].astype("float32"))
    np.testing.assert_array_equal(joint.of_target(vectors)[..., 0], TARGET)
    following = next_tokens(ops.convert_to_tensor(SOURCE), ops.convert_to_tensor(real), None, -9)
    assert ops.convert_to_numpy(following)[1].tolist() == [2, -9, -9, -9, -9, -9]


@pytest.mark.slow
def test_micro_batches_and_xla_change_nothing():
    ids = {name: np.concatenate([array, array[:1]]) for name, array in IDS.items()}
    labels = np.concatenate([LABELS, LABELS[:1]])
    weights = []
    for options in ({}, {"accumulate_steps": 2}, {"jit_compile": False}):
        model = make("plain", norm="pre")
        model.compile(keras.optimizers.SGD(0.1), kt.TokenCrossEntropy(0.1), **options)
        before = [np.array(weight) for weight in model.get_weights()]
        model.train_on_batch(ids, labels)
        weights.append(model.get_weights())
    assert max(np.abs(a - b).max() for a, b in zip(before, weights[0], strict=True)) > 1e-3
    for other in weights[1:]:
        for one, same in zip(weights[0], other, strict=True):
            np.testing.assert_allclose(same, one, atol=1e-5)


def test_learned_positions_are_enough_for_both_sides():
    model = make("learned")
    assert (model.max_positions, model.embedding.max_positions) == (7, 14)
    longest = {"source": np.full((1, 7), 5), "target": np.full((1, 7), 5)}
    assert tuple(model(longest).shape) == (1, 7, V)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"target_vocabulary_size": 31}, "with one vocabulary: .*target_vocabulary_size=31"),
        ({"num_decoder_layers": 3}, "leave out `num_decoder_layers`. Received: .*=3"),
    ],
)
@pytest.mark.parametrize("architecture", ["decoder_only", "memory_compressed"])
def test_sizes_of_an_encoder_are_refused(architecture, sizes, message):
    with pytest.raises(ValueError, match=message):
        create_model(architecture, vocabulary_size=V, **SIZES, **sizes)


class Doubled(DecoderOnly):
    def call(self, inputs, training=None, return_attention_scores=False):
        return 2 * super().call(inputs, training)


@pytest.mark.parametrize(
    ("made", "options"),
    [
        (DecoderOnly, {"loss": "sparse_categorical_crossentropy"}),
        (DecoderOnly, {"loss": kt.TokenCrossEntropy(), "loss_weights": [2.0]}),
        (Doubled, {"loss": kt.TokenCrossEntropy()}),
    ],
)
def test_a_training_of_the_target_alone_is_refused(made, options):
    with pytest.raises(ValueError, match="learns to predict its source too"):
        made.from_sizes(V, **SIZES).compile("sgd", **options)


def test_it_is_no_model_of_a_text_generator():
    with pytest.raises(ValueError, match=r"must be a LanguageModel.*DecoderOnly"):
        kt.TextGenerator(make("plain"), None)
