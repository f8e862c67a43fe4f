"""The training step on one device; tests/distribution has the others."""

import re

import keras
import numpy as np
import pytest

import keras_transformer as kt

B, T, V = 6, 5, 13


class OwnCall(kt.TokenCrossEntropy):
    """Overrides what Keras' losses override, which nobody asks for here."""

    def call(self, y_true, y_pred):
        return keras.ops.zeros(())


def make_batch(rows=B):
    """Every row has another number of tokens."""
    generator = np.random.default_rng(3)
    source, labels = generator.integers(3, V, (2, rows, T)).astype("int32")
    for row in range(rows):
        labels[row, 1 + row % T :] = 0
    target = np.concatenate([np.ones((rows, 1), "int32"), labels[:, :-1]], axis=1)
    return {"source": source, "target": target}, labels


def make_model(optimizer=None, loss=None, dropout_rate=0.0, **options):
    keras.utils.set_random_seed(7)
    model = kt.Transformer(V, 1, 8, 2, 11, dropout_rate=dropout_rate)
    model.build()
    optimizer = optimizer or keras.optimizers.SGD(1.0)
    metrics = [kt.TokenAccuracy(), kt.Perplexity()]
    loss = loss or kt.TokenCrossEntropy(0.1)
    model.compile(optimizer, loss=loss, metrics=metrics, run_eagerly=True, **options)
    return model


def one_step(batch=None, sample_weight=None, **options):
    model = make_model(**options)
    inputs, labels = batch or make_batch()
    logs = model.train_on_batch(inputs, labels, sample_weight, return_dict=True)
    return model.get_weights(), {name: float(value) for name, value in logs.items()}


@pytest.mark.slow
@pytest.mark.parametrize("steps", [2, 3, 6])
def test_micro_batches_give_what_the_batch_gives(steps):
    (wanted, wanted_logs), (weights, logs) = one_step(), one_step(accumulate_steps=steps)
    for one, other in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert logs == pytest.approx(wanted_logs, rel=1e-5)


@pytest.mark.slow
def test_a_step_follows_the_mean_over_real_tokens():
    """Against gradients taken by hand, one sentence at a time."""
    import tensorflow as tf

    model, (inputs, labels) = make_model(), make_batch()
    wanted = [np.zeros(variable.shape, "float32") for variable in model.trainable_variables]
    count = (labels != 0).sum()
    for row in range(B):
        with tf.GradientTape() as tape:
            logits = model({name: ids[row : row + 1] for name, ids in inputs.items()})
            losses = kt.smoothed_cross_entropy(labels[row : row + 1], logits, 0.1)
            loss = tf.reduce_sum(losses * (labels[row : row + 1] != 0))
        variables = [variable.value for variable in model.trainable_variables]
        for sum_, one in zip(wanted, tape.gradient(loss, variables), strict=True):
            sum_ += tf.convert_to_tensor(one).numpy()
    before = [variable.numpy() for variable in model.trainable_variables]
    model.train_on_batch(inputs, labels)
    for variable, start, gradient in zip(model.trainable_variables, before, wanted, strict=True):
        np.testing.assert_allclose(variable.numpy(), start - gradient / count, atol=1e-5)


