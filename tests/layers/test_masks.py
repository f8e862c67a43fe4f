import numpy as np
from keras import ops

from keras_transformer.layers import causal_mask, padding_mask, segment_mask


def test_only_padding_is_masked():
    ids = np.array([[7, 0, 5, 0, 0], [3, 11, 2, 13, 1]])
    mask = ops.convert_to_numpy(padding_mask(ids))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, [[1, 0, 1, 0, 0], [1, 1, 1, 1, 1]])


def test_padding_may_have_any_id():
    mask = padding_mask(np.array([[7, 0, 5]]), pad_id=7)
    np.testing.assert_array_equal(mask, [[False, True, True]])


def test_every_position_sees_itself_and_what_came_before():
    mask = ops.convert_to_numpy(causal_mask(5))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, np.tril(np.ones((1, 5, 5), bool)))


def test_a_causal_mask_can_have_a_length_that_is_a_tensor():
    np.testing.assert_array_equal(causal_mask(ops.convert_to_tensor(3)), causal_mask(3))


def test_segments_do_not_see_each_other():
    target, source = np.array([[1, 1, 2], [1, 2, 3]]), np.array([[1, 2, 2, 2, 0], [3, 3, 2, 1, 1]])
    mask = ops.convert_to_numpy(segment_mask(target, source))
    assert mask.shape == (2, 3, 5)
    for b in range(2):
        for t in range(3):
            for s in range(5):
                assert mask[b, t, s] == (target[b, t] == source[b, s])
