"""MultiModel: commands in place of BOS, texts and images through one body."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.models import create_model
from tests.weights import random, randomize

V, D, F, C = 23, 12, 17, 7  # vocabulary, widths, classes
COMMANDS = [4, 5]
SIZES = {"vocabulary_size": V, "num_layers": 2, "d_model": D, "num_heads": 2, "d_ff": F}
SOURCE = np.array([[4, 9, 8, 2, 0], [5, 9, 8, 2, 0], [11, 9, 4, 6, 2]], "int32")
TARGET = np.array([[1, 7, 6], [1, 7, 6], [1, 7, 6]], "int32")
LABELS = np.array([[7, 6, 2], [7, 6, 2], [7, 2, 0]], "int32")
IMAGES = random(5, 8, 8, 1, seed=3)
CLASSES = np.array([0, 6, 2, 2, 1], "int32")


def make_model(body="attention", **options):
    options = {"num_commands": 2, "num_classes": C, "balance_weight": 0.0, **options}
    model = create_model("multimodel", {"body": body, **options}, **SIZES, dropout_rate=0.0)
    model.build()
    return randomize(model)


def logits(model, source, target=TARGET):
    return ops.convert_to_numpy(model({"source": source, "target": target}))


@pytest.mark.parametrize("body", ["attention", "convolutions"])
def test_a_command_takes_the_place_of_bos_and_the_encoder_does_not_see_it(body):
    """As in a model without commands whose target starts with it, and whose source has a gap."""
    model = make_model(body)
    plain = make_model(body, num_commands=0)
    plain.set_weights(model.get_weights())
    with_gap, target = SOURCE.copy(), TARGET.copy()
    with_gap[:2, 0], target[:2, 0] = 0, SOURCE[:2, 0]
    np.testing.assert_allclose(logits(model, SOURCE), logits(plain, with_gap, target), atol=1e-5)
    assert np.abs(logits(model, SOURCE) - logits(plain, SOURCE))[:2].max() > 0.01
    # The third source has a command too, but not at its start.
    np.testing.assert_allclose(logits(model, SOURCE)[2], logits(plain, SOURCE)[2], atol=1e-5)


@pytest.mark.parametrize("body", ["attention", "convolutions"])
def test_it_decodes_what_it_computes_for_whole_targets(body):
    model = make_model(body)
    memory = model.encode(SOURCE)
    np.testing.assert_allclose(model.decode(TARGET, memory), logits(model, SOURCE), atol=1e-5)
    found = kt.generate(model, SOURCE, np.full(3, 6), length=6, beam_size=1, bos_id=1, eos_id=2)
    for row, ids in enumerate(ops.convert_to_numpy(found.ids)[:, 0]):
        given = np.concatenate([[1], ids[:-1]])[None]
        best = logits(model, SOURCE[row : row + 1], given.astype("int32"))[0].argmax(-1)
        length = int(found.lengths[row, 0]) if hasattr(found, "lengths") else (ids != 0).sum()
        np.testing.assert_array_equal(best[:length], ids[:length])


def test_packed_rows_have_the_commands_of_their_texts():
    model = make_model()
    packed = {
        "source": np.array([[4, 9, 8, 2, 5, 7, 2, 11, 6, 2]], "int32"),
        "source_segments": np.array([[1, 1, 1, 1, 2, 2, 2, 3, 3, 3]], "int32"),
        "source_positions": np.array([[0, 1, 2, 3, 0, 1, 2, 0, 1, 2]], "int32"),
        "target": np.array([[1, 7, 1, 6, 9, 1, 8]], "int32"),
        "target_segments": np.array([[1, 1, 2, 2, 2, 3, 3]], "int32"),
        "target_positions": np.array([[0, 1, 0, 1, 2, 0, 1]], "int32"),
    }
    found = ops.convert_to_numpy(model(packed))[0]
    for number in (1, 2, 3):
        sides = (packed[side][packed[f"{side}_segments"] == number][None] for side in packed
                 if side in ("source", "target"))  # fmt: skip
        alone = logits(model, *sides)[0]
        own = found[packed["target_segments"][0] == number]
        np.testing.assert_allclose(own, alone, atol=1e-5)


def test_padding_of_the_whole_row_stays_padding():
    """Such rows fill up batches; they would get a command if pad_id were one."""
    inputs = {"source": np.zeros((2, 3), "int32"), "target": np.zeros((2, 4), "int32")}
    moved = make_model()._with_moved_commands(inputs)
    for name, ids in inputs.items():
        np.testing.assert_array_equal(moved[name], ids)


def test_images_count_as_much_as_their_weight_says():
    """The loss is the mean over 8 tokens and 5 images, each of which counts as 3 tokens."""
    model = make_model(image_weight=3.0)
    model.compile("sgd", kt.TokenCrossEntropy(0.0), metrics=[kt.Perplexity()])
    inputs = {"source": SOURCE, "target": TARGET}
    of_text = model.test_on_batch(inputs, LABELS, return_dict=True)
    images = {"image": IMAGES, "image_class": CLASSES}
    both = model.test_on_batch({**inputs, **images}, LABELS, return_dict=True)
    scores = ops.convert_to_numpy(ops.log_softmax(model.classify(IMAGES)))
    of_images = -scores[np.arange(5), CLASSES].mean()
    assert both["loss"] == pytest.approx((8 * of_text["loss"] + 15 * of_images) / 23, rel=1e-5)
    assert both["perplexity"] == pytest.approx(of_text["perplexity"])
    assert both["image_accuracy"] == pytest.approx((scores.argmax(-1) == CLASSES).mean())


@pytest.mark.slow
@pytest.mark.parametrize("body", ["attention", "convolutions"])
def test_texts_and_images_train_the_same_body(body):
    """A step on images alone moves the encoder, and not the decoder."""
    model = make_model(body)
    model.compile("sgd", kt.TokenCrossEntropy(0.0))
    before = {weight.path: ops.convert_to_numpy(weight) for weight in model.trainable_weights}
    nothing = np.zeros((1, 3), "int32")
    images = {"image": IMAGES, "image_class": CLASSES}
    model.train_on_batch({"source": nothing, "target": nothing, **images}, nothing)
    moved = {
        weight.path.removeprefix(f"{model.name}/").split("/")[0]
        for weight in model.trainable_weights
        if np.abs(ops.convert_to_numpy(weight) - before[weight.path]).max() > 0
    }
    assert moved == {"encoder", "image"}


def test_each_place_of_an_image_has_its_own_position():
    """Without them, an image whose places are equal would have equal vectors."""
    net = kt.ImageModality((8, 8, 1), C, D)
    vectors = ops.convert_to_numpy(net(np.zeros((1, 8, 8, 1))))[0]
    assert vectors.shape == (4, D)
    expected = kt.layers.sinusoids(np.arange(4), D)
    np.testing.assert_allclose(vectors - vectors[:1], expected - expected[:1], atol=1e-5)


def test_sizes_of_images():
    net = kt.ImageModality((28, 31, 3), C, D, stem=(5, 11), widths=(13,))
    vectors = net(random(2, 28, 31, 3))
    assert tuple(vectors.shape) == net.compute_output_shape((2, 28, 31, 3)) == (2, 4 * 4, D)
    assert tuple(net.logits(vectors).shape) == (2, C)


@pytest.mark.parametrize("body", ["attention", "convolutions"])
def test_it_comes_back_from_a_file(body, tmp_path):
    model = make_model(body, image_weight=0.5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is kt.MultiModel
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(logits(loaded, SOURCE), logits(model, SOURCE), atol=1e-6)
    np.testing.assert_allclose(loaded.classify(IMAGES), model.classify(IMAGES), atol=1e-6)


def test_the_experts_of_the_body_stand_in_the_middle():
    model = make_model("convolutions")
    for stack in (model.encoder, model.decoder):
        kinds = [type(block).__name__ for block in stack.blocks]
        assert kinds.count("FeedForwardBlock") == 1
        assert kinds.index("FeedForwardBlock") == -(-(len(kinds) - 1) // 2)
    assert isinstance(model.encoder.blocks[2].feed_forward, kt.MixtureOfExperts)
    for stack in (make_model().encoder, make_model().decoder):
        kinds = [type(block.feed_forward).__name__ for block in stack.blocks]
        assert kinds == ["FeedForward", "MixtureOfExperts"]
    without = make_model("convolutions", num_experts=0)
    assert not any(isinstance(block, kt.FeedForwardBlock) for block in without.encoder.blocks)


@pytest.mark.parametrize(
    ("options", "sizes", "message"),
    [
        (
            {"body": "recurrent"},
            {},
            "multimodel must be one of convolutions",
        ),
        ({"num_commands": 20}, {}, "`commands` must be ids of the vocabulary, below 23"),
        ({"num_classes": 3, "image_size": 0}, {}, "sizes of at least 1"),
        ({}, {"target_vocabulary_size": 31}, "one net for all texts"),
        ({"k": 9}, {}, "at most `num_experts`"),
    ],
)
def test_wrong_options_are_refused(options, sizes, message):
    with pytest.raises(ValueError, match=message):
        create_model("multimodel", options, **SIZES, **sizes)


def test_a_model_of_texts_alone_has_no_classes():
    with pytest.raises(ValueError, match="has no net of images"):
        make_model(num_classes=0).classify(IMAGES)


def test_images_need_a_loss_that_provides_sums():
    with pytest.raises(ValueError, match="needs a loss that provides `sums`"):
        make_model().compile("sgd", "sparse_categorical_crossentropy")


def copies_and_reversals(generator, count, symbols, with_command):
    """Returns sources, targets and labels of random words to copy, then of words to reverse."""
    words = generator.integers(6, 6 + symbols, (count, 8))
    lengths = generator.integers(4, 9, count)
    source, labels = np.zeros((2, count, 10), "int32")
    for row, length in enumerate(lengths):
        word = words[row, :length]
        command = COMMANDS[row >= count // 2]
        answer = word[:: -1 if row >= count // 2 else 1]
        start = [command] if with_command else []
        ids = [*start, *word, 2]
        source[row, : len(ids)] = ids
        labels[row, : length + 1] = [*answer, 2]
    target = np.concatenate([np.ones((count, 1), "int32"), labels[:, :-1]], axis=1)
    return {"source": source, "target": target}, labels


@pytest.mark.slow
@pytest.mark.parametrize(
    "with_command", [True, pytest.param(False, marks=pytest.mark.stood_for("the one with it"))]
)
def test_the_command_tells_what_to_do(with_command):
    """With it, copies and reversals are learned; without, no model can do more than guess."""
    keras.utils.set_random_seed(1)
    sizes = {"num_layers": 2, "d_model": 64, "num_heads": 4, "d_ff": 128, "dropout_rate": 0.0}
    options = {"body": "attention", "num_commands": 2}
    model = create_model("multimodel", options, vocabulary_size=19, **sizes)
    schedule = kt.WarmupSchedule(64, 400)
    model.compile(
        keras.optimizers.Adam(schedule, beta_2=0.98),
        kt.TokenCrossEntropy(0.0),
        jit_compile=True,
    )
    generator = np.random.default_rng(1)
    batch = functools.partial(copies_and_reversals, generator, 64, 13, with_command)

    def batches():
        while True:
            yield batch()

    model.fit(batches(), steps_per_epoch=1500, shuffle=False, verbose=0)
    inputs, labels = copies_and_reversals(np.random.default_rng(2), 400, 13, with_command)
    limits = np.full(400, 10)
    found = kt.generate(model, inputs["source"], limits, length=10, beam_size=1, bos_id=1, eos_id=2)
    exact = (ops.convert_to_numpy(found.ids)[:, 0] == labels).all(-1).reshape(2, 200).mean(-1)
    if with_command:
        assert exact.min() >= 0.9
    else:
        assert exact.mean() <= 0.55