@pytest.mark.slow
def test_sentences_can_be_weighed():
    """One that weighs 2 counts like one that stands there twice."""
    inputs, labels = make_batch()
    weights = np.array([1, 2, 1, 1, 1, 0], "float32")
    rows = np.repeat(np.arange(B), weights.astype(int))
    repeated = {name: ids[rows] for name, ids in inputs.items()}, labels[rows]
    (weighed, logs), (twice, wanted) = one_step(sample_weight=weights), one_step(repeated)
    for one, other in zip(weighed, twice, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert logs["loss"] == pytest.approx(wanted["loss"], rel=1e-5)


@pytest.mark.slow
def test_only_the_proportions_of_weights_count():
    """The mean is that of the weighted tokens also where all together weigh less than one."""
    weights = np.array([1, 2, 1, 1, 1, 0], "float32")
    (wanted, _), (tiny, _) = (one_step(sample_weight=one * weights) for one in (1.0, 2.0**-10))
    for one, other in zip(tiny, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_weights_of_classes_are_refused(method):
    """Keras would take the largest id's place in its row for the sentence's class."""
    with pytest.raises(ValueError, match=r"^`class_weight` is not supp.* Received: \{3: 2\.0"):
        getattr(make_model(), method)(*make_batch(), class_weight={3: 2.0})


def test_nor_by_its_place():
    with pytest.raises(ValueError, match=r"^`class_weight` is not supported"):
        make_model().train_on_batch(*make_batch(), None, {3: 2.0})


def test_arguments_of_compile_have_the_order_that_keras_gives_them():
    by_place, by_name = make_model(), make_model()
    by_place.compile("sgd", kt.TokenCrossEntropy(), [10.0], [kt.TokenAccuracy()])
    by_name.compile(
        "sgd", kt.TokenCrossEntropy(), loss_weights=[10.0], metrics=[kt.TokenAccuracy()]
    )
    assert by_place.has_loss_weights
    ours, theirs = by_place.get_compile_config(), by_name.get_compile_config()
    assert ours["loss_weights"] == theirs["loss_weights"] == [10.0]
    assert ours["metrics"] == theirs["metrics"]
    by_place.compile("sgd", kt.TokenCrossEntropy(), None, accumulate_steps=2)
    assert not by_place.has_loss_weights
    assert by_place.accumulate_steps == 2


@pytest.mark.slow
def test_the_reported_loss_weighs_batches_by_their_tokens():
    model, (inputs, labels) = make_model(keras.optimizers.SGD(0.0)), make_batch()
    history = model.fit(inputs, labels, batch_size=4, shuffle=False, verbose=0)  # 4 rows, then 2
    losses = kt.smoothed_cross_entropy(labels, model(inputs), 0.1)
    wanted = keras.ops.sum(losses * (labels != 0)) / (labels != 0).sum()
    assert history.history["loss"] == [pytest.approx(float(wanted), rel=1e-5)]
    assert model.evaluate(inputs, labels, batch_size=5, verbose=0)[0] == pytest.approx(
        float(wanted), rel=1e-5
    )


@pytest.mark.slow
def test_clipping_is_that_of_the_whole_gradient():
    """SGD moves the weights by no more than the norm, at a rate of 1."""
    before = make_model().get_weights()
    after, _ = one_step(optimizer=keras.optimizers.SGD(1.0, global_clipnorm=0.01))
    moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(after, before, strict=True)))
    assert moved == pytest.approx(0.01, rel=1e-3)


@pytest.mark.slow
def test_the_learning_rate_goes_on_once_a_batch():
    model = make_model(accumulate_steps=3)
    model.train_on_batch(*make_batch())
    assert int(model.optimizer.iterations) == 1


@pytest.mark.slow
def test_every_micro_batch_has_dropout_of_its_own():
    """The same rows twice: with one mask for both halves the logits, and losses, would be equal."""
    inputs, labels = make_batch(2)
    doubled = {name: ids[[0, 0]] for name, ids in inputs.items()}, labels[[0, 0]]
    model, sums = make_model(dropout_rate=0.5, accumulate_steps=2), []
    token_sums = model.token_sums

    def watched(data, training):
        sums.append(float(token_sums(data, training)[0]))
        return token_sums(data, training)

    model.token_sums = watched
    model.train_on_batch(*doubled)
    assert len(set(sums)) == len(sums) == 2


class Three(keras.regularizers.Regularizer):
    def __call__(self, values):
        return keras.ops.convert_to_tensor(3.0)


def test_losses_of_the_layers_count_once_for_each_token():
    model, (inputs, labels) = make_model(), make_batch()
    total, count = model.token_sums((inputs, labels), training=False)
    kernel = model.encoder.blocks[0].feed_forward.weights[0]
    kernel.regularizer = Three()
    more, same = model.token_sums((inputs, labels), training=False)
    assert float(same) == float(count)
    assert float(more - total) == pytest.approx(3 * float(count), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [keras.losses.SparseCategoricalCrossentropy(from_logits=True), kt.TokenCrossEntropy],
    ids=["of Keras", "a class"],
)
def test_any_other_loss_is_left_to_keras(loss):
    model = make_model(loss=loss)
    logs = model.train_on_batch(*make_batch(), return_dict=True)
    assert np.isfinite(logs["loss"])
    assert np.isfinite(model.evaluate(*make_batch(), verbose=0)[0])


