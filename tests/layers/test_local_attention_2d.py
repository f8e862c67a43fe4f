import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.layers import AttentionMask, LocalAttention, LocalAttention2D
from tests.weights import random

CASES = {
    "as in the paper": ((6, 8), (2, 4), (1, 2)),
    "smaller blocks at the edges": ((5, 7), (2, 3), (2, 1)),
    "blocks larger than the grid": ((3, 4), (5, 7), (1, 1)),
    "nothing around the block": ((4, 6), (2, 2), (0, 0)),
    "a flange wider than a block": ((6, 6), (1, 2), (3, 5)),
    "single cells": ((4, 4), (1, 1), (1, 1)),
}
every_case = pytest.mark.parametrize(("grid", "block", "flange"), CASES.values(), ids=CASES)


def generated(grid, block):
    """The cells in the order in which they are generated: a loop in a loop."""
    order = []
    for top, left in itertools.product(range(0, grid[0], block[0]), range(0, grid[1], block[1])):
        rows = range(top, min(top + block[0], grid[0]))
        order += itertools.product(rows, range(left, min(left + block[1], grid[1])))
    return order


def is_near(cell, other, block, flange):
    """Whether the other is in the cell's block, or in the margin around it."""
    return all(
        c // n * n - margin <= o <= c // n * n + n - 1 + margin
        for c, o, n, margin in zip(cell, other, block, flange, strict=True)
    )


def heads(length):
    return [random(1, 1, length, 5, seed=seed) for seed in (1, 2, 3)]


@every_case
def test_cells_are_generated_block_by_block(grid, block, flange):
    order = LocalAttention2D(grid, block, flange).generation_order()
    assert [tuple(cell) for cell in order] == generated(grid, block)


@pytest.mark.parametrize("causal", [True, False])
@every_case
def test_a_cell_sees_what_is_near_its_block_and_was_generated_before(grid, block, flange, causal):
    order = generated(grid, block)
    _, scores = LocalAttention2D(grid, block, flange)(
        *heads(len(order)),
        attention_mask=AttentionMask(causal=causal),
        return_attention_scores=True,
    )
    expected = [
        [is_near(cell, other, block, flange) and (s <= t or not causal)]
        for (t, cell), (s, other) in itertools.product(enumerate(order), repeat=2)
    ]
    np.testing.assert_array_equal(scores[0, 0] > 0, np.reshape(expected, (len(order), len(order))))


def test_the_flange_shows_what_is_above_and_on_the_left_and_nothing_generated_later():
    """The visible cells of a block in the middle, drawn: `#` the block, `o` around it."""
    layer = LocalAttention2D((6, 9), (2, 3), (1, 2))
    last = 4 * 6 + 5  # of the block in the middle, in the third place of the second row of blocks
    _, scores = layer(
        *heads(54), attention_mask=AttentionMask(causal=True), return_attention_scores=True
    )
    picture = np.full((6, 9), ".")
    for cell, score in zip(layer.generation_order(), scores[0, 0, last], strict=True):
        in_block = 2 <= cell[0] < 4 and 3 <= cell[1] < 6
        picture[tuple(cell)] = ("#" if in_block else "o") if score > 0 else "."
    assert ["".join(row) for row in picture] == [
        ".........",
        ".ooooooo.",
        ".oo###...",
        ".oo###...",
        ".........",
        ".........",
    ]


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])
@pytest.mark.parametrize(
    "padded",
    [
        pytest.param(True, id="padded"),
        pytest.param(False, id="whole", marks=pytest.mark.slow),
    ],
)
@every_case
def test_blocks_that_meet_only_what_is_near_give_the_same(grid, block, flange, causal, padded):
    """Values and gradients; scores are asked for where all pairs of cells are to be compared."""
    layer, T = LocalAttention2D(grid, block, flange), grid[0] * grid[1]
    x = [tf.constant(random(2, 3, T, 5, seed=seed)) for seed in (1, 2, 3)]
    padding = tf.constant(np.arange(T)[None] < [[T], [T - 3]]) if padded else None
    mask, gradients = AttentionMask(padding, causal=causal), []
    for scores in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(*x, attention_mask=mask, return_attention_scores=scores)
            outputs = outputs[0] if scores else outputs
            real = outputs[:, :, :-3]  # what padding sees is of no interest
            loss = tf.reduce_sum(real * tf.constant(random(*real.shape, seed=4)))
        gradients.append([real, *tape.gradient(loss, x)])
    for windowed, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(windowed, expected, atol=1e-5)


