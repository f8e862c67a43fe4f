import time

import keras
import numpy as np
import pytest
import sacrebleu

from keras_transformer import BleuCallback, KeepCheckpoints, TokenRate
from keras_transformer.training.callbacks import ValidationScores

REFERENCES = ["the cat sat on the mat", "the dog ran away quickly", "it was too tired to go"]
GARBLED = ["the cat sat on a mat", "the dog ran off quickly", "it is too tired to go"]
WRONG = ["nothing", "of", "that"]


def fit(model, pairs, callbacks, epochs=3, **options):
    inputs, labels, _ = pairs
    options = {"batch_size": 5, "epochs": epochs, "verbose": 0, **options}
    return model.fit(inputs, labels, callbacks=callbacks, **options).history


class Record(keras.callbacks.Callback):
    """Remembers the weights at the end of each epoch."""

    def on_train_begin(self, logs=None):
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def equal(some, others):
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.fixture
def bleu(tmp_path):
    """Makes the callback with a translator whose translations are known beforehand."""

    def make(*translations, every=1, patience=0):
        written = iter(translations)
        return BleuCallback(
            lambda texts: next(written), ["one", "two", "three"], REFERENCES,
            tmp_path / "best.weights.h5", every, patience,
        )  # fmt: skip

    return make


@pytest.mark.slow
def test_the_score_is_that_of_sacrebleu(bleu, model, pairs):
    history = fit(model, pairs, [bleu(WRONG, GARBLED, REFERENCES)])
    wanted = [sacrebleu.corpus_bleu(t, [REFERENCES]).score for t in (WRONG, GARBLED, REFERENCES)]
    assert history["val_bleu"] == wanted
    chrf = [sacrebleu.corpus_chrf(t, [REFERENCES]).score for t in (WRONG, GARBLED, REFERENCES)]
    assert history["val_chrf"] == chrf
    assert wanted[0] < wanted[1] < wanted[2] == pytest.approx(100)


def test_each_part_has_its_own_score(tmp_path):
    """And the mean of these is that of all, however long the parts are."""
    callback = BleuCallback(
        lambda texts: [*GARBLED, "我是学长。"], ["1", "2", "3", "4"], [*REFERENCES, "我是学生。"],
        tmp_path / "best.weights.h5", parts={"en": 3, "zh": 1},
    )  # fmt: skip
    mean, parts = callback.scores_of_parts()
    english = sacrebleu.corpus_bleu(GARBLED, [REFERENCES]).score
    chinese = sacrebleu.corpus_bleu(["我是学长。"], [["我是学生。"]], tokenize="zh").score
    assert {name: part.bleu for name, part in parts.items()} == {"en": english, "zh": chinese}
    assert mean.bleu == pytest.approx((english + chinese) / 2)
    assert callback.score() == mean


def test_parts_must_be_as_long_as_the_text(tmp_path):
    with pytest.raises(ValueError, match=r"`parts` must have as many lines as `references`, 3\."):
        BleuCallback(list, ["1", "2", "3"], REFERENCES, tmp_path / "w.weights.h5", parts={"en": 2})


@pytest.mark.slow
def test_the_weights_of_the_best_epoch_are_kept(bleu, model, pairs):
    callback, record = bleu(WRONG, REFERENCES, GARBLED), Record()
    fit(model, pairs, [callback, record])
    assert callback.best == ((pytest.approx(100), pytest.approx(100)), 2)
    assert not equal(model.get_weights(), record.weights[1])
    model.load_weights(callback.best_path)
    assert equal(model.get_weights(), record.weights[1])


@pytest.mark.slow
def test_the_last_of_equals_is_best(bleu, model, pairs):
    callback, record = bleu(GARBLED, GARBLED, WRONG), Record()
    fit(model, pairs, [callback, record])
    assert callback.best[1] == 2
    model.load_weights(callback.best_path)
    assert equal(model.get_weights(), record.weights[1])


