"""Images that a model draws, completes and measures."""

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.images import ImageGenerator, make_sheet
from tests.conftest import searches_without_xla
from tests.weights import randomize

SHAPE, LEVELS = (4, 3, 1), 5
SIZES = {"num_layers": 1, "d_model": 12, "num_heads": 2, "d_ff": 17, "dropout_rate": 0.0}


def make(**options):
    model = kt.create_image_model(
        SHAPE, **SIZES, num_levels=LEVELS, **{"attention": "full", **options}
    )
    model.build()
    with searches_without_xla():
        return ImageGenerator(randomize(model))


@pytest.fixture(scope="module")
def generator():
    return make()


def images(count, seed=1):
    return np.random.default_rng(seed).integers(0, LEVELS, (count, *SHAPE))


@pytest.mark.slow
def test_an_image_depends_on_its_number_and_the_seed(generator):
    one = generator.generate(5, seed=3, batch_size=4)
    assert one.shape == (5, *SHAPE)
    assert 0 <= one.min() <= one.max() < LEVELS
    np.testing.assert_array_equal(generator.generate(2, seed=3, batch_size=4), one[:2])
    np.testing.assert_array_equal(generator.generate(5, seed=3, batch_size=2), one)
    assert (generator.generate(5, seed=4, batch_size=4) != one).any()
    assert generator.generate(1, seed=10**13).shape == (1, *SHAPE)
    assert len({image.tobytes() for image in one}) > 1


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4, 3, 1), (3, 2, 3)])
def test_colours_are_drawn_step_by_step(shape):
    """Cold ones are what one pass prefers; warm ones depend on number and seed; rows are kept."""
    options = {"output": "mixture", "num_mixtures": 2, "attention": "full", "num_levels": 16}
    model = kt.create_image_model(shape, **SIZES, **options, num_classes=2)
    model.build()
    with searches_without_xla():
        generator = ImageGenerator(randomize(model))
    cold = generator.generate(2, [1, 0], temperature=1e-5, batch_size=2)
    ids, labels = model.embedding.to_ids(cold, [1, 0])
    mixture = kt.DiscretizedLogisticMixture(shape[2], 2, 16)
    parameters = model({"target": ids})
    sizes = [(*ids.shape, 2), (*ids.shape, shape[2])]
    again = mixture.draw(parameters, *(np.full(size, 0.5, "float32") for size in sizes), 1e-5)
    np.testing.assert_array_equal(again, labels)
    assert cold.std() > 0
    warm = generator.generate(5, 0, seed=3, batch_size=4)
    np.testing.assert_array_equal(generator.generate(2, 0, seed=3, batch_size=2), warm[:2])
    assert (generator.generate(5, 0, seed=4, batch_size=4) != warm).any()
    assert 0 <= warm.min() <= warm.max() < 16
    kept = generator.generate(2, 1, begin=warm[:2], rows=2, batch_size=2)
    np.testing.assert_array_equal(kept[:, :2], warm[:2, :2])
    wanted = [
        float(mixture(labels[n : n + 1], parameters[n : n + 1])) / np.log(2) for n in range(2)
    ]
    np.testing.assert_allclose(generator.bits(cold, [1, 0]), wanted, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["categorical", "mixture"])
def test_small_images_are_enlarged(output):
    """Cold ones are what one pass prefers, given the small image; another one changes them."""
    options = {"output": output, "num_mixtures": 2, "attention": "local", "block_length": 5}
    model = kt.create_enlarging_model((2, 3, 1), SHAPE, **SIZES, **options, num_levels=LEVELS)
    model.build()
    with searches_without_xla():
        generator = ImageGenerator(randomize(model))
    small = np.random.default_rng(2).integers(0, LEVELS, (3, 2, 3, 1))
    cold = generator.generate(3, small=small, temperature=1e-5, batch_size=2)
    ids, labels = model.target_embedding.to_ids(cold)
    inputs = {"source": model.source_embedding.read(small), "target": ids}
    outputs = model(inputs)
    if output == "mixture":
        mixture = kt.DiscretizedLogisticMixture(1, 2, LEVELS)
        halves = (np.full((3, 12, n), 0.5, "float32") for n in (2, 1))
        np.testing.assert_array_equal(mixture.draw(outputs, *halves, 1e-5), labels)
        wanted = -np.array(mixture.log_probs(labels, outputs)).mean(axis=-1) / np.log(2)
    else:
        np.testing.assert_array_equal(ops.argmax(outputs, axis=-1), labels)
        chosen = np.take_along_axis(np.array(ops.log_softmax(outputs)), labels[..., None], -1)
        wanted = -chosen[..., 0].mean(axis=-1) / np.log(2)
    np.testing.assert_allclose(generator.bits(cold, small=small), wanted, rtol=1e-4)
    assert (generator.bits(cold, small=small[::-1]) != generator.bits(cold, small=small)).any()
    assert (generator.image_shape, generator.small_shape) == (SHAPE, (2, 3, 1))
    with pytest.raises(ValueError, match=r"to a model that enlarges images.* Received: None"):
        generator.generate(3)
    with pytest.raises(ValueError, match=r"an image for each of the 2\. Received: 3"):
        generator.generate(2, small=small)