def test_a_saved_model_is_compiled_as_it_was(tmp_path):
    model = make_model(accumulate_steps=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.accumulate_steps == 3
    assert loaded.loss.label_smoothing == 0.1
    assert loaded.optimizer.built


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate_steps": 0}, "`accumulate_steps` must be an integer, at least 1. Received: 0"),
        ({"accumulate_steps": 1.5}, "must be an integer, at least 1. Received: 1.5"),
        ({"accumulate_steps": 2, "loss": "mse"}, "needs a loss that provides `sums`"),
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=2)},
            "batches with unequal numbers of tokens. Use `accumulate_steps` of `compile`",
        ),
        ({"optimizer": keras.optimizers.SGD(loss_scale_factor=128.0)}, "Remove `loss_scale_fac"),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())},
            "Loss scaling is for float16, which is not supported",
        ),
        ({"loss": OwnCall()}, "override `sums` or `__call__`, not `call`. Received: loss=OwnCall"),
    ],
)
def test_what_cannot_be_right_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_model(**options)


def test_float16_is_refused():
    model = kt.Transformer(V, 1, 8, 2, 11, dtype="mixed_float16")
    with pytest.raises(ValueError, match='Create the model with `dtype="mixed_bfloat16"`'):
        model.compile("adam", loss=kt.TokenCrossEntropy())


def test_a_batch_that_cannot_be_split_is_an_error():
    with pytest.raises(Exception, match="must be a multiple of accumulate_steps=4"):
        one_step(accumulate_steps=4)


class LogitsFirst(kt.Transformer):
    """Has a `call` of its own, so that the loss must be taken from what it returns."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=training)


class Doubled(kt.TokenCrossEntropy):
    """Has an idea of its own about the sum of the losses."""

    def sums(self, y_true, y_pred, sample_weight=None):
        total, count = super().sums(y_true, y_pred, sample_weight)
        return 2.0 * total, count


class HalfRight(kt.TokenAccuracy):
    """Has an idea of its own about what is right."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, 0.5 * y_pred, sample_weight)


def steps_of(model_class, optimizer="sgd", **sizes):
    keras.utils.set_random_seed(7)
    model = model_class(V, 1, 8, 2, 11, **{"dropout_rate": 0.5, **sizes})
    model.build()
    metrics = [kt.TokenAccuracy(), kt.Perplexity()]
    model.compile(optimizer, loss=kt.TokenCrossEntropy(0.1), metrics=metrics, jit_compile=False)
    inputs, labels = make_batch()
    history = model.fit(inputs, labels, batch_size=3, epochs=3, shuffle=False, verbose=0)
    return model, history.history


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_output_layer_as_part_of_the_loss_changes_nothing(precision):
    model, logs = steps_of(kt.Transformer, dtype=precision)
    wanted_model, wanted_logs = steps_of(LogitsFirst, dtype=precision)
    tolerance = 1e-5 if precision == "float32" else 1e-2
    for one, other in zip(model.get_weights(), wanted_model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)
    for name, values in wanted_logs.items():
        assert logs[name] == pytest.approx(values, rel=tolerance)


def sums_without_logits(model, monkeypatch):
    """Whether a training step takes the loss without making all logits first."""
    taken = []
    original = kt.TokenCrossEntropy.projected_sums
    monkeypatch.setattr(
        kt.TokenCrossEntropy,
        "projected_sums",
        lambda *arguments: taken.append(1) or original(*arguments),
    )
    model.train_on_batch(*make_batch())
    return bool(taken)


@pytest.mark.slow
def test_a_fresh_model_does_without_logits_from_its_first_step(monkeypatch):
    model = kt.Transformer(V, 1, 8, 2, 11)
    model.compile("sgd", loss=kt.TokenCrossEntropy(0.1), metrics=[kt.TokenAccuracy()])
    assert sums_without_logits(model, monkeypatch)


class TenTimes(kt.Transformer):
    """Has an idea of its own about the loss."""

    def compute_loss(self, *arguments, **options):
        return 10 * super().compute_loss(*arguments, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_class", "options"),
    [(TenTimes, {}), (kt.Transformer, {"loss_weights": [10.0]})],
    ids=["compute_loss", "loss_weights"],
)
def test_what_else_is_to_be_done_with_the_loss_is_done(model_class, options):
    losses, moved = [], []
    for one_class, its in ((kt.Transformer, {}), (model_class, options)):
        keras.utils.set_random_seed(7)
        model = one_class(V, 1, 8, 2, 11, dropout_rate=0.0)
        model.build()
        before = model.get_weights()
        model.compile(
            keras.optimizers.SGD(0.1), loss=kt.TokenCrossEntropy(0.1), run_eagerly=True, **its
        )
        losses.append(float(model.train_on_batch(*make_batch())))
        moved.append(np.abs(model.get_weights()[0] - before[0]).max())
    assert losses[1] == pytest.approx(10 * losses[0], rel=1e-5)
    assert moved[1] == pytest.approx(10 * moved[0], rel=1e-3)


