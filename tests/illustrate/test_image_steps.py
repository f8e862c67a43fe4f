"""The page of an image: what each step sees and where it looks, as in the model itself."""

import base64
import io
import re

import numpy as np
import pytest
from keras import ops

import keras_transformer as kt
from keras_transformer.illustrate import DrawingStep, image_page, image_steps_figure
from keras_transformer.illustrate.image_extraction import drawing_of
from keras_transformer.images import ImageGenerator
from tests.conftest import searches_without_xla
from tests.weights import randomize

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")

SHAPE, LEVELS = (4, 3, 3), 7
SIZES = {"num_layers": 2, "d_model": 12, "num_heads": 2, "d_ff": 17, "num_levels": LEVELS}
IN_BLOCKS = {"attention": "local_2d", "query_shape": (2, 6), "memory_flange": (1, 3)}


def generator_of(make=kt.create_image_model, shapes=(SHAPE,), **options):
    model = make(*shapes, **SIZES, **options)
    model.build()
    with searches_without_xla():
        return ImageGenerator(randomize(model))


def image(seed=1):
    return np.random.default_rng(seed).integers(0, LEVELS, SHAPE)


@pytest.fixture(scope="module")
def generator():
    return generator_of(**IN_BLOCKS)


def pictures(body):
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', body)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_steps_are_those_of_the_model(generator):
    """Brute force: for each pixel, the cells of it that were drawn before, and the key of each."""
    drawn, places = image(), [0, 7, 20, 35]
    found = drawing_of(generator, drawn, None, None, places, layer=1)
    embedding = generator.model.target_embedding
    ids, _ = embedding.to_ids(drawn[None])
    logits, scores = generator.model({"target": ids}, return_attention_scores=True)
    scores = ops.convert_to_numpy(scores["decoder"][1])[0].mean(axis=0)
    for step, place in zip(found["steps"], places, strict=True):
        row, column = embedding.order[place]
        assert (step.row, step.column, step.channel) == (row, column // 3, column % 3)
        shares = np.zeros(SHAPE[:2])
        for before in range(place):
            r, c = embedding.order[before]
            shares[r, c // 3] += scores[place, before + 1]
        np.testing.assert_allclose(step.shares, shares, atol=1e-6)
        np.testing.assert_array_equal(step.seen, shares > 0)
        wanted = ops.softmax(logits[0, place, embedding.first_cell :])
        np.testing.assert_allclose(step.probabilities, wanted, atol=1e-6)
    assert not found["steps"][0].seen.any()
    assert 0 < found["steps"][3].seen.sum() < 12  # not all of what was drawn
    np.testing.assert_array_equal(found["order"][:2], [[0, 3, 12], [6, 9, 15]])
    np.testing.assert_allclose(found["bits"].mean(), generator.bits(drawn[None])[0], rtol=1e-5)


def test_what_is_not_seen_is_dark_and_what_is_not_drawn_is_grey():
    drawn, pixels = np.full((2, 2, 1), 200), np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    seen, shares = np.array([[False, True], [False, False]]), np.array([[0.0, 1.0], [0.0, 0.0]])
    steps = [DrawingStep(2, 1, 0, 0, seen, shares, np.array([0.25, 0.75]))]
    figure = image_steps_figure(drawn, pixels, np.arange(4).reshape(2, 2), np.ones((2, 2)), steps)
    whole, _, _, partial, *_ = pictures(figure.body)
    assert (whole == 200).all()
    assert partial.tolist() == [[[60] * 3, [200] * 3], [[245, 31, 0], [128, 128, 140]]]
    assert "Step 2 of 4: row 1, column 0 becomes 200, 1.00 bits a dimension." in figure.body
    assert figure.body.count("<li") == 1
    assert figure.data["steps"] == steps


def test_what_does_not_fit_is_refused(generator):
    order, pixels = np.zeros((2, 2)), np.zeros((4, 2), int)
    with pytest.raises(ValueError, match="There is nothing to draw: `steps` is empty"):
        image_steps_figure(np.zeros((2, 2, 1)), pixels, order, order, [])
    step = DrawingStep(0, 0, 0, None, order, order, None)
    with pytest.raises(ValueError, match=r"`bits` must have .* \(2, 2\). Received: \(2, 3\)"):
        image_steps_figure(np.zeros((2, 2, 1)), pixels, order, np.zeros((2, 3)), [step])
    with pytest.raises(ValueError, match=r"`layer` must be from 0 to 1\. Received: 2"):
        image_page(generator, image(), layer=2)
    with pytest.raises(ValueError, match=r"`num_steps` must be from 1 to 36\. Received: 0"):
        image_page(generator, image(), num_steps=0)
    with pytest.raises(ValueError, match=r"`images` must have the shape \(B, 4, 3, 3\)"):
        image_page(generator, image()[:3])


def test_the_page_of_a_given_image(generator):
    page = image_page(generator, image(), num_steps=5)
    assert page.body.count("<li") == 5
    assert "The model reads this image as if it drew it." in page.body
    assert "of three channels, and 7 intensities" in page.body
    assert "36 cells, drawn one after the other, block by block" in page.body
    assert "layer 1 of 2, counted from 0 (LocalAttention2D), as the mean of 2 heads" in page.body
    assert re.search(r"row 0, column 1, channel 0 becomes \d, \d\.\d\d bits", page.body)


@pytest.mark.slow
def test_the_page_of_a_drawn_image_of_colours():
    """Colours have no probabilities of single intensities."""
    generator = generator_of(output="mixture", num_mixtures=2, num_classes=3)
    page = image_page(generator, image_class=2, seed=5, num_steps=2)
    drawn = generator.generate(1, [2], seed=5, batch_size=1)[0]
    np.testing.assert_array_equal(page.data["image"], drawn)
    assert "The model drew this image with the seed 5, as one of class 2." in page.body
    assert "chances" not in page.body
    assert "12 cells, drawn one after the other, row by row" in page.body


@pytest.mark.slow
def test_the_page_of_an_enlarged_image():
    generator = generator_of(kt.create_enlarging_model, ((2, 3, 3), SHAPE))
    small = np.zeros((2, 3, 3), int)
    page = image_page(generator, small=small, num_steps=1)
    assert "with the seed 0, given a small one of 2 × 3 pixels" in page.body
    with pytest.raises(ValueError, match=r"`small` must be given to .*\. Received: None"):
        image_page(generator, image())