@pytest.mark.slow
def test_samples_are_as_frequent_as_they_are_probable():
    """The first intensity of many images."""
    generator = make(num_classes=2)
    drawn = generator.generate(600, 1, batch_size=200)
    start = generator.model({"target": np.array([[2]], "int32")})
    wanted = np.array(ops.softmax(start))[0, 0, generator.model.embedding.first_cell :]
    found = np.bincount(drawn[:, 0, 0, 0], minlength=LEVELS) / 600
    assert np.abs(found - wanted).max() < 0.08


@pytest.mark.slow
def test_the_first_rows_are_kept(generator):
    given, done = images(3), []
    drawn = generator.generate(
        3, begin=given, rows=2, batch_size=2, progress=lambda *n: done.append(n)
    )
    np.testing.assert_array_equal(drawn[:, :2], given[:, :2])
    assert (drawn[:, 2:] != given[:, 2:]).any()
    assert done == [(2, 3), (3, 3)]


@pytest.mark.slow
def test_blocks_are_completed_too():
    generator = make(attention="local_2d", query_shape=(2, 2), memory_flange=(2, 2))
    given = images(2)
    drawn = generator.generate(2, begin=given, rows=2, batch_size=2)
    np.testing.assert_array_equal(drawn[:, :2], given[:, :2])
    with pytest.raises(ValueError, match=r"in blocks of 2 rows.* Received: 1"):
        generator.generate(2, begin=given, rows=1)


def test_bits_are_those_of_the_loss(generator):
    given = images(5)
    ids, labels = generator.model.embedding.to_ids(given)
    logits = generator.model({"target": ids})
    wanted = [
        float(kt.TokenCrossEntropy(0.0)(labels[n : n + 1], logits[n : n + 1])) for n in range(5)
    ]
    found = generator.bits(given, batch_size=3)
    np.testing.assert_allclose(found, np.array(wanted) / np.log(2), rtol=1e-5)
    assert generator.bits(given[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "Received: count=0, batch_size=16, temperature=1.0"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"rows": 2}, r"are given together.* Received: rows=2, begin=None"),
        ({"begin": images(1), "rows": 4}, "fewer than those of an image, 4"),
        ({"count": 2, "begin": images(1), "rows": 2}, "for each of the 2. Received: 1"),
        ({"classes": 0}, "Received: classes, num_classes=0"),
        ({"small": images(1)}, "and to no other. Received: images"),
        ({"begin": images(1) / 255, "rows": 2}, "must be integers, from 0 to .* Received: float64"),
        ({"begin": images(1)[..., :2, :], "rows": 2}, r"must have the shape \(B, 4, 3, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused(generator, options, message):
    with pytest.raises(ValueError, match=message):
        generator.generate(**options)


def test_other_models_are_refused():
    model = kt.LanguageModel.from_sizes(vocabulary_size=23, **{**SIZES, "dropout_rate": 0.1})
    with pytest.raises(ValueError, match="Received: LanguageModel with PositionalEmbedding"):
        ImageGenerator(model)


def test_a_sheet_has_the_images_in_rows():
    sheet = make_sheet(images(5).astype("uint8"), columns=2, scale=2, gap=1)
    assert sheet.shape == ((4 * 3 + 2) * 2, (3 * 2 + 1) * 2, 1)
    np.testing.assert_array_equal(sheet[10:18:2, 8:14:2], images(5)[3])
    assert (sheet[8:10] == 255).all()
    assert (sheet[20:, 8:] == 255).all()


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (images(0), {}, r"with at least one image. Received: \(0, 4, 3, 1\)"),
        (images(2), {"columns": 0}, "Received: columns=0, scale=1, gap=1"),
        (images(2)[0], {}, r"Received: \(4, 3, 1\)"),
    ],
)
def test_wrong_sheets_are_refused(given, options, message):
    with pytest.raises(ValueError, match=message):
        make_sheet(given, **options)