class Capped(kt.PositionalEmbedding):
    """Keeps its logits small."""

    def logits(self, hidden, output_weights=None):
        return keras.ops.tanh(super().logits(hidden, output_weights))


class CappedTransformer(kt.Transformer):
    """Has an embedding of its own."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.source_embedding = self.target_embedding = Capped(V, 8, dropout_rate=0.0)


class TripledHidden(kt.Transformer):
    """Has another idea of what comes before the output layer than its `call`."""

    def hidden(self, inputs, training=None):
        return 3 * super().hidden(inputs, training)


@pytest.mark.parametrize("model_class", [CappedTransformer, TripledHidden])
def test_training_and_evaluation_have_the_same_logits(model_class):
    model = model_class(V, 1, 8, 2, 11, dropout_rate=0.0)
    model.compile(keras.optimizers.SGD(0.0), loss=kt.TokenCrossEntropy(0.1), run_eagerly=True)
    trained = model.train_on_batch(*make_batch())
    assert float(trained) == pytest.approx(float(model.test_on_batch(*make_batch())), rel=1e-5)


class Watched(kt.Transformer):
    """Counts how often metrics are asked for."""

    asked = 0

    def compute_metrics(self, *arguments, **options):
        self.asked += 1
        return super().compute_metrics(*arguments, **options)


def test_a_subclass_hears_of_metrics_in_training_too():
    model = Watched(V, 1, 8, 2, 11)
    model.compile("sgd", loss=kt.TokenCrossEntropy(0.1), run_eagerly=True)
    model.train_on_batch(*make_batch())
    before = model.asked
    model.train_on_batch(*make_batch())
    assert model.asked == before + 1


class ByDomain(kt.Transformer):
    """Reads one input more."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.weigh = keras.layers.Dense(1)

    def call(self, inputs, training=None):
        weights = self.weigh(inputs["domain"])  # (B, 1)
        return super().call(inputs, training=training) * weights[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_a_subclass_may_want_more_inputs(dtype):
    inputs, labels = make_batch()
    model = ByDomain(V, 1, 8, 2, 11)
    how = {"metrics": [kt.TokenAccuracy()], "jit_compile": False}
    model.compile("sgd", loss=kt.TokenCrossEntropy(0.1), **how)
    history = model.fit({**inputs, "domain": np.ones((B, 3), dtype)}, labels, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


class Halved(kt.TokenCrossEntropy):
    """Another word on what the loss is, and none on its sums."""

    def __call__(self, *arguments, **options):
        return super().__call__(*arguments, **options) / 2


@pytest.mark.slow
def test_a_loss_that_is_called_in_its_own_way_is_what_is_trained_on():
    losses = []
    for loss in (kt.TokenCrossEntropy(0.1), Halved(0.1)):
        keras.utils.set_random_seed(7)
        model = kt.Transformer(V, 1, 8, 2, 11, dropout_rate=0.0)
        model.compile(keras.optimizers.SGD(0.1), loss=loss, run_eagerly=True)
        losses.append([float(model.train_on_batch(*make_batch())) for _ in range(2)])
    (whole, trained), (half, trained_half) = losses
    assert half == pytest.approx(whole / 2)
    assert trained < 2 * trained_half < whole  # its steps are half as long


@pytest.mark.parametrize(
    ("model_class", "sizes", "loss", "metrics"),
    [
        (LogitsFirst, {}, kt.TokenCrossEntropy(0.1), []),
        (kt.Transformer, {"use_bias": True}, kt.TokenCrossEntropy(0.1), []),
        (kt.Transformer, {}, Doubled(0.1), []),
        (kt.Transformer, {}, kt.TokenCrossEntropy(0.1), ["accuracy"]),
        (kt.Transformer, {}, kt.TokenCrossEntropy(0.1), [HalfRight()]),
    ],
    ids=["own call", "bias", "own loss", "another metric", "own metric"],
)
def test_where_logits_are_needed_they_are_made(model_class, sizes, loss, metrics, monkeypatch):
    model = model_class(V, 1, 8, 2, 11, **sizes)
    model.compile("sgd", loss=loss, metrics=metrics, run_eagerly=True)
    assert not sums_without_logits(model, monkeypatch)