@pytest.mark.slow
def test_equal_scores_are_no_improvement(bleu, model, pairs):
    history = fit(model, pairs, [bleu(*[GARBLED] * 7, patience=2)], epochs=7)
    assert len(history["val_bleu"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("references", "better", "best"),
    [
        (["oui", "non merci", "Paris"], ["oui", "non", "Pari"], ["oui", "non merci", "Paris"]),
        (["我是学生", "他在北京"], ["我是学长", "他在南"], ["我是学生", "他在南京"]),
    ],
)
def test_training_goes_on_while_short_or_unspaced_texts_improve(
    references, better, best, model, pairs, tmp_path
):
    """sacreBLEU's defaults give 0 to all of these, so that the first epoch would be the best."""
    translations = [["x"] * len(references), better, best]
    assert all(sacrebleu.corpus_bleu(t, [references]).score == 0 for t in translations[:2])
    written = iter(translations)
    callback = BleuCallback(
        lambda texts: next(written), references, references, tmp_path / "w.weights.h5", patience=1
    )
    history = fit(model, pairs, [callback])
    assert len(history["val_bleu"]) == callback.best[1] == 3


def test_chrf_decides_where_references_are_too_short(bleu, tmp_path):
    callback = BleuCallback(list, ["a"], ["oui"], tmp_path / "w.weights.h5")
    worse, better = ValidationScores(40.0, 17.0), ValidationScores(0.0, 19.0)
    assert callback.rank(worse) < callback.rank(better)
    assert callback.describe(better) == "chrF2 19.00"
    usual = bleu()
    assert usual.rank(worse) > usual.rank(better)
    assert usual.rank(better) < usual.rank(ValidationScores(0.0, 23.0))  # of equal BLEU
    assert usual.describe(worse) == "BLEU 40.00"


def test_the_state_of_an_older_version_is_restored(bleu):
    callback = bleu()
    callback.restore({"bleu": 17.0, "epoch": 3, "not_better": 1})
    assert callback.best == ((17.0, float("-inf")), 3)
    assert callback.rank(ValidationScores(17.0, 5.0)) > callback.rank(callback.best[0])
    assert bleu().restore(callback.state()) is None


@pytest.mark.slow
def test_it_scores_every_so_often_and_at_the_end(bleu, model, pairs):
    callback = bleu(WRONG, GARBLED, REFERENCES, every=2)
    history = fit(model, pairs, [callback], epochs=5)
    assert len(history["val_bleu"]) == 3
    assert callback.best[1] == 5


@pytest.mark.slow
def test_early_stopping_sees_the_score(bleu, model, pairs):
    stopping = keras.callbacks.EarlyStopping("val_bleu", mode="max", patience=1)
    history = fit(model, pairs, [bleu(GARBLED, WRONG, REFERENCES), stopping])
    assert len(history["val_bleu"]) == 2


@pytest.mark.slow
def test_the_model_that_is_scored_is_the_one_of_that_epoch(model, pairs, tmp_path):
    record, seen = Record(), []

    def translate(texts):
        seen.append(model.get_weights())
        return REFERENCES

    fit(model, pairs, [BleuCallback(translate, REFERENCES, REFERENCES, tmp_path / "b.weights.h5"),
                       record])  # fmt: skip
    assert all(equal(*both) for both in zip(seen, record.weights, strict=True))


@pytest.mark.slow
def test_the_newest_checkpoints_are_kept(model, pairs, tmp_path):
    keeper, record = KeepCheckpoints(tmp_path / "kept", keep=3), Record()
    fit(model, pairs, [keeper, record], epochs=5)
    names = ["epoch-0003.weights.h5", "epoch-0004.weights.h5", "epoch-0005.weights.h5"]
    assert [path.name for path in keeper.paths()] == names
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == names
    for path, weights in zip(keeper.paths(), record.weights[2:], strict=True):
        model.load_weights(path)
        assert equal(model.get_weights(), weights)


@pytest.mark.slow
def test_the_checkpoints_of_another_training_are_not_among_them(model, pairs, tmp_path):
    fit(model, pairs, [KeepCheckpoints(tmp_path, keep=2)], epochs=4)
    keeper = KeepCheckpoints(tmp_path, keep=2)
    fit(model, pairs, [keeper], epochs=3)
    names = ["epoch-0002.weights.h5", "epoch-0003.weights.h5"]
    assert [path.name for path in keeper.paths()] == names
    assert all(path.exists() for path in keeper.paths())


class Wait(keras.callbacks.Callback):
    """Makes the end of every epoch slow."""

    seconds = 0.3

    def on_test_begin(self, logs=None):
        time.sleep(self.seconds)


@pytest.mark.slow
def test_the_rate_counts_real_tokens(model, pairs):
    rate = TokenRate()
    history = fit(model, pairs, [rate], epochs=3)
    assert rate.tokens == 3 * pairs[2]
    assert len(history["tokens_per_second"]) == 3
    assert all(value > 0 for value in history["tokens_per_second"])


@pytest.mark.slow
def test_the_rate_leaves_validation_out(model, pairs):
    rate = TokenRate()
    fit(model, pairs, [], epochs=1)  # compiles
    started = time.perf_counter()
    history = fit(model, pairs, [rate, Wait()], epochs=2, validation_data=pairs[:2])
    assert rate.tokens == 2 * pairs[2]
    assert 0 < rate.seconds < time.perf_counter() - started - 2 * Wait.seconds
    seconds = sum(pairs[2] / value for value in history["tokens_per_second"])
    assert seconds == pytest.approx(rate.seconds, rel=1e-6)


def test_the_rate_names_the_metric_that_it_lacks(model, pairs):
    with pytest.raises(ValueError, match=r"TokenRate reads.*called 'surprise'"):
        fit(model, pairs, [TokenRate("surprise")], epochs=1)


def test_a_diverged_model_is_no_checkpoint(model, tmp_path):
    keep = KeepCheckpoints(tmp_path)
    keep.set_model(model)
    keep.on_epoch_end(0, {"loss": float("nan")})
    assert keep.paths() == []


@pytest.mark.parametrize(("sources", "references"), [([], []), (["a", "b"], ["c"])])
def test_texts_without_a_reference_each_are_refused(sources, references, tmp_path):
    """Before an epoch is lost to them."""
    with pytest.raises(ValueError, match=r"^`references` must have a translation of each of"):
        BleuCallback(list, sources, references, tmp_path / "best.weights.h5")


def test_scores_are_at_least_an_epoch_apart(bleu):
    with pytest.raises(ValueError, match=r"^`every` must be at least 1\. Received: 0$"):
        bleu(every=0)
