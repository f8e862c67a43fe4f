"""Image models: causal in the order of generation, near-sighted as they say, and able to learn."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_transformer as kt
from keras_transformer.decoding import generate, sample
from tests.weights import randomize

SIZES = {"num_layers": 2, "d_model": 12, "num_heads": 2, "d_ff": 17, "dropout_rate": 0.0}
SHAPE, LEVELS, LENGTH = (5, 3, 2), 7, 30
KINDS = {
    "full": {},
    "local": {"block_length": 7},
    "local_2d": {"query_shape": (2, 4), "memory_flange": (1, 3)},
}


def make(attention, **options):
    model = kt.create_image_model(
        SHAPE, **SIZES, attention=attention, **KINDS[attention], num_levels=LEVELS, **options
    )
    model.build()
    return randomize(model)


def images(count, seed=2):
    return np.random.default_rng(seed).integers(0, LEVELS, (count, *SHAPE))


@pytest.mark.parametrize("attention", KINDS)
def test_a_cell_depends_on_those_generated_before(attention):
    """The Jacobian of the hidden vectors by the embedded ids is triangular, cell by cell."""
    model = make(attention)
    ids, _ = model.embedding.to_ids(images(1))
    rows = np.repeat(ids, LENGTH, axis=0)  # row s has another cell at s; the first has none
    places = np.arange(1, LENGTH)
    first_cell = model.embedding.first_cell
    rows[places, places] = first_cell + (ids[0, 1:] - first_cell + 1) % LEVELS
    logits = np.array(model({"target": rows}))[:, :, first_cell:]
    seen = (np.abs(logits - logits[:1]).max(axis=-1) > 1e-6).T
    assert not np.triu(seen, 1).any()
    assert seen.diagonal()[1:].all()
    if attention == "full":
        assert seen[np.tril_indices(LENGTH)].reshape(-1)[LENGTH:].mean() > 0.9
    else:
        assert seen.mean() < 0.5


@pytest.mark.parametrize("output", ["categorical", "mixture"])
@pytest.mark.parametrize("attention", KINDS)
def test_a_model_that_enlarges_first_looks_at_the_same_place(attention, output):
    """Queries of 0 leave what the places alone prefer; a mixture has one cell for each pixel."""
    options = {"num_levels": LEVELS, "output": output, "attention": attention, **KINDS[attention]}
    model = kt.create_enlarging_model((2, 2, 3), (6, 4, 3), **SIZES, **options)
    model.build()
    for block in model.decoder.blocks:
        kernel = block.cross_attention.query_projection.kernel
        kernel.assign(ops.zeros_like(kernel))
    small, large = np.zeros((1, 2, 2, 3), "int32"), np.zeros((1, 6, 4, 3), "int32")
    target, _ = model.target_embedding.to_ids(large)
    inputs = {"source": model.source_embedding.read(small), "target": target}
    _, scores = model(inputs, return_attention_scores=True)
    cells = 3 if output == "categorical" else 1
    rows, columns = (model.target_embedding.order // [3, 2 * cells]).T  # of the small image
    for of_layer in scores["cross"]:
        best = np.array(of_layer)[0].argmax(axis=-1) // cells  # heads, then places
        np.testing.assert_array_equal(best, np.tile(rows * 2 + columns, (2, 1)))


@pytest.mark.parametrize("attention", KINDS)
def test_a_layer_sees_the_cells_around(attention):
    """In one layer: all before; the block and the one before it; the block and its flange."""
    model = make(attention)
    ids, _ = model.embedding.to_ids(images(1))
    scores = model.attention(ids)["decoder"][0, 0].sum(axis=0) > 0
    for t in range(LENGTH):
        for s in range(t + 1):
            near = True
            if attention == "local":
                near = t // 7 - s // 7 <= 1
            if attention == "local_2d":
                (row, column), (key_row, key_column) = model.embedding.order[[t, s]]
                top, left = row // 2 * 2, column // 4 * 4
                near = top - 1 <= key_row < top + 3 and left - 3 <= key_column < left + 7
            assert scores[t, s] == near, (t, s)
        assert not scores[t, t + 1 :].any()


@pytest.mark.slow
@pytest.mark.parametrize("attention", KINDS)
def test_cold_samples_are_what_one_pass_prefers(attention):
    model = make(attention, num_classes=3)
    starts = np.array([[1], [3], [2]], "int32")
    found = generate(
        model, starts, np.full(3, LENGTH), length=LENGTH, search=sample, beam_size=1,
        temperature=1e-4, bos_id=1, eos_id=1,
    )  # fmt: skip
    labels = ops.convert_to_numpy(found.ids)[:, 0]
    drawn = model.embedding.to_images(labels)
    ids, again = model.embedding.to_ids(drawn, starts[:, 0] - 1)
    np.testing.assert_array_equal(again, labels)
    np.testing.assert_array_equal(ops.argmax(model({"target": ids}), axis=-1), labels)
    assert drawn.std() > 0


@pytest.mark.slow
def test_it_comes_back_from_a_file(tmp_path):
    model = make("local_2d")
    ids, _ = model.embedding.to_ids(images(2))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded({"target": ids}), model({"target": ids}), atol=1e-6)


def test_an_unknown_attention_is_refused():
    with pytest.raises(ValueError, match=r"must be one of full, local, local_2d\. Received: 'far'"):
        kt.create_image_model(SHAPE, attention="far")


def copies(count, generator):
    """8 x 8 images of 16 levels, whose rows repeat the row before the last: 1 bit a pixel."""
    images = np.tile(generator.integers(0, 16, (count, 2, 8)), (1, 4, 1))
    return images[..., None]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block_length", "at_least", "at_most"),
    [
        (16, 0.9, 1.1),
        pytest.param(8, 3.0, 4.0, marks=pytest.mark.stood_for("the one with two rows")),
    ],
)
def test_what_is_two_rows_above_takes_a_block_of_two_rows(block_length, at_least, at_most):
    """Of one layer, which sees one row back, or two and more."""
    keras.utils.set_random_seed(1)
    sizes = {"num_layers": 1, "d_model": 64, "num_heads": 4, "d_ff": 128, "dropout_rate": 0.0}
    model = kt.create_image_model((8, 8, 1), **sizes, block_length=block_length, num_levels=16)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, 800)),
        kt.TokenCrossEntropy(0.0),
        jit_compile=True,
    )
    generator = np.random.default_rng(1)

    def batches():
        while True:
            ids, labels = model.embedding.to_ids(copies(64, generator))
            yield {"target": ids}, labels

    model.fit(batches(), steps_per_epoch=800, shuffle=False, verbose=0)
    ids, labels = model.embedding.to_ids(copies(200, np.random.default_rng(2)))
    bits = model.evaluate({"target": tf.constant(ids)}, labels, verbose=0) / np.log(2)
    assert at_least <= bits <= at_most, bits