def test_its_tensors_grow_with_the_windows():
    """The largest one of a grid of twice as many rows is twice as large, not four times."""

    def largest(rows):
        layer, mask = LocalAttention2D((rows, 8), (4, 4), (2, 2)), AttentionMask(causal=True)
        call = tf.function(lambda *x: layer(*x, attention_mask=mask))
        graph = call.get_concrete_function(*[tf.TensorSpec((1, 1, rows * 8, 5))] * 3).graph
        tensors = [tensor for op in graph.get_operations() for tensor in op.outputs]
        return max(tensor.shape.num_elements() or 0 for tensor in tensors)

    assert largest(64) == 2 * largest(32)


@every_case
def test_the_jacobian_is_a_triangle_in_the_order_of_generation(grid, block, flange):
    layer, x = LocalAttention2D(grid, block, flange), tf.constant(heads(grid[0] * grid[1])[0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, x, x, attention_mask=AttentionMask(causal=True))[0, 0]
    jacobian = np.abs(tape.jacobian(outputs, x)[:, :, 0, 0]).max(axis=(1, 3))
    assert (jacobian[~np.tri(len(jacobian), dtype=bool)] == 0).all()
    assert (np.diag(jacobian) > 0).all()


def test_in_a_grid_of_one_row_it_is_local_attention_in_one_dimension():
    x, mask = heads(23), AttentionMask(causal=True)
    outputs = LocalAttention2D((1, 23), (1, 4), (0, 4))(*x, attention_mask=mask)
    np.testing.assert_allclose(outputs, LocalAttention(4)(*x, attention_mask=mask), atol=1e-5)


def test_rows_of_several_images_start_again_at_each():
    layer, positions = LocalAttention2D((2, 4), (2, 2), (0, 1)), np.arange(16)[None] % 8
    segments = (np.arange(16)[None] // 8).astype("int32")
    x = heads(16)
    outputs = layer(
        *x,
        attention_mask=AttentionMask(None, segments, segments, causal=True),
        positions=positions,
        key_positions=positions,
    )
    for image in (slice(8), slice(8, 16)):
        alone = [y[:, :, image] for y in x]
        expected = layer(*alone, attention_mask=AttentionMask(causal=True))
        np.testing.assert_allclose(outputs[:, :, image], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 4), (2, 2), (1, 1)), r"`grid` must be two integers.*at least 1.*grid=\(0, 4\)"),
        (((4, 4), 2, (1, 1)), r"`query_shape` must be two integers.*query_shape=2"),
        (((4, 4), (2, 2), (1,)), r"`memory_flange` must be two.*at least 0.*=\(1,\)"),
        (((4, 4), (2, 2), (1, -1)), r"`memory_flange` must be two.*=\(1, -1\)"),
        (((4, 4), (2, 2.0), (1, 1)), r"`query_shape` must be two.*=\(2, 2.0\)"),
    ],
)
def test_sizes_come_in_pairs(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocalAttention2D(*arguments)


def test_a_sequence_that_the_grid_does_not_hold_is_refused():
    layer = LocalAttention2D((3, 4), (2, 2), (1, 1))
    with pytest.raises(ValueError, match=r"grid \(3, 4\) has cells.*`query` with 13 positions"):
        layer(*heads(13))
